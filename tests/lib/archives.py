#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boot archives that no tool would make. usage: archives.py FOLDER"""
import hashlib
import os
import struct
import sys
import uuid

FILE, FOLDER, LINK, EXECUTABLE = 0o100644, 0o40755, 0o120777, 0o100755


def pad(data):
    return data + b"\0" * (-len(data) % 4)


def entry(name, mode, data=b"", inode=0, links=1, device=(0, 0), name_size=None, size=None, magic=b"070701",
          end=b"\0"):
    name = name.encode() if isinstance(name, str) else name
    name += end
    fields = (inode, mode, 0, 0, links, 0, len(data) if size is None else size, 0, 0, *device,
              len(name) if name_size is None else name_size, sum(data) if magic == b"070702" else 0)
    return pad(pad(magic + b"".join(b"%08x" % field for field in fields) + name) + data)


TRAILER = entry("TRAILER!!!", 0)
archives = {}


def archive(name, *entries, trailer=TRAILER):
    archives[name] = b"".join(entries) + trailer


# What would get out of the folder, each one way.
archive("climbs", entry("a", FOLDER), entry("a/../../../../../../../../../../../../../../../../tmp", FOLDER),
        entry("../" * 24 + "caisson-escaped", FILE, b"x"), entry("a/../../b", FILE, b"b"))
archive("absolute", entry("/caisson-escaped", FILE, b"x"))
archive("link", entry("out", LINK, os.fsencode(os.path.abspath(sys.argv[1]))), entry("out/caisson-escaped", FILE),
        entry("up", LINK, b"../../../../../../../../.."), entry("up/caisson-escaped", FILE, b"x"),
        entry("file", LINK, b"../caisson-victim"), entry("file", FILE, b"mine"))
archive("hard-link", entry("l", LINK, b"../caisson-victim", inode=7, links=2), entry("f", FILE, b"x", 7, 2),
        entry("g", FILE, b"changed", 7, 2))
archive("special", entry("dev", FOLDER), entry("dev/sda", 0o60666, device=(8, 0)), entry("dev/fifo", 0o10666),
        entry("setuid", 0o106755, b"s"), entry("plain", FILE, b"p"))
archive("terminal", entry("a\x1b[2Jb\n", FILE, b"x"), entry(b"c\xff\xc2\x9b", FILE, b"y"))
archive("dashes", entry("-rf", FILE, b"x"), entry("--", FOLDER))
# What the kernel makes of doubles (init/initramfs.c).
archive("doubles", entry("lib", LINK, b"usr/lib"), entry("usr", FOLDER), entry("usr/lib", FOLDER),
        entry("lib/through", FILE, b"1"), entry("twice", FILE, b"first"), entry("twice", EXECUTABLE, b"second"),
        entry("was-link", LINK, b"twice"), entry("was-link", FILE, b"own"), entry("full", FOLDER),
        entry("full/in", FILE), entry("full", FILE, b"dropped"), entry("empty", FOLDER), entry("empty", FILE, b"file"),
        entry("nowhere/file", FILE, b"dropped"), entry("loop", LINK, b"loop"), entry("loop/file", FILE),
        entry("one", FILE, b"", 5, 2), entry("two", FILE, b"both", 5, 2))
# What no reader should believe.
archive("name-cut", entry("a", FILE, name_size=5000), trailer=b"")
archive("name-huge", entry("a", FILE, name_size=0xffffffff))
archive("name-open", entry("abcd", FILE, end=b"x"))
archive("size-huge", entry("a", FILE, size=0xffffffff))
archive("size-cut", entry("a", FILE, b"abc", size=4000), trailer=b"")
archive("no-trailer", entry("a", FILE, b"abc"), trailer=b"")
archive("bad-sum", entry("a", FILE, b"abc", magic=b"070702").replace(b"abc", b"abd"))
archive("good-sum", entry("a", FILE, b"abc", magic=b"070702"))


