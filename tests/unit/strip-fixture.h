/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes ELF files with sections, debug sections among them: any class, byte order and type. */
#pragma once

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/strbuf.h"
#include "elf-fixture.h"

struct piece {
	const char *name;
	uint32_t type;
	uint64_t flags, size, align;
	uint32_t link, info;
	const uint32_t *words; /* its bytes, as numbers; NULL: a pattern */
	uint64_t gap;          /* zeros in front of it */
};

enum {
	TEXT = 1,
	DEBUG_INFO,
	RELA_DEBUG,
	BSS,
	COMMENT,
	DEBUG_STR,
	RELA_TEXT,
	GROUP,
	SYMBOLS,
	STRINGS,
	NAMES,
	PIECES,
};

struct shape {
	struct elf_fixture f;
	uint16_t type;
	struct piece pieces[PIECES];
};

static const uint32_t group_words[] = {GRP_COMDAT, DEBUG_STR, DEBUG_INFO, RELA_DEBUG};

static inline struct shape make_shape(unsigned int bits, bool big_endian, uint16_t type)
{
	return (struct shape){
		.f = {.bits = bits, .big_endian = big_endian},
		.type = type,
		.pieces =
			{
				[TEXT] = {".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 40, 16},
				[DEBUG_INFO] = {".debug_info", SHT_PROGBITS, 0, 1333, 1},
				[RELA_DEBUG] = {".rela.debug_info", SHT_RELA, SHF_INFO_LINK, 240, 8,
					SYMBOLS, DEBUG_INFO},
				[BSS] = {".bss", SHT_NOBITS, SHF_ALLOC, 1 << 20, 32},
				[COMMENT] = {".comment", SHT_PROGBITS, SHF_STRINGS, 27, 1},
				[DEBUG_STR] = {".zdebug_str", SHT_PROGBITS, SHF_COMPRESSED, 99,
					4096},
				[RELA_TEXT] = {".rela.text", SHT_RELA, SHF_INFO_LINK, 48, 8,
					SYMBOLS, TEXT},
				[GROUP] = {".group", type == ET_REL ? SHT_GROUP : SHT_PROGBITS, 0,
					sizeof(group_words), 4, SYMBOLS, 1, group_words},
				[SYMBOLS] = {".symtab", SHT_SYMTAB, 0, 72, 8, STRINGS, 1},
				[STRINGS] = {".strtab", SHT_STRTAB, 0, 13, 1},
				[NAMES] = {".shstrtab", SHT_STRTAB, 0, 0, 1},
			},
	};
}

static inline void put_at(const struct shape *shape, struct strbuf *file, size_t at, uint64_t value,
	unsigned int size)
{
	_cleanup_strbuf_ struct strbuf number = STRBUF_INIT;

	fixture_number(&shape->f, &number, value, size);
	memcpy(file->data + at, number.data, size);
}

static inline bool is_wide(const struct shape *shape)
{
	return shape->f.bits != 32;
}

static inline void put_piece(const struct shape *shape, struct strbuf *file,
	const struct piece *piece, const struct strbuf *names)
{
	if (piece->type == SHT_NOBITS)
		return;
	if (piece->words != NULL) {
		for (size_t i = 0; i < piece->size / 4; i++)
			fixture_number(&shape->f, file, piece->words[i], 4);
	} else if (piece == &shape->pieces[NAMES]) {
		strbuf_add(file, names->data, names->size);
	} else {
		for (size_t i = 0; i < piece->size; i++)
			strbuf_add_char(file, (char)(i * 7 + strlen(piece->name)));
	}
}

static inline void pad_to(struct strbuf *file, uint64_t align)
{
	while (align > 1 && file->size % align != 0)
		strbuf_add_char(file, '\0');
}

static inline void put_section(const struct shape *shape, struct strbuf *table,
	const struct piece *piece, uint64_t name, uint64_t offset, uint64_t size)
{
	const struct elf_fixture *f = &shape->f;

	fixture_number(f, table, name, 4);
	fixture_number(f, table, piece->type, 4);
	fixture_word(f, table, piece->flags);
	fixture_word(f, table, 0);
	fixture_word(f, table, offset);
	fixture_word(f, table, size);
	fixture_number(f, table, piece->link, 4);
	fixture_number(f, table, piece->info, 4);
	fixture_word(f, table, piece->align);
	fixture_word(f, table, 0);
}

/* Header, (PT_LOAD), the pieces, the section headers. */
static inline void build(const struct shape *shape, struct strbuf *file)
{
	bool wide = is_wide(shape), segments = shape->type != ET_REL;
	_cleanup_strbuf_ struct strbuf table = STRBUF_INIT, names = STRBUF_INIT;
	size_t start = segments ? (wide ? 64 + 56 : 52 + 32) : 0;
	const struct piece *text = &shape->pieces[TEXT];

	fixture_header(&shape->f, file, segments ? 1 : 0);
	put_at(shape, file, 16, shape->type, 2);
	if (segments) /* from the header to the end of .text */
		fixture_segment(&shape->f, file, PT_LOAD, 0,
			(start + text->align - 1) / text->align * text->align + text->size);
	fixture_number(&shape->f, &table, 0, wide ? 64 : 40);
	strbuf_add_char(&names, '\0');
	for (size_t i = 1; i < PIECES; i++)
		strbuf_add(&names, shape->pieces[i].name, strlen(shape->pieces[i].name) + 1);
	for (size_t i = 1, name = 1; i < PIECES; i++) {
		const struct piece *piece = &shape->pieces[i];
		size_t offset;

		for (uint64_t k = 0; k < piece->gap; k++)
			strbuf_add_char(file, '\0');
		pad_to(file, piece->align);
		offset = file->size;
		put_piece(shape, file, piece, &names);
		put_section(
			shape, &table, piece, name, offset, i == NAMES ? names.size : piece->size);
		name += strlen(piece->name) + 1;
	}
	pad_to(file, 8);
	put_at(shape, file, wide ? 40 : 32, file->size, wide ? 8 : 4);
	put_at(shape, file, wide ? 58 : 46, wide ? 64 : 40, 2);
	put_at(shape, file, wide ? 60 : 48, PIECES, 2);
	put_at(shape, file, wide ? 62 : 50, NAMES, 2);
	strbuf_add(file, table.data, table.size);
}
