# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmlinux.py BZIMAGE OUT: the uncompressed kernel out of a bzImage, which an emulated machine starts
seconds sooner."""
import struct
import subprocess
import sys

MAGIC = [
    (b"\xfd7zXZ\0", ["xz", "-dc", "--single-stream"]),
    (b"\x28\xb5\x2f\xfd", ["zstd", "-dcq"]),
    (b"\x02\x21\x4c\x18", ["lz4", "-dcq"]),
    (b"\x1f\x8b\x08", ["gzip", "-dcq"]),
    (b"\x5d\0\0", ["xz", "--format=lzma", "-dc"]),
    (b"\x89LZO", ["lzop", "-dcq"]),
]


def main():
    data = open(sys.argv[1], "rb").read()
    if data[0x202:0x206] != b"HdrS":
        sys.exit("%s: no bzImage" % sys.argv[1])
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (data[0x1F1] + 1) * 512 + offset
    payload = data[start : start + length]
    for magic, command in MAGIC:
        if payload.startswith(magic):
            # Four bytes behind the stream are its size: the programs grumble, and have written all.
            done = subprocess.run(command, input=payload[:-4], stdout=subprocess.PIPE, check=False)
            if not done.stdout.startswith(b"\x7fELF"):
                sys.exit("%s: %s made no kernel of it" % (sys.argv[1], command[0]))
            open(sys.argv[2], "wb").write(done.stdout)
            return
    sys.exit("%s: no compression that is known" % sys.argv[1])


main()
