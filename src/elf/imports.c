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
	STRINGS_AT_ONCE = 256 << 10, /* a larger string table is read name by name */
	SYMBOLS_AT_ONCE = 256,
	SYMBOLS_MOST =
		1 << 20, /* undefined ones; the largest known programs have some ten thousand */
	NAME_MOST = 32,  /* bytes of a watched name, with its NUL */
};

/* The string table: all of it, or where it stands. */
struct strings {
	char *data; /* NULL: too large to hold */
	uint64_t offset, size;
};

static void strings_done(struct strings *strings)
{
	free(strings->data);
}

static int read_strings(struct elf_image *image, const struct elf_symbols *symbols,
	struct strings *ret_strings, struct caisson_error *err)
{
	_cleanup_free_ char *data = NULL;
	uint64_t offset, size;
	int r;

	r = elf_image_map(image, symbols->strings, "string table", &offset, &size, err);
	if (r < 0)
		return r;
	size = MIN(size, symbols->strings_size);
	if (size <= STRINGS_AT_ONCE) {
		data = malloc((size_t)size + 1);
		if (data == NULL)
			return caisson_fail(err, ENOMEM, "read %s", image->input->name);
		r = elf_image_get(image, offset, data, (size_t)size, err);
		if (r < 0)
			return r;
		data[size] = '\0';
	}
	*ret_strings = (struct strings){take_ptr(data), offset, size};
	return 0;
}

/* The name at @at, or as much of it as any watched name has. */
static int read_name(struct elf_image *image, const struct strings *strings, uint32_t at,
	char *buffer, const char **ret_name, struct caisson_error *err)
{
	size_t size;
	int r;

	*ret_name = "";
	if (at >= strings->size)
		return 0;
	if (strings->data != NULL) {
		*ret_name = strings->data + at;
		return 0;
	}
	size = (size_t)MIN(strings->size - at, (uint64_t)NAME_MOST - 1);
	r = elf_image_get(image, strings->offset + at, buffer, size, err);
	if (r < 0)
		return r;
	buffer[size] = '\0';
	*ret_name = buffer;
	return 0;
}

/* What a hash table says of the number of symbols; @most when it says nothing. DT_GNU_HASH leaves
   out exactly the undefined ones, which stand in front; DT_HASH counts all (Alpha and s390x have
   64-bit words there, and fall back to the bound). */
static int count_hashed(struct elf_image *image, const struct elf_symbols *symbols, uint64_t most,
	uint64_t *ret_count, struct caisson_error *err)
{
	bool odd = image->ident.machine == EM_S390 || image->ident.machine == EM_ALPHA;
	uint64_t address = symbols->gnu_hash != 0 ? symbols->gnu_hash : symbols->hash;
	uint64_t hash, room, count;
	int r;

	*ret_count = most;
	if (address == 0 || (symbols->gnu_hash == 0 && odd) ||
		elf_image_map(image, address, "hash table", &hash, &room, NULL) < 0 || room < 8)
		return 0;
	r = elf_image_word(image, hash + 4, 4, &count, err);
	if (r < 0)
		return r;
	*ret_count = MIN(most, count);
	return 0;
}

/*
 * How many symbols there are stands nowhere else. Without a hash table: up to the string table,
 * which linkers put behind the symbols, or to the end of the segment. What lies between is no
 * symbol, and could at worst add a library to the closure that is not needed.
 */
static int count_symbols(struct elf_image *image, const struct elf_symbols *symbols,
	unsigned int entry_size, uint64_t *ret_offset, uint64_t *ret_count,
	struct caisson_error *err)
{
	uint64_t room;
	int r = elf_image_map(image, symbols->symbols, "symbol table", ret_offset, &room, err);

	if (r < 0)
		return r;
	if (symbols->strings > symbols->symbols)
		room = MIN(room, symbols->strings - symbols->symbols);
	return count_hashed(
		image, symbols, MIN(room / entry_size, (uint64_t)SYMBOLS_MOST), ret_count, err);
}

/* Most names are done with by their first letters. */
struct wanted {
	const struct elf_watch *watch;
	bool beginnings[256];
};

static uint8_t beginning(const char *name)
{
	uint8_t hash = 0;

	for (unsigned int i = 0; i < 5 && name[i] != '\0'; i++)
		hash = (uint8_t)(hash * 33 + (uint8_t)name[i]);
	return hash;
}

static uint32_t watched(const struct wanted *wanted, const char *name)
{
	if (!wanted->beginnings[beginning(name)])
		return 0;
	for (size_t i = 0; i < wanted->watch->count; i++) {
		if (strcmp(wanted->watch->symbols[i], name) == 0)
			return 1u << i;
	}
	return 0;
}

/* Elf32_Sym and Elf64_Sym, by offset: st_name, and st_shndx of SHN_UNDEF. */
static int scan_some(struct elf_image *image, const struct strings *strings,
	const struct wanted *wanted, const uint8_t *symbols, size_t count, uint32_t *imports,
	struct caisson_error *err)
{
	bool wide = image->ident.bits == 64;
	unsigned int entry_size = wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);

	for (size_t i = 0; i < count; i++) {
		const uint8_t *entry = symbols + i * entry_size;
		const uint8_t *section = entry + (wide ? 6 : 14);
		char buffer[NAME_MOST];
		const char *name;
		int r;

		if (section[0] != 0 || section[1] != 0)
			continue;
		r = read_name(image, strings,
			(uint32_t)elf_number(entry, 4, image->ident.big_endian), buffer, &name,
			err);
		if (r < 0)
			return r;
		*imports |= watched(wanted, name);
	}
	return 0;
}

static int scan_symbols(struct elf_image *image, const struct elf_symbols *symbols,
	const struct strings *strings, const struct wanted *wanted, uint32_t *ret_imports,
	struct caisson_error *err)
{
	unsigned int entry_size = image->ident.bits == 64 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
	uint8_t bytes[SYMBOLS_AT_ONCE * sizeof(Elf64_Sym)];
	uint64_t offset, count;
	uint32_t imports = 0;
	int r;

	r = count_symbols(image, symbols, entry_size, &offset, &count, err);
	while (r >= 0 && count > 0) {
		size_t some = MIN(count, (uint64_t)SYMBOLS_AT_ONCE);

		r = elf_image_get(image, offset, bytes, some * entry_size, err);
		if (r >= 0)
			r = scan_some(image, strings, wanted, bytes, some, &imports, err);
		offset += some * entry_size;
		count -= some;
	}
	if (r < 0)
		return r;
	*ret_imports = imports;
	return 0;
}

int elf_image_imports(struct elf_image *image, const struct elf_symbols *symbols,
	const struct elf_watch *watch, uint32_t *ret_imports, struct caisson_error *err)
{
	struct wanted wanted = {.watch = watch};
	_cleanup_(strings_done) struct strings strings = {NULL, 0, 0};
	int r;

	if (symbols->strings == 0 || symbols->symbols == 0) {
		*ret_imports = 0;
		return 0;
	}
	for (size_t i = 0; i < watch->count; i++)
		wanted.beginnings[beginning(watch->symbols[i])] = true;
	r = read_strings(image, symbols, &strings, err);
	if (r < 0)
		return r;
	return scan_symbols(image, symbols, &strings, &wanted, ret_imports, err);
}
