/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header of a bzImage: Documentation/arch/x86/boot.rst. */
	.text
	.org 0x1f1
	.byte 1 /* setup_sects */
	.org 0x202
	.ascii "HdrS"
	.word 0x020f
	.org 0x20e
	.word 0x100 /* the release, from 0x200 on */
	.org 0x248
	.long 0, 64 /* payload */
	.org 0x300
	.ascii RELEASE
	.ascii " ("
	.ascii USER
	.asciz ") "
	.ascii WHEN
	.org 0x400
	.fill 64, 1, 0x90
