/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The section headers of an ELF file: what is not needed to run it, and what linkers and the
 * kernel's module loader read. Any class, byte order and machine; programs, libraries and object
 * files. Every offset is checked against the file.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf/image.h"

struct elf_section {
	const char *name; /* "" when it lies outside of the table of names */
	uint32_t type, link, info;
	uint64_t flags, offset, size, align;
};

struct elf_sections {
	bool wide, big_endian; /* 64 bits; byte order */
	uint16_t type;         /* ET_REL, ET_EXEC or ET_DYN */
	/* Up to here offsets and bytes matter to whoever loads the file: the ELF header, program
	   headers and what they cover, and (not in object files) sections with SHF_ALLOC. */
	uint64_t loaded_end;
	uint64_t table_offset;
	size_t count;
	size_t names_index;
	unsigned int entry_size;
	uint8_t *table; /* the headers as they stand in the file */
	struct elf_section *items;
	char *names;
};

#define ELF_SECTIONS_NONE ((struct elf_sections){0})

/* Its bytes are in the file. */
bool elf_section_has_bytes(const struct elf_section *section);
/* Where a field of an entry of the table stands, and how large a word is there. */
unsigned int elf_sections_offset_field(const struct elf_sections *sections, unsigned int *ret_size);

/*
 * @image has its @input set and is zero otherwise. Returns 1 when the file has no section headers
 * that can be relied on: *ret_why says why (static text). Fails when it cannot be read or memory
 * runs out, never for what it holds.
 */
int elf_sections_read(struct elf_image *image, struct elf_sections *ret_sections,
	const char **ret_why, struct caisson_error *err);
void elf_sections_done(struct elf_sections *sections);
