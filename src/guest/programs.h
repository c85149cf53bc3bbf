/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The main functions of the guest's programs. Linked one a file (the bundled form), or all into one
 * that goes by several names (the static form). That is about files only: each still runs as a
 * process of its own, after execve(2), so that PID 1 shares no memory with what parses a header or
 * holds a key.
 */
#pragma once

/* PID 1 */
int init_main(int argc, char **argv);
/* caisson-unlock */
int unlock_main(int argc, char **argv);
/* caisson-format */
int format_main(int argc, char **argv);
/* Those of e2fsprogs, under these names in the libraries of guest/static. */
int e2fsck_main(int argc, char **argv);
int mke2fs_main(int argc, char **argv);
