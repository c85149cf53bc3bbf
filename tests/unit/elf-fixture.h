/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes small ELF files of any class, byte order and machine, as linkers would, and ld.so.caches.
 */
#pragma once

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/strbuf.h"
#include "closure/cache.h"

struct elf_fixture {
	unsigned int bits; /* 0: 64 */
	bool big_endian;
	uint16_t machine; /* 0: EM_AARCH64 */
	const char *interpreter, *soname, *rpath, *runpath;
	const char *needed[8];
	const char *auxiliary;
	const char *import; /* an undefined symbol */
	uint64_t flags_1;
	size_t repeat; /* of the last needed */
	const char *audit;
	const char *note;       /* JSON of .note.dlopen */
	const char *defines[4]; /* versions */
	struct {
		const char *library, *version;
		bool weak;
	} needs[4]; /* versions, each in a record of its own */
};

enum { FIXTURE_BASE = 0x10000 };

static inline void fixture_number(
	const struct elf_fixture *f, struct strbuf *to, uint64_t value, unsigned int size)
{
	for (unsigned int i = 0; i < size; i++) {
		unsigned int at = f->big_endian ? size - 1 - i : i;

		strbuf_add_char(to, at < sizeof(value) ? (char)(value >> 8 * at) : 0);
	}
}

static inline void fixture_word(const struct elf_fixture *f, struct strbuf *to, uint64_t value)
{
	fixture_number(f, to, value, f->bits == 32 ? 4 : 8);
}

static inline void fixture_tag(
	const struct elf_fixture *f, struct strbuf *to, uint64_t tag, uint64_t value)
{
	fixture_word(f, to, tag);
	fixture_word(f, to, value);
}

static inline void fixture_name(const struct elf_fixture *f, struct strbuf *dynamic,
	struct strbuf *strings, uint64_t tag, const char *name)
{
	if (name == NULL)
		return;
	fixture_tag(f, dynamic, tag, strings->size);
	strbuf_add(strings, name, strlen(name) + 1);
}

static inline void fixture_symbol(
	const struct elf_fixture *f, struct strbuf *to, uint32_t name, unsigned int section)
{
	fixture_number(f, to, name, 4);
	if (f->bits == 32)
		fixture_number(f, to, 0, 8);
	fixture_number(f, to, 0x12, 1);
	fixture_number(f, to, 0, 1);
	fixture_number(f, to, section, 2);
	if (f->bits != 32)
		fixture_number(f, to, 0, 16);
}

static inline void fixture_segment(const struct elf_fixture *f, struct strbuf *to, uint32_t type,
	uint64_t offset, uint64_t size)
{
	fixture_number(f, to, type, 4);
	if (f->bits != 32)
		fixture_number(f, to, PF_R, 4);
	fixture_word(f, to, offset);
	fixture_word(f, to, FIXTURE_BASE + offset);
	fixture_word(f, to, FIXTURE_BASE + offset);
	fixture_word(f, to, size);
	fixture_word(f, to, size);
	if (f->bits == 32)
		fixture_number(f, to, PF_R, 4);
	fixture_word(f, to, 4096);
}

static inline void fixture_header(
	const struct elf_fixture *f, struct strbuf *to, unsigned int segments)
{
	bool narrow = f->bits == 32;
	char ident[EI_NIDENT] = ELFMAG;

	ident[EI_CLASS] = narrow ? ELFCLASS32 : ELFCLASS64;
	ident[EI_DATA] = f->big_endian ? ELFDATA2MSB : ELFDATA2LSB;
	ident[EI_VERSION] = EV_CURRENT;
	strbuf_add(to, ident, sizeof(ident));
	fixture_number(f, to, ET_DYN, 2);
	fixture_number(f, to, f->machine != 0 ? f->machine : EM_AARCH64, 2);
	fixture_number(f, to, EV_CURRENT, 4);
	fixture_word(f, to, 0);
	fixture_word(f, to, narrow ? 52 : 64);
	fixture_word(f, to, 0);
	fixture_number(f, to, 0, 4);
	fixture_number(f, to, narrow ? 52 : 64, 2);
	fixture_number(f, to, narrow ? 32 : 56, 2);
	fixture_number(f, to, segments, 2);
	fixture_number(f, to, 0, 6);
}

