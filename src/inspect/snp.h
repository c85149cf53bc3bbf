/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The launch digest of a guest under AMD SEV-SNP, started by QEMU: "SEV Secure Nested Paging
 * Firmware ABI Specification", section 8.17.2 (PAGE_INFO), over the firmware's pages, the pages
 * that its metadata asks for, and the save area of each processor.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SNP_DIGEST_SIZE = 48,
	SNP_PAGE_SIZE = 4096,
	SNP_SECTIONS_MOST = 64,
	SNP_VCPUS_MOST = 4096,
	SEV_TABLE_SIZE = 176, /* padded to 16 bytes, as QEMU measures it */
};

/* Kinds of sections: OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm of edk2. */
enum snp_section_kind {
	SNP_SECTION_MEMORY = 1,
	SNP_SECTION_SECRETS = 2,
	SNP_SECTION_CPUID = 3,
	SNP_SECTION_CAA = 4,
	SNP_SECTION_HASHES = 0x10,
};

/* What a firmware says in the table at its end. */
struct snp_firmware {
	uint32_t reset_address; /* where processors other than the first start */
	uint32_t hashes;        /* where the table of hashes goes; 0: nowhere */
	struct snp_section {
		uint32_t address, size, kind;
	} sections[SNP_SECTIONS_MOST];
	size_t count;
};

/* Reads the tables of the image in @data. -EBADMSG when it has none for SEV-SNP. */
int snp_firmware_read(const uint8_t *data, size_t size, const char *what,
	struct snp_firmware *ret_firmware, struct caisson_error *err);

/* The table of hashes that QEMU puts into memory (target/i386/sev.c). Digests are SHA-256. */
void sev_table(const uint8_t kernel[static 32], const uint8_t initrd[static 32],
	const uint8_t cmdline[static 32], uint8_t ret_table[static SEV_TABLE_SIZE]);

/* Extends @digest (all zero at first) by the pages of the firmware, which end at 4 GiB. */
int snp_add_firmware(uint8_t digest[static SNP_DIGEST_SIZE], const uint8_t *data, size_t size,
	struct caisson_error *err);
/* And by all that follows. @table: of SEV_TABLE_SIZE bytes; NULL: without hashes. */
int snp_add_rest(uint8_t digest[static SNP_DIGEST_SIZE], const struct snp_firmware *firmware,
	const uint8_t *table, unsigned int vcpus, uint32_t signature, uint64_t features,
	struct caisson_error *err);
