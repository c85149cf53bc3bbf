#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""awkward.py make FOLDER: a tree of every kind of file that is easily lost or changed on the way.
awkward.py list FOLDER: everything that is to be kept, one file a line, to be compared.
What needs root (owners, devices, trusted attributes) is left out without it."""
import hashlib
import os
import socket
import stat
import struct
import subprocess
import sys

ROOT = os.geteuid() == 0
XATTRS = True


def write(path, data, mode=0o644, seconds=1_600_000_000, nanoseconds=123456789):
    with open(path, "wb") as out:
        out.write(data)
    os.chmod(path, mode)
    os.utime(path, ns=(seconds * 10**9, seconds * 10**9 + nanoseconds))


def noise(size, seed):
    return hashlib.shake_128(seed.encode()).digest(size)


def acl(*entries):
    tags = {"u": 1, "U": 2, "g": 4, "G": 8, "m": 16, "o": 32}
    value = struct.pack("<I", 2)
    for tag, permissions, number in entries:
        value += struct.pack("<HHI", tags[tag], permissions, number)
    return value


def contents(top):
    os.mkdir(top + b"/sizes")
    for size in (0, 1, 59, 60, 4095, 4096, 4097, 65536, 1048575, 1048576, 1048577, 5000001):
        write(top + b"/sizes/%d" % size, noise(size, str(size)))
    os.mkdir(top + b"/sparse")
    for name, size, pieces in (
        ("only-a-hole", 10 << 20, []),
        ("begins", 1 << 20, [(0, 5)]),
        ("ends", (8 << 20) + 77, [((8 << 20) + 70, 7)]),
        ("middle", 3 << 20, [(1 << 20, 4096)]),
        ("beyond-4-gib", 5 << 30, [((4 << 30) + 4096, 100), ((5 << 30) - 1, 1)]),
        ("many", 4 << 20, [(at, 4096) for at in range(0, 4 << 20, 8192)]),
        ("small", 100000, [(40960, 10)]),
    ):
        with open(top + b"/sparse/" + name.encode(), "wb") as out:
            out.truncate(size)
            for at, length in pieces:
                out.seek(at)
                out.write(noise(length, name + str(at)))


def names(top):
    os.mkdir(top + b"/names")
    for name in (b"n" * 255, b"\xff\xfe not utf-8", "ünïcödé ✓".encode(), b" ", b"...", b"-rf", b"a\nb",
                 b"back\\slash", b"\x01\x7f"):
        write(top + b"/names/" + name, name)
    os.mkdir(top + b"/many")
    for number in range(3000):
        write(top + b"/many/file-with-a-name-%05d" % number, b"%d" % number)
    deep = top + b"/deep"
    for _ in range(30):
        os.mkdir(deep)
        deep += b"/" + b"d" * 100
    os.makedirs(top + b"/wide/" + b"/".join(b"%d" % i for i in range(20)))
    for number in range(300):
        os.mkdir(top + b"/wide/folder%d" % number)


def links(top):
    os.mkdir(top + b"/links")
    os.symlink(b"sizes/4096", top + b"/links/short")
    for length in (1, 58, 59, 60, 61, 255, 4000, 4095):
        os.symlink(b"/".join([b"x" * 100] * 41)[:length], top + b"/links/%d" % length)
    os.symlink(b"/etc/passwd", top + b"/links/absolute")
    os.symlink(b"..", top + b"/links/up")
    os.symlink(b"loop", top + b"/links/loop")
    write(top + b"/links/first", noise(10000, "first"))
    for number in range(20):
        os.link(top + b"/links/first", top + b"/links/hard%d" % number)
    os.link(top + b"/links/first", top + b"/sizes/hard")
    os.link(top + b"/links/short", top + b"/links/hard-symlink", follow_symlinks=False)


def attributes(top):
    os.mkdir(top + b"/modes")
    for mode in (0o400, 0o777, 0o4755, 0o2755, 0o1777, 0o7777):
        write(top + b"/modes/%o" % mode, b"", mode)
    for mode in (0o500, 0o777, 0o2755, 0o1777, 0o7777):
        os.mkdir(top + b"/modes/d%o" % mode)
        os.chmod(top + b"/modes/d%o" % mode, mode)
    os.mkdir(top + b"/times")
    for seconds in (0, 1, -1, -2**31, 2**31, 2**32, 2**33, 2**34 - 2**31 - 1):
        write(top + b"/times/%d" % seconds, b"", 0o644, seconds, 999999999)
    os.mkdir(top + b"/xattrs")
    for count, size in ((1, 0), (1, 10), (1, 90), (3, 20), (10, 100), (1, 3500), (2, 1500)):
        path = top + b"/xattrs/%d-of-%d" % (count, size)
        write(path, b"x")
        for number in range(count):
            os.setxattr(path, b"user.name%d" % number, noise(size, str(number)))
    os.setxattr(top + b"/xattrs", b"user.\xc3\xbc", b"folder")
    path = top + b"/xattrs/acl"
    write(path, b"x", 0o640)
    access = acl(("u", 7, 2**32 - 1), ("U", 6, 1234), ("U", 4, 70000), ("g", 5, 2**32 - 1), ("G", 1, 55),
                 ("m", 7, 2**32 - 1), ("o", 0, 2**32 - 1))
    os.setxattr(path, "system.posix_acl_access", access)
    os.mkdir(top + b"/xattrs/acl-folder")
    os.setxattr(top + b"/xattrs/acl-folder", "system.posix_acl_default", access)
    os.setxattr(top + b"/xattrs/acl-folder", "system.posix_acl_access", access)


def roots(top):
    os.mkdir(top + b"/owners")
    for uid, gid in ((0, 0), (1, 2), (65535, 65536), (2**32 - 2, 2**31)):
        path = top + b"/owners/%d-%d" % (uid, gid)
        write(path, b"")
        os.chown(path, uid, gid)
        os.chmod(path, 0o6755)
        os.symlink(b"x", path + b"-link")
        os.chown(path + b"-link", uid, gid, follow_symlinks=False)
    os.chown(top, 1000, 1001)
    os.mkdir(top + b"/devices")
    for kind, name in ((stat.S_IFCHR, b"c"), (stat.S_IFBLK, b"b")):
        for major, minor in ((0, 0), (1, 3), (8, 255), (8, 256), (259, 0), (4095, 1048575)):
            os.mknod(top + b"/devices/%s-%d-%d" % (name, major, minor), kind | 0o660, os.makedev(major, minor))
    path = top + b"/xattrs/trusted"
    write(path, b"x")
    os.setxattr(path, "trusted.secret", b"root")
    os.setxattr(path, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    os.setxattr(top + b"/devices/c-1-3", "trusted.device", b"null")
    os.symlink(b"x", top + b"/xattrs/link")
    os.setxattr(top + b"/xattrs/link", "trusted.link", b"l", follow_symlinks=False)


def make(top):
    os.makedirs(top, exist_ok=True)
    contents(top)
    names(top)
    links(top)
    attributes(top)
    os.mkfifo(top + b"/fifo", 0o622)
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(top)
    server.bind("socket")
    os.chdir(here)
    if ROOT:
        roots(top)
    for path in (top + b"/names", top + b"/wide", top):
        os.utime(path, ns=(10**18 + 1, 10**18 + 987654321))


def digest(path, size):
    """Of the content without its holes, which may be large; and how much of it there is."""
    total, there = hashlib.sha256(), 0
    with open(path, "rb") as file:
        at = 0
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            os.lseek(file.fileno(), at, os.SEEK_SET)
            there += end - at
            while at < end:
                piece = os.read(file.fileno(), min(end - at, 4096))
                if piece.strip(b"\0"):
                    total.update(b"%d:" % at + piece)
                at += len(piece)
    return total.hexdigest(), there


def describe(path, name, inodes, lines):
    st = os.lstat(path)
    twin = inodes.setdefault((st.st_dev, st.st_ino), name)
    parts = [repr(name), oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns]
    if not stat.S_ISDIR(st.st_mode):
        parts.append(st.st_nlink)
    if twin != name:
        parts.append("= " + repr(twin))
    if stat.S_ISREG(st.st_mode):
        parts += [st.st_size, digest(path, st.st_size)]
    if stat.S_ISLNK(st.st_mode):
        parts.append(os.readlink(path))
    if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        parts.append((os.major(st.st_rdev), os.minor(st.st_rdev)))
    for xattr in sorted(os.listxattr(path, follow_symlinks=False)):
        parts.append((xattr, os.getxattr(path, xattr, follow_symlinks=False).hex()))
    lines.append(" ".join(str(part) for part in parts))


def show(top, skip):
    inodes, lines = {}, []
    describe(top, b"", inodes, lines)
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            short = path[len(top):]
            if short not in skip:
                describe(path, short, inodes, lines)
        folders[:] = [name for name in folders if os.path.join(folder, name)[len(top):] not in skip
                      and not os.path.islink(os.path.join(folder, name))]
    print("\n".join(lines))


if sys.argv[1] == "make":
    make(os.fsencode(sys.argv[2]))
else:
    show(os.fsencode(sys.argv[2]), {os.fsencode(name) for name in sys.argv[3:]})
