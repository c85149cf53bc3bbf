/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Access to the bytes of an ELF file for reader.c: header, segments, addresses, strings, symbols.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf/reader.h"

struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, address, file_size, memory_size, alignment;
};

enum { ELF_WINDOWS = 4 };

struct elf_image {
	const struct elf_input *input;
	struct elf_ident ident;
	unsigned int segment_count, segment_size;
	uint64_t segment_offset;
	struct elf_segment *loads; /* room for segment_count */
	size_t load_count;
	struct elf_segment dynamic, interp; /* type 0: none */
	struct elf_segment notes[8];        /* PT_NOTE; more than any linker makes */
	size_t note_count;
	/* The parts of the file that were read last: headers, names and symbols are far apart. */
	struct elf_window {
		uint64_t offset;
		size_t size; /* 0: unused */
	} windows[ELF_WINDOWS];
	uint8_t *bytes; /* of all windows */
	unsigned int next_window;
};

/* @image has its @input set and is zero otherwise. Checks the header. */
int elf_image_identify(struct elf_image *image, struct caisson_error *err);
/* The same, and that there are program headers to read. */
int elf_image_open(struct elf_image *image, struct caisson_error *err);
int elf_image_segment(struct elf_image *image, unsigned int index, struct elf_segment *ret_segment,
	struct caisson_error *err);
/* Copies bytes; -ENOEXEC when they are not all in the file. */
int elf_image_get(
	struct elf_image *image, uint64_t offset, void *to, size_t size, struct caisson_error *err);
/* A number of 2, 4 or 8 bytes in the file's byte order. */
int elf_image_word(struct elf_image *image, uint64_t offset, unsigned int size, uint64_t *ret_value,
	struct caisson_error *err);
/* Where the loader would find @address: the file offset, and how many bytes follow in the segment.
 */
int elf_image_map(struct elf_image *image, uint64_t address, const char *what, uint64_t *ret_offset,
	uint64_t *ret_room, struct caisson_error *err);
/* A NUL-terminated string within @room bytes; owned by the caller. */
int elf_image_string(struct elf_image *image, uint64_t offset, uint64_t room, char **ret_text,
	struct caisson_error *err);
void elf_image_done(struct elf_image *image);

/* A number of 2, 4 or 8 bytes that was read already. */
uint64_t elf_number(const uint8_t *bytes, unsigned int size, bool big_endian);

/* Addresses from the dynamic section; 0: absent. */
struct elf_symbols {
	uint64_t strings, strings_size, symbols, hash, gnu_hash, needed, defined;
};

/* Sets bit N of *ret_imports when symbol N of @watch stands undefined in the symbol table. */
int elf_image_imports(struct elf_image *image, const struct elf_symbols *symbols,
	const struct elf_watch *watch, uint32_t *ret_imports, struct caisson_error *err);
/* DT_VERNEED and DT_VERDEF into @file. */
int elf_image_versions(struct elf_image *image, const struct elf_symbols *symbols,
	struct elf_file *file, struct caisson_error *err);
/* The texts of .note.dlopen into @file; what is malformed is passed over. -ENOMEM alone. */
int elf_image_notes(struct elf_image *image, struct elf_file *file, struct caisson_error *err);
/* The string at @at in the string table: DT_STRSZ is not asked, as the loader does not, either. */
int elf_image_name(struct elf_image *image, uint64_t strings, uint64_t at, size_t most,
	char **ret_text, struct caisson_error *err);
