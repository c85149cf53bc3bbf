/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images of kernels, as small as they can be. */
#pragma once

#include <elf.h>

#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "pack.h"
#include "test.h"

enum { SETUP_SIZE = 5 * 512, VMLINUX_SIZE = 300000 };

static inline void write_text(const char *path, const void *data, size_t size)
{
	struct caisson_error err = {0};

	assert_ok(write_file_atomic(path, data, size, 0644, &err), &err);
}

static inline void write_lines(const char *path, const char *text)
{
	write_text(path, text, strlen(text));
}

static inline char *below(const char *folder, const char *name)
{
	char *path = path_join(folder, name);
	char *slash = strrchr(path, '/');
	struct caisson_error err = {0};

	*slash = '\0';
	assert_ok(make_directories(path, 0755, &err), &err);
	*slash = '/';
	return path;
}

/* An ELF file with one note segment, and the banner far behind it. */
static inline char *make_vmlinux(uint32_t note_type, const char *release)
{
	char *file = calloc(1, VMLINUX_SIZE);
	Elf64_Ehdr header = {.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2};
	Elf64_Phdr segments[2] = {
		{.p_type = PT_LOAD}, {.p_type = PT_NOTE, .p_offset = 1024, .p_filesz = 48}};
	uint32_t other[] = {4, 4, 9, 0x006e6558, 0x00736579};
	uint32_t note[] = {4, 8, note_type, 0x006e6558, 0x01000850, 0};

	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	header.e_ident[EI_DATA] = ELFDATA2LSB;
	header.e_ident[EI_VERSION] = EV_CURRENT;
	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), segments, sizeof(segments));
	memcpy(file + 1024, other, sizeof(other));
	memcpy(file + 1024 + sizeof(other), note, sizeof(note));
	snprintf(file + 200000, 200, "Linux version %%s (not this one)");
	snprintf(file + 250000, 200, "Linux version %s (somebody@somewhere) #1 SMP", release);
	return file;
}

static inline void put_le32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> (8 * i));
}

/* A bzImage around @payload, and the payload's size where the build puts it. */
static inline void make_bzimage(struct strbuf *image, const char *release, const void *payload,
	size_t size, uint32_t unpacked)
{
	uint8_t setup[SETUP_SIZE] = {0};
	uint8_t end[4];

	setup[0x1f1] = 4;
	memcpy(setup + 0x202, "HdrS", 4);
	setup[0x206] = 0x0f;
	setup[0x207] = 0x02;
	setup[0x20e] = 0x00;
	setup[0x20f] = 0x03; /* 0x300 + 0x200 */
	snprintf((char *)setup + 0x500, 128, "%s (somebody@somewhere) #1 SMP", release);
	put_le32(setup + 0x248, 100);
	put_le32(setup + 0x24c, (uint32_t)size + 4);
	strbuf_add(image, setup, sizeof(setup));
	strbuf_add(image, setup, 100);
	strbuf_add(image, payload, size);
	put_le32(end, unpacked);
	strbuf_add(image, end, sizeof(end));
	strbuf_add(image, setup, 300);
}

/* Gzip's own last four bytes are the size: make_bzimage() writes them. */
static inline void pack_payload(const char *form, const char *vmlinux, struct strbuf *packed)
{
	pack(form, vmlinux, VMLINUX_SIZE, packed);
	if (strcmp(form, "gzip") == 0)
		packed->size -= 4;
}
