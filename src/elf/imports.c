/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which of a few symbols an ELF file refers to without defining them. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/macros.h"
#include "elf/image.h"

enum {
	STRINGS_MOST =
		64 << 20, /* far above any library's (libLLVM's 20 MB are the largest known) */
	SYMBOLS_AT_ONCE = 256,
};

/* The string table as it stands, with a NUL behind it. */
static int read_strings(struct elf_image *image, const struct elf_symbols *symbols,
	char **ret_strings, size_t *ret_size, struct caisson_error *err)
{
	_cleanup_free_ char *strings = NULL;
	uint64_t offset, room;
	int r;

	r = elf_image_map(image, symbols->strings, "string table", &offset, &room, err);
	if (r < 0)
		return r;
	room = MIN(room, symbols->strings_size);
	if (room > STRINGS_MOST)
		return caisson_refuse(err, E2BIG, "%s has a string table of more than %d MiB",
			image->input->name, STRINGS_MOST >> 20);
	strings = malloc((size_t)room + 1);
	if (strings == NULL)
		return caisson_fail(err, ENOMEM, "read %s", image->input->name);
	r = elf_image_get(image, offset, strings, (size_t)room, err);
	if (r < 0)
		return r;
	strings[room] = '\0';
	*ret_strings = take_ptr(strings);
	*ret_size = (size_t)room;
	return 0;
}

/*
 * How many symbols there are stands nowhere. DT_HASH says it; DT_GNU_HASH leaves out exactly the
 * undefined ones. Without DT_HASH: up to the string table, which linkers put behind the symbols, or
 * to the end of the segment. What lies between is no symbol, and could at worst add a library to
 * the closure that is not needed.
 */
static int count_symbols(struct elf_image *image, const struct elf_symbols *symbols,
	unsigned int entry_size, uint64_t *ret_offset, uint64_t *ret_count,
	struct caisson_error *err)
{
	uint64_t room, count, hash, hash_room;
	int r;

	r = elf_image_map(image, symbols->symbols, "symbol table", ret_offset, &room, err);
	if (r < 0)
		return r;
	if (symbols->strings > symbols->symbols)
		room = MIN(room, symbols->strings - symbols->symbols);
	count = room / entry_size;
	/* Alpha and s390x have 64-bit words in DT_HASH: those fall back to the bound. */
	if (symbols->has_hash && image->ident.machine != EM_S390 &&
		image->ident.machine != EM_ALPHA &&
		elf_image_map(image, symbols->hash, "hash table", &hash, &hash_room, NULL) == 0 &&
		hash_room >= 8) {
		uint64_t chains;

		r = elf_image_word(image, hash + 4, 4, &chains, err);
		if (r < 0)
			return r;
		count = MIN(count, chains);
	}
	*ret_count = count;
	return 0;
}

static uint32_t watched(const struct elf_watch *watch, const char *name)
{
	for (size_t i = 0; i < watch->count; i++) {
		if (strcmp(watch->symbols[i], name) == 0)
			return 1u << i;
	}
	return 0;
}

static int scan_symbols(struct elf_image *image, const struct elf_symbols *symbols,
	const struct elf_watch *watch, const char *strings, size_t strings_size,
	uint32_t *ret_imports, struct caisson_error *err)
{
	bool wide = image->ident.bits == 64;
	unsigned int entry_size = wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	uint8_t bytes[SYMBOLS_AT_ONCE * sizeof(Elf64_Sym)];
	uint64_t offset, count;
	uint32_t imports = 0;
	int r;

	r = count_symbols(image, symbols, entry_size, &offset, &count, err);
	if (r < 0)
		return r;
	while (count > 0) {
		size_t some = MIN(count, (uint64_t)SYMBOLS_AT_ONCE);

		r = elf_image_get(image, offset, bytes, some * entry_size, err);
		if (r < 0)
			return r;
		for (size_t i = 0; i < some; i++) {
			const uint8_t *entry = bytes + i * entry_size;
			const uint8_t *section = entry + (wide ? 6 : 14); /* st_shndx */
			bool big = image->ident.big_endian;
			uint32_t name = 0;

			for (unsigned int b = 0; b < 4; b++)
				name = name << 8 | entry[big ? b : 3 - b];
			if (section[0] == 0 && section[1] == 0 && name < strings_size)
				imports |= watched(watch, strings + name);
		}
		offset += some * entry_size;
		count -= some;
	}
	*ret_imports = imports;
	return 0;
}

int elf_image_imports(struct elf_image *image, const struct elf_symbols *symbols,
	const struct elf_watch *watch, uint32_t *ret_imports, struct caisson_error *err)
{
	_cleanup_free_ char *strings = NULL;
	bool named = false;
	size_t size = 0;
	int r;

	r = read_strings(image, symbols, &strings, &size, err);
	if (r < 0)
		return r;
	/* Most files name none of them, which shows without a look at the symbols. */
	for (size_t i = 0; i < watch->count && !named; i++)
		named = memmem(strings, size + 1, watch->symbols[i],
				strlen(watch->symbols[i]) + 1) != NULL;
	if (!named) {
		*ret_imports = 0;
		return 0;
	}
	return scan_symbols(image, symbols, watch, strings, size, ret_imports, err);
}