def intel(signature, revision, more=()):
    table = b""
    if more:
        table = struct.pack("<5I", len(more), 0, 0, 0, 0) + b"".join(struct.pack("<3I", s, p, 0) for s, p in more)
    body = b"\xaa" * 976
    total = 48 + len(body) + len(table)
    header = [1, revision, 0x05122023, signature, 0, 1, 0x12, len(body), total, 0, 0, 0]
    words = struct.pack("<12I", *header) + body
    header[4] = -sum(struct.unpack("<%dI" % (len(words) // 4), words)) & 0xffffffff
    return struct.pack("<12I", *header) + body + table


def amd(patches):
    table = b"".join(struct.pack("<IIIHH", s, 0, 0, n, 0) for s, n, _ in patches) + b"\0" * 16
    text = b"DMA\0" + struct.pack("<II", 0, len(table)) + table
    for _, number, revision in patches:
        patch = struct.pack("<II", 0x07182022, revision) + b"\0" * 16 + struct.pack("<H", number) + b"\0" * 70
        text += struct.pack("<II", 1, len(patch)) + patch
    return text


folders = [entry("kernel", FOLDER), entry("kernel/x86", FOLDER), entry("kernel/x86/microcode", FOLDER)]
update = intel(0x000906ea, 0xf4, [(0x000906eb, 2)]) + intel(0x000806ec, 0xf8)
archive("microcode", *folders, entry("kernel/x86/microcode/GenuineIntel.bin", FILE, update),
        entry("kernel/x86/microcode/AuthenticAMD.bin", FILE,
              amd([(0x00800f12, 0x8012, 0x0800126e), (0x00a00f11, 0xa011, 0x0a0011d1)])))
archive("microcode-damaged", *folders,
        entry("kernel/x86/microcode/GenuineIntel.bin", FILE, update.replace(b"\xaa", b"\xab", 1)),
        entry("kernel/x86/microcode/AuthenticAMD.bin", FILE, amd([(1, 2, 3)])[:-20]))


# A firmware as OVMF ends (see src/boot/snp_firmware.c), and what a launch with it is measured as.
def guid(text):
    return uuid.UUID(text).bytes_le


RESET, HASHES, PAGES = 0x80b004, 0x810c00, [(0x800000, 0x2000, 1), (0x80d000, 0x1000, 2), (0x80e000, 0x1000, 3),
                                            (0x80f000, 0x1000, 4), (0x810000, 0x1000, 16)]


def firmware():
    metadata = struct.pack("<4sIII", b"ASEV", 16 + 12 * len(PAGES), 1, len(PAGES))
    metadata += b"".join(struct.pack("<III", *page) for page in PAGES)
    entries = [(guid("00f771de-1a7e-4fcb-890e-68c77e2fb44e"), struct.pack("<I", RESET)),
               (guid("7255371f-3a3b-4b04-927b-1da6efa8d454"), struct.pack("<II", HASHES, 0x400)),
               (guid("dc886566-984a-4798-a75e-5585a7bf67cc"), struct.pack("<I", 1024))]
    table = b"".join(data + struct.pack("<H", len(data) + 18) + name for name, data in entries)
    table += struct.pack("<H", len(table) + 18) + guid("96b582de-1fb2-45f7-baea-a366c55a082d") + b"\0" * 32
    image = bytearray(os.urandom(8192))
    image[8192 - 1024:8192 - 1024 + len(metadata)] = metadata
    image[8192 - len(table):] = table
    return bytes(image)


def sha384(data):
    return hashlib.sha384(data).digest()


def save_area(eip, signature, features):
    page = bytearray(4096)

    def put(at, form, *values):
        struct.pack_into("<" + form, page, at, *values)

    for at in (0x00, 0x20, 0x30, 0x40, 0x50):
        put(at, "HHIQ", 0, 0x93, 0xffff, 0)
    put(0x10, "HHIQ", 0xf000, 0x9b, 0xffff, eip & 0xffff0000)
    for at, attributes in ((0x60, 0), (0x70, 0x82), (0x80, 0), (0x90, 0x8b)):
        put(at, "HHIQ", 0, attributes, 0xffff, 0)
    for at, value in ((0xd0, 0x1000), (0x148, 0x40), (0x158, 0x10), (0x160, 0x400), (0x168, 0xffff0ff0), (0x170, 2),
                      (0x178, eip & 0xffff), (0x268, 0x7040600070406), (0x310, signature), (0x3b0, features),
                      (0x3e8, 1)):
        put(at, "Q", value)
    put(0x408, "I", 0x1f80)
    put(0x410, "H", 0x37f)
    return bytes(page)


def launch(image, hashes, vcpus, signature, features):
    digest = bytes(48)

    def add(kind, address, contents=bytes(48)):
        nonlocal digest
        digest = sha384(digest + contents + struct.pack("<HBBBBBBQ", 0x70, kind, 0, 0, 0, 0, 0, address))

    for at in range(0, len(image), 4096):
        add(1, (1 << 32) - len(image) + at, sha384(image[at:at + 4096]))
    for address, size, kind in PAGES:
        if kind == 16 and hashes:
            page = bytearray(4096)
            page[HASHES % 4096:HASHES % 4096 + len(hashes)] = hashes
            add(1, address, sha384(bytes(page)))
            continue
        for at in range(0, size, 4096):
            add({2: 5, 3: 6}.get(kind, 3), address + at)
    for i in range(vcpus):
        add(2, 0xfffffffff000, sha384(save_area(0xfffffff0 if i == 0 else RESET, signature, features)))
    return digest.hex()


def hashes_table(kernel, initrd, cmdline):
    text = guid("9438d606-4f22-4cc9-b479-a793d411fd21") + struct.pack("<H", 168)
    for name, data in (("97d02dd8-bd20-4c94-aa78-e7714d36ab2a", cmdline + b"\0"),
                       ("44baf731-3a2f-4bd7-9af1-41e29169781d", initrd),
                       ("4de79437-abd2-427f-b835-d5b172d2045b", kernel)):
        text += guid(name) + struct.pack("<H", 50) + hashlib.sha256(data).digest()
    return text + bytes(8)


def main():
    os.chdir(sys.argv[1])
    for name, data in archives.items():
        with open(name + ".img", "wb") as file:
            file.write(data)
    image = firmware()
    with open("firmware.fd", "wb") as file:
        file.write(image)
    with open("kernel", "wb") as file:
        file.write(b"a kernel")
    table = hashes_table(b"a kernel", archives["doubles"], b"console=ttyS0")
    with open("launches", "w", encoding="ascii") as file:
        print(hashlib.sha256(table).hexdigest(), file=file)
        print(launch(image, table, 1, 0xa00f11, 1), file=file)
        print(launch(image, table, 3, 0x800f12, 0x21), file=file)
        print(launch(image, None, 1, 0xa00f11, 1), file=file)


main()
