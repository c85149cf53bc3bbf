/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What vmlinux carries: the entry for PVH (XEN_ELFNOTE_PHYS32_ENTRY), and its configuration. */
	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18
	.asciz "Xen"
	.quad 0x1000000

	.section .rodata, "a", @progbits
	.ascii "IKCFG_ST"
	.incbin "config_data.gz"
	.ascii "IKCFG_ED"
	.section .note.GNU-stack, "", @progbits
