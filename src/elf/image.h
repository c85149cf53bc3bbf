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
	uint32_t type;
	uint64_t offset, address, file_size, memory_size;
};

struct elf_image {
	const struct elf_input *input;
	struct elf_ident ident;
	unsigned int segment_count;
	uint64_t segment_offset;
	struct elf_segment *loads; /* room for segment_count */
	size_t load_count;
	struct elf_segment dynamic, interp; /* type 0: none */
	/* The part of the file that was read last. */
	uint8_t *window;
	uint64_t window_offset;
	size_t window_size;
};

/* @image has its @input set and is zero otherwise. Checks the header. */
int elf_image_open(struct elf_image *image, struct caisson_error *err);
int elf_image_segment(struct elf_image *image, unsigned int index, struct elf_segment *ret_segment,
	struct caisson_error *err);
/* Copies bytes; -ENOEXEC when they are not all in the file. */
int elf_image_get(
	struct elf_image *image, uint64_t offset, void *to, size_t size, struct caisson_error *err);
/* A number of up to 8 bytes. */
uint64_t elf_number(const uint8_t *bytes, unsigned int size, bool big_endian);
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

/* Addresses from the dynamic section. */
struct elf_symbols {
	uint64_t strings, strings_size, symbols, hash;
	bool has_hash;
};

/* Sets bit N of *ret_imports when symbol N of @watch stands undefined in the symbol table. */
int elf_image_imports(struct elf_image *image, const struct elf_symbols *symbols,
	const struct elf_watch *watch, uint32_t *ret_imports, struct caisson_error *err);
