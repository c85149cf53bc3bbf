/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Symbol versions: DT_VERNEED and DT_VERDEF (LSB Core, "Symbol Versioning"). The same layout for
 * both classes. The loader follows vn_next and vd_next to their end and never asks for the counts.
 */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"
#include "elf/image.h"

/* A chain of records: where it stands, and how much of its segment is left. */
struct chain {
	struct elf_image *image;
	uint64_t strings;
	uint64_t start, room; /* of the segment from the first record on */
	uint64_t at;          /* of the record at hand, from @start */
	const char *what;
};

static int refuse(const struct chain *chain, struct caisson_error *err)
{
	return caisson_refuse(
		err, ENOEXEC, "%s: its %s are broken", chain->image->input->name, chain->what);
}

static int chain_open(struct chain *chain, uint64_t address, struct caisson_error *err)
{
	return elf_image_map(chain->image, address, chain->what, &chain->start, &chain->room, err);
}

/* The record at @at; @size bytes. */
static int read_record(const struct chain *chain, uint64_t at, uint8_t *record, size_t size,
	struct caisson_error *err)
{
	if (at > chain->room || size > chain->room - at)
		return refuse(chain, err);
	return elf_image_get(chain->image, chain->start + at, record, size, err);
}

static uint32_t word(const struct chain *chain, const uint8_t *record, size_t at)
{
	return (uint32_t)elf_number(record + at, 4, chain->image->ident.big_endian);
}

static uint16_t half(const struct chain *chain, const uint8_t *record, size_t at)
{
	return (uint16_t)elf_number(record + at, 2, chain->image->ident.big_endian);
}

static int add_version(const struct chain *chain, uint32_t name, uint32_t hash, bool weak,
	struct elf_version **versions, size_t *count, struct caisson_error *err)
{
	struct elf_version *version;
	int r;

	if (*count == ELF_VERSIONS_MOST)
		return caisson_refuse(err, E2BIG, "%s has more than %d %s",
			chain->image->input->name, (int)ELF_VERSIONS_MOST, chain->what);
	if ((*count & (*count - 1)) == 0) { /* a power of two, or none: full */
		size_t capacity = *count > 0 ? 2 * *count : 1;
		void *bigger = reallocarray(*versions, capacity, sizeof(**versions));

		if (bigger == NULL)
			return caisson_fail(err, ENOMEM, "read %s", chain->image->input->name);
		*versions = bigger;
	}
	version = &(*versions)[*count];
	*version = (struct elf_version){.hash = hash, .weak = weak};
	r = elf_image_name(chain->image, chain->strings, name, ELF_NAME_MOST, &version->name, err);
	if (r < 0)
		return r;
	++*count;
	return 0;
}

/* Elf32_Verdef and Elf32_Verdaux; a version's first name is its own, the others its parents'. */
static int read_defined(struct chain *chain, struct elf_file *file, struct caisson_error *err)
{
	for (;;) {
		uint8_t record[sizeof(Elf32_Verdef)], name[sizeof(Elf32_Verdaux)];
		uint32_t next;
		int r;

		r = read_record(chain, chain->at, record, sizeof(record), err);
		if (r >= 0)
			r = read_record(chain, chain->at + word(chain, record, 12), name,
				sizeof(name), err);
		if (r < 0)
			return r;
		if (half(chain, record, 0) != VER_DEF_CURRENT)
			return refuse(chain, err);
		r = add_version(chain, word(chain, name, 0), word(chain, record, 8), false,
			&file->versions, &file->version_count, err);
		if (r < 0)
			return r;
		next = word(chain, record, 16);
		if (next == 0)
			return 0;
		chain->at += next;
	}
}

/* Elf32_Vernaux. */
static int read_needed_versions(
	const struct chain *chain, uint64_t at, struct elf_file *file, struct caisson_error *err)
{
	for (;;) {
		uint8_t record[sizeof(Elf32_Vernaux)];
		uint32_t next;
		int r = read_record(chain, at, record, sizeof(record), err);

		if (r < 0)
			return r;
		r = add_version(chain, word(chain, record, 8), word(chain, record, 0),
			(half(chain, record, 4) & VER_FLG_WEAK) != 0, &file->needed_versions,
			&file->needed_version_count, err);
		if (r < 0)
			return r;
		next = word(chain, record, 12);
		if (next == 0)
			return 0;
		at += next;
	}
}

static int add_need(const struct chain *chain, const uint8_t *record, struct elf_file *file,
	struct caisson_error *err)
{
	struct elf_need *bigger, *need;
	int r;

	if (file->need_count == ELF_NEEDED_MOST)
		return caisson_refuse(err, E2BIG, "%s needs versions of more than %d libraries",
			chain->image->input->name, (int)ELF_NEEDED_MOST);
	bigger = reallocarray(file->needs, file->need_count + 1, sizeof(*bigger));
	if (bigger == NULL)
		return caisson_fail(err, ENOMEM, "read %s", chain->image->input->name);
	file->needs = bigger;
	need = &file->needs[file->need_count];
	*need = (struct elf_need){.first = file->needed_version_count};
	r = elf_image_name(chain->image, chain->strings, word(chain, record, 4), ELF_NAME_MOST,
		&need->library, err);
	if (r < 0)
		return r;
	file->need_count++;
	r = read_needed_versions(chain, chain->at + word(chain, record, 8), file, err);
	need->count = file->needed_version_count - need->first;
	return r;
}

/* Elf32_Verneed. */
static int read_needed(struct chain *chain, struct elf_file *file, struct caisson_error *err)
{
	for (;;) {
		uint8_t record[sizeof(Elf32_Verneed)];
		uint32_t next;
		int r = read_record(chain, chain->at, record, sizeof(record), err);

		if (r < 0)
			return r;
		if (half(chain, record, 0) != VER_NEED_CURRENT)
			return refuse(chain, err);
		r = add_need(chain, record, file, err);
		if (r < 0)
			return r;
		next = word(chain, record, 12);
		if (next == 0)
			return 0;
		chain->at += next;
	}
}

int elf_image_versions(struct elf_image *image, const struct elf_symbols *symbols,
	struct elf_file *file, struct caisson_error *err)
{
	struct chain needed = {
		.image = image, .strings = symbols->strings, .what = "needed versions"};
	struct chain defined = {.image = image, .strings = symbols->strings, .what = "versions"};
	int r = 0;

	if (symbols->needed != 0) {
		r = chain_open(&needed, symbols->needed, err);
		if (r >= 0)
			r = read_needed(&needed, file, err);
	}
	if (r >= 0 && symbols->defined != 0) {
		r = chain_open(&defined, symbols->defined, err);
		if (r >= 0)
			r = read_defined(&defined, file, err);
	}
	return r;
}