/* The ELF hash of a name (gABI 5, "Hash Table"), which versions carry. */
static inline uint32_t fixture_hash(const char *name)
{
	uint32_t hash = 0;

	for (; *name != '\0'; name++) {
		uint32_t high;

		hash = (hash << 4) + (uint8_t)*name;
		high = hash & 0xf0000000;
		hash = (hash ^ high >> 24) & ~high;
	}
	return hash;
}

/* Adds @text to the strings, and gives its offset. */
static inline uint64_t fixture_string(struct strbuf *strings, const char *text)
{
	uint64_t at = strings->size;

	strbuf_add(strings, text, strlen(text) + 1);
	return at;
}

/* Verdef and Verdaux, Verneed and Vernaux; the offsets of the two chains within @to. */
static inline void fixture_versions(const struct elf_fixture *f, struct strbuf *to,
	struct strbuf *strings, size_t *ret_defined, size_t *ret_needed)
{
	*ret_defined = to->size;
	for (size_t i = 0; i < ARRAY_SIZE(f->defines) && f->defines[i] != NULL; i++) {
		bool last = i + 1 == ARRAY_SIZE(f->defines) || f->defines[i + 1] == NULL;

		fixture_number(f, to, 1, 2);
		fixture_number(f, to, 0, 2);
		fixture_number(f, to, i + 2, 2);
		fixture_number(f, to, 1, 2);
		fixture_number(f, to, fixture_hash(f->defines[i]), 4);
		fixture_number(f, to, 20, 4);
		fixture_number(f, to, last ? 0 : 28, 4);
		fixture_number(f, to, fixture_string(strings, f->defines[i]), 4);
		fixture_number(f, to, 0, 4);
	}
	*ret_needed = to->size;
	for (size_t i = 0; i < ARRAY_SIZE(f->needs) && f->needs[i].library != NULL; i++) {
		bool last = i + 1 == ARRAY_SIZE(f->needs) || f->needs[i + 1].library == NULL;

		fixture_number(f, to, 1, 2);
		fixture_number(f, to, 1, 2);
		fixture_number(f, to, fixture_string(strings, f->needs[i].library), 4);
		fixture_number(f, to, 16, 4);
		fixture_number(f, to, last ? 0 : 32, 4);
		fixture_number(f, to, fixture_hash(f->needs[i].version), 4);
		fixture_number(f, to, f->needs[i].weak ? VER_FLG_WEAK : 0, 2);
		fixture_number(f, to, i + 2, 2);
		fixture_number(f, to, fixture_string(strings, f->needs[i].version), 4);
		fixture_number(f, to, 0, 4);
	}
}

/* A note of owner "FDO", padded to 4 bytes. */
static inline void fixture_note(const struct elf_fixture *f, struct strbuf *to)
{
	if (f->note == NULL)
		return;
	fixture_number(f, to, 4, 4);
	fixture_number(f, to, strlen(f->note) + 1, 4);
	fixture_number(f, to, 0x407c0c0a, 4);
	strbuf_add(to, "FDO", 4);
	strbuf_add(to, f->note, strlen(f->note) + 1);
	fixture_number(f, to, 0, (unsigned int)(-(strlen(f->note) + 1) & 3));
}

/* Header, PT_LOAD of it all, PT_DYNAMIC, PT_INTERP, PT_NOTE | dynamic section | symbols | versions
   | note | strings. */
