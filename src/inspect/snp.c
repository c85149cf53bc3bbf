/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/snp.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/macros.h"

enum {
	PAGE_INFO_SIZE = 0x70,
	SECTION_BYTES_MOST = 256 << 20,
};

/* PAGE_INFO.PAGE_TYPE */
enum page_type {
	PAGE_NORMAL = 1,
	PAGE_VMSA = 2,
	PAGE_ZERO = 3,
	PAGE_SECRETS = 5,
	PAGE_CPUID = 6,
};

/* The RMP has save areas at the address -1, without the bits that no address has. */
#define VMSA_ADDRESS 0xfffffffff000ull
#define FIRST_RESET  0xfffffff0u
#define FIRMWARE_END 0x100000000ull

static void put(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

static int sha384(const void *data, size_t size, uint8_t ret_digest[static SNP_DIGEST_SIZE],
	struct caisson_error *err)
{
	if (!EVP_Digest(data, size, ret_digest, NULL, EVP_sha384(), NULL))
		return caisson_refuse(err, EIO, "OpenSSL has no SHA-384");
	return 0;
}

/* @contents: NULL for pages whose contents are not measured. */
static int add_page(uint8_t digest[static SNP_DIGEST_SIZE], enum page_type type, uint64_t address,
	const uint8_t *contents, struct caisson_error *err)
{
	uint8_t info[PAGE_INFO_SIZE] = {0};
	int r = 0;

	memcpy(info, digest, SNP_DIGEST_SIZE);
	if (contents != NULL)
		r = sha384(contents, SNP_PAGE_SIZE, info + SNP_DIGEST_SIZE, err);
	put(info + 0x60, PAGE_INFO_SIZE, 2);
	put(info + 0x62, type, 1);
	put(info + 0x68, address, 8);
	return r < 0 ? r : sha384(info, sizeof(info), digest, err);
}

int snp_add_firmware(uint8_t digest[static SNP_DIGEST_SIZE], const uint8_t *data, size_t size,
	struct caisson_error *err)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at + SNP_PAGE_SIZE <= size; at += SNP_PAGE_SIZE)
		r = add_page(digest, PAGE_NORMAL, FIRMWARE_END - size + at, data + at, err);
	return r;
}

static void put_entry(uint8_t *to, const uint8_t guid[static 16], const uint8_t hash[static 32])
{
	memcpy(to, guid, 16);
	put(to + 16, 16 + 2 + 32, 2);
	memcpy(to + 18, hash, 32);
}

void sev_table(const uint8_t kernel[static 32], const uint8_t initrd[static 32],
	const uint8_t cmdline[static 32], uint8_t ret_table[static SEV_TABLE_SIZE])
{
	static const uint8_t table_guid[16] = {0x06, 0xd6, 0x38, 0x94, 0x22, 0x4f, 0xc9, 0x4c, 0xb4,
		0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21};
	static const uint8_t kernel_guid[16] = {0x37, 0x94, 0xe7, 0x4d, 0xd2, 0xab, 0x7f, 0x42,
		0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b};
	static const uint8_t initrd_guid[16] = {0x31, 0xf7, 0xba, 0x44, 0x2f, 0x3a, 0xd7, 0x4b,
		0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d};
	static const uint8_t cmdline_guid[16] = {0xd8, 0x2d, 0xd0, 0x97, 0x20, 0xbd, 0x94, 0x4c,
		0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a};

	memset(ret_table, 0, SEV_TABLE_SIZE);
	memcpy(ret_table, table_guid, 16);
	put(ret_table + 16, 18 + 3 * 50, 2);
	put_entry(ret_table + 18, cmdline_guid, cmdline);
	put_entry(ret_table + 68, initrd_guid, initrd);
	put_entry(ret_table + 118, kernel_guid, kernel);
}

static int add_hashes(uint8_t digest[static SNP_DIGEST_SIZE], const struct snp_firmware *firmware,
	const struct snp_section *section, const uint8_t *table, struct caisson_error *err)
{
	uint8_t page[SNP_PAGE_SIZE] = {0};
	size_t offset = firmware->hashes % SNP_PAGE_SIZE;

	if (section->size != SNP_PAGE_SIZE || firmware->hashes == 0 ||
		offset + SEV_TABLE_SIZE > SNP_PAGE_SIZE ||
		firmware->hashes - offset != section->address)
		return caisson_refuse(
			err, EBADMSG, "the firmware's page for hashes cannot hold their table");
	memcpy(page + offset, table, SEV_TABLE_SIZE);
	return add_page(digest, PAGE_NORMAL, section->address, page, err);
}

static int add_zeros(uint8_t digest[static SNP_DIGEST_SIZE], const struct snp_section *section,
	struct caisson_error *err)
{
	int r = 0;

	for (uint32_t at = 0; r == 0 && at < section->size; at += SNP_PAGE_SIZE)
		r = add_page(digest, PAGE_ZERO, (uint64_t)section->address + at, NULL, err);
	return r;
}