static inline void elf_fixture(const struct elf_fixture *f, struct strbuf *file)
{
	_cleanup_strbuf_ struct strbuf dynamic = STRBUF_INIT, strings = STRBUF_INIT;
	_cleanup_strbuf_ struct strbuf middle = STRBUF_INIT;
	unsigned int segments = 2 + (f->interpreter != NULL) + (f->note != NULL);
	unsigned int word = f->bits == 32 ? 4 : 8;
	size_t start = f->bits == 32 ? 52 + segments * 32 : 64 + segments * 56;
	size_t interpreter, tail, dynamic_size, defined, needed, note;

	strbuf_add_char(&strings, '\0');
	for (size_t i = 0; i < ARRAY_SIZE(f->needed) && f->needed[i] != NULL; i++)
		fixture_name(f, &dynamic, &strings, DT_NEEDED, f->needed[i]);
	for (size_t i = 0; i < f->repeat; i++)
		fixture_tag(f, &dynamic, DT_NEEDED, 1);
	fixture_name(f, &dynamic, &strings, DT_AUXILIARY, f->auxiliary);
	fixture_name(f, &dynamic, &strings, DT_SONAME, f->soname);
	fixture_name(f, &dynamic, &strings, DT_RPATH, f->rpath);
	fixture_name(f, &dynamic, &strings, DT_RUNPATH, f->runpath);
	fixture_name(f, &dynamic, &strings, DT_AUDIT, f->audit);
	fixture_symbol(f, &middle, 0, 0);
	if (f->import != NULL)
		fixture_symbol(
			f, &middle, (uint32_t)fixture_string(&strings, f->import), SHN_UNDEF);
	fixture_versions(f, &middle, &strings, &defined, &needed);
	note = middle.size;
	fixture_note(f, &middle);
	interpreter = strings.size;
	if (f->interpreter != NULL)
		strbuf_add(&strings, f->interpreter, strlen(f->interpreter) + 1);
	if (f->flags_1 != 0)
		fixture_tag(f, &dynamic, DT_FLAGS_1, f->flags_1);
	dynamic_size = dynamic.size + (size_t)6 * 2 * word;
	tail = start + dynamic_size;
	fixture_tag(f, &dynamic, DT_SYMTAB, FIXTURE_BASE + tail);
	fixture_tag(f, &dynamic, DT_STRTAB, FIXTURE_BASE + tail + middle.size);
	fixture_tag(f, &dynamic, DT_STRSZ, strings.size);
	/* An odd tag of the linker's, where there are no versions. */
	fixture_tag(f, &dynamic, needed > defined ? DT_VERDEF : DT_DEBUG,
		FIXTURE_BASE + tail + defined);
	fixture_tag(
		f, &dynamic, note > needed ? DT_VERNEED : DT_DEBUG, FIXTURE_BASE + tail + needed);
	fixture_tag(f, &dynamic, DT_NULL, 0);

	fixture_header(f, file, segments);
	fixture_segment(f, file, PT_LOAD, 0, tail + middle.size + strings.size);
	fixture_segment(f, file, PT_DYNAMIC, start, dynamic_size);
	if (f->interpreter != NULL)
		fixture_segment(f, file, PT_INTERP, tail + middle.size + interpreter,
			strlen(f->interpreter) + 1);
	if (f->note != NULL)
		fixture_segment(f, file, PT_NOTE, tail + note, middle.size - note);
	strbuf_add(file, dynamic.data, dynamic.size);
	strbuf_add(file, middle.data, middle.size);
	strbuf_add(file, strings.data, strings.size);
}

struct cache_fixture {
	const char *soname, *path;
	uint32_t flags;
	uint64_t hwcap;
};

/* @entries in the cache's order: the greatest name first. */
static inline struct cache make_cache(
	const struct cache_fixture *entries, size_t count, bool big_endian, bool compatible)
{
	const struct elf_fixture f = {.big_endian = big_endian};
	_cleanup_strbuf_ struct strbuf data = STRBUF_INIT, strings = STRBUF_INIT;
	size_t start = 48 + count * 24;
	struct cache cache;
	size_t size;

	if (compatible) {
		strbuf_add(&data, "ld.so-1.7.0", 12);
		fixture_number(&f, &data, 1, 4);
		fixture_number(&f, &data, 0, 12);
		fixture_number(&f, &data, 0, 4); /* to the next 8-byte boundary */
	}
	strbuf_add_string(&data, "glibc-ld.so.cache1.1");
	fixture_number(&f, &data, count, 4);
	fixture_number(&f, &data, 0, 4);
	strbuf_add_char(&data, compatible ? 0 : big_endian ? 3 : 2);
	fixture_number(&f, &data, 0, 19);
	for (size_t i = 0; i < count; i++) {
		fixture_number(&f, &data, entries[i].flags, 4);
		fixture_number(&f, &data, start + strings.size, 4);
		strbuf_add(&strings, entries[i].soname, strlen(entries[i].soname) + 1);
		fixture_number(&f, &data, start + strings.size, 4);
		strbuf_add(&strings, entries[i].path, strlen(entries[i].path) + 1);
		fixture_number(&f, &data, 0, 4);
		fixture_number(&f, &data, entries[i].hwcap, 8);
	}
	strbuf_add(&data, strings.data, strings.size);
	size = data.size;
	cache_take(&cache, strbuf_take(&data), size);
	return cache;
}