static int add_section(uint8_t digest[static SNP_DIGEST_SIZE], const struct snp_firmware *firmware,
	const struct snp_section *section, const uint8_t *table, struct caisson_error *err)
{
	if (section->size % SNP_PAGE_SIZE != 0 || section->address % SNP_PAGE_SIZE != 0 ||
		section->size > SECTION_BYTES_MOST)
		return caisson_refuse(err, EBADMSG, "the firmware asks for no whole pages");
	switch (section->kind) {
	case SNP_SECTION_SECRETS:
		return add_page(digest, PAGE_SECRETS, section->address, NULL, err);
	case SNP_SECTION_CPUID:
		return add_page(digest, PAGE_CPUID, section->address, NULL, err);
	case SNP_SECTION_HASHES:
		return table != NULL ? add_hashes(digest, firmware, section, table, err)
				     : add_zeros(digest, section, err);
	case SNP_SECTION_MEMORY:
	case SNP_SECTION_CAA:
		return add_zeros(digest, section, err);
	default:
		return caisson_refuse(err, EBADMSG,
			"the firmware asks for pages of a kind that is not known (%u)",
			section->kind);
	}
}

/* A segment register: selector, attributes, limit, base. */
static void put_segment(
	uint8_t *to, uint16_t selector, uint16_t attributes, uint32_t limit, uint64_t base)
{
	put(to, selector, 2);
	put(to + 2, attributes, 2);
	put(to + 4, limit, 4);
	put(to + 8, base, 8);
}

/* A processor after its reset, as QEMU and KVM set it up (AMD's manual, volume 2, table B-4). */
static void save_area(uint32_t reset, uint32_t signature, uint64_t features,
	uint8_t ret_page[static SNP_PAGE_SIZE])
{
	static const uint16_t data_segments[] = {0x00, 0x20, 0x30, 0x40, 0x50}; /* ES SS DS FS GS */

	memset(ret_page, 0, SNP_PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(data_segments); i++)
		put_segment(ret_page + data_segments[i], 0, 0x93, 0xffff, 0);
	put_segment(ret_page + 0x10, 0xf000, 0x9b, 0xffff, reset & 0xffff0000u); /* CS */
	put_segment(ret_page + 0x60, 0, 0, 0xffff, 0);                           /* GDTR */
	put_segment(ret_page + 0x70, 0, 0x82, 0xffff, 0);                        /* LDTR */
	put_segment(ret_page + 0x80, 0, 0, 0xffff, 0);                           /* IDTR */
	put_segment(ret_page + 0x90, 0, 0x8b, 0xffff, 0);                        /* TR */
	put(ret_page + 0xd0, 0x1000, 8);                                         /* EFER: SVME */
	put(ret_page + 0x148, 0x40, 8);                                          /* CR4: MCE */
	put(ret_page + 0x158, 0x10, 8);                                          /* CR0 */
	put(ret_page + 0x160, 0x400, 8);                                         /* DR7 */
	put(ret_page + 0x168, 0xffff0ff0u, 8);                                   /* DR6 */
	put(ret_page + 0x170, 2, 8);                                             /* RFLAGS */
	put(ret_page + 0x178, reset & 0xffff, 8);                                /* RIP */
	put(ret_page + 0x268, 0x7040600070406, 8);                               /* G_PAT */
	put(ret_page + 0x310, signature, 8);                                     /* RDX */
	put(ret_page + 0x3b0, features, 8);                                      /* SEV_FEATURES */
	put(ret_page + 0x3e8, 1, 8);                                             /* XCR0 */
	put(ret_page + 0x408, 0x1f80, 4);                                        /* MXCSR */
	put(ret_page + 0x410, 0x37f, 2); /* the x87 control word */
}

int snp_add_rest(uint8_t digest[static SNP_DIGEST_SIZE], const struct snp_firmware *firmware,
	const uint8_t *table, unsigned int vcpus, uint32_t signature, uint64_t features,
	struct caisson_error *err)
{
	uint8_t page[SNP_PAGE_SIZE];
	bool hashes = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < firmware->count; i++) {
		hashes = hashes || firmware->sections[i].kind == SNP_SECTION_HASHES;
		r = add_section(digest, firmware, &firmware->sections[i], table, err);
	}
	if (r == 0 && table != NULL && !hashes)
		return caisson_refuse(err, EBADMSG,
			"the firmware has no place for hashes of the kernel: it is not built from AmdSev");
	if (r == 0 && vcpus > 1 && firmware->reset_address == 0)
		return caisson_refuse(
			err, EBADMSG, "the firmware does not say where further processors start");
	for (unsigned int i = 0; r == 0 && i < vcpus; i++) {
		save_area(
			i == 0 ? FIRST_RESET : firmware->reset_address, signature, features, page);
		r = add_page(digest, PAGE_VMSA, VMSA_ADDRESS, page, err);
	}
	return r;
}
