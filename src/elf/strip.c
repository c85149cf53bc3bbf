/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elf/strip.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "elf/sections.h"

enum {
	PADDING_MOST = 16 << 20, /* bytes between sections, all told */
};

/* What may move: a section, or (index 0) the old table of section headers. */
struct extent {
	uint64_t offset, size; /* in the file */
	uint64_t to;           /* where it goes */
	size_t index;
};

struct strip {
	struct elf_image image;
	struct elf_sections sections;
	bool *goes; /* one a section */
	struct extent *extents;
	size_t extent_count;
	uint64_t table_offset, size; /* of the result */
	const char *why;
};

static int stays(struct strip *strip, const char *why)
{
	strip->why = why;
	return 1;
}

/* The names are those that GNU strip knows; a program may call its own sections as it likes, hence
   no looser prefixes than needed. */
static bool is_debug(const struct elf_section *section)
{
	static const char *const names[] = {".debug", ".line", ".stab", ".stabstr", ".gdb_index"};
	static const char *const prefixes[] = {
		".debug_", ".zdebug_", ".stab.", ".gnu.debuglto_.debug_", ".gnu.linkonce.wi."};

	if ((section->flags & SHF_ALLOC) != 0 ||
		(section->type != SHT_PROGBITS && section->type != SHT_STRTAB &&
			section->type != SHT_MIPS_DWARF))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(section->name, names[i]) == 0)
			return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (strncmp(section->name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return false;
}

static bool may_move(const struct strip *strip, const struct elf_section *section)
{
	if (section->type == SHT_NULL || section->offset < strip->sections.loaded_end)
		return false;
	return strip->sections.type == ET_REL || (section->flags & SHF_ALLOC) == 0;
}

static int mark_debug(struct strip *strip)
{
	const struct elf_sections *sections = &strip->sections;
	bool any = false, marked = false, rest = false;

	for (size_t i = 1; i < sections->count; i++) {
		const struct elf_section *section = &sections->items[i];
		bool debug = is_debug(section);

		any = any || debug;
		strip->goes[i] = debug && may_move(strip, section);
		marked = marked || strip->goes[i];
		rest = rest || ((section->flags & SHF_ALLOC) != 0 && section->type != SHT_NOTE &&
				       elf_section_has_bytes(section));
	}
	if (!any)
		return stays(strip, "no debug sections");
	if (!marked)
		return stays(strip, "its debug sections stand among what is loaded");
	if (!rest)
		return stays(strip, "it holds nothing that is loaded");
	return 0;
}

static bool is_relocations(const struct elf_section *section)
{
	return section->type == SHT_REL || section->type == SHT_RELA;
}

static void mark_relocations(struct strip *strip)
{
	const struct elf_sections *sections = &strip->sections;

	for (size_t i = 1; i < sections->count; i++) {
		const struct elf_section *section = &sections->items[i];

		if (is_relocations(section) && (section->flags & SHF_ALLOC) == 0 &&
			may_move(strip, section) && section->info < sections->count &&
			is_debug(&sections->items[section->info]) && strip->goes[section->info])
			strip->goes[i] = true;
	}
}

/* ---- where everything is ---- */

static int compare_extents(const void *a, const void *b)
{
	const struct extent *left = a, *right = b;

	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	if (left->size != right->size)
		return left->size < right->size ? -1 : 1;
	return left->index < right->index ? -1 : left->index > right->index;
}

static int collect_extents(struct strip *strip)
{
	const struct elf_sections *sections = &strip->sections;
	uint64_t table_size = (uint64_t)sections->count * sections->entry_size;
	uint64_t header_size = sections->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
	bool odd = false;

	if (sections->table_offset >= sections->loaded_end)
		strip->extents[strip->extent_count++] =
			(struct extent){.offset = sections->table_offset, .size = table_size};
	else
		odd = sections->table_offset < header_size ||
		      sections->table_offset + table_size > sections->loaded_end;
	for (size_t i = 1; i < sections->count; i++) {
		const struct elf_section *section = &sections->items[i];
		uint64_t size = elf_section_has_bytes(section) ? section->size : 0;

		if (may_move(strip, section))
			strip->extents[strip->extent_count++] = (struct extent){
				.offset = section->offset, .size = size, .index = i};
		else if (size > 0)
			odd = odd || section->offset < header_size ||
			      section->offset + size > sections->loaded_end;
	}
	if (odd)
		return stays(strip, "its sections overlap");
	qsort(strip->extents, strip->extent_count, sizeof(*strip->extents), compare_extents);
	return 0;
}

static int check_padding(
	struct strip *strip, uint64_t offset, uint64_t size, struct caisson_error *err)
{
	static const uint8_t zero[512];
	uint8_t chunk[sizeof(zero)];

	while (size > 0) {
		size_t some = (size_t)MIN(size, (uint64_t)sizeof(chunk));
		int r = elf_image_get(&strip->image, offset, chunk, some, err);

		if (r < 0)
			return r;
		if (memcmp(chunk, zero, some) != 0)
			return stays(strip, "something stands between its sections");
		offset += some;
		size -= some;
	}
	return 0;
}

/* What no header describes is not known to be useless, unless it is padding. */
static int check_extents(struct strip *strip, struct caisson_error *err)
{
	uint64_t end = strip->sections.loaded_end, padding = 0;

	for (size_t i = 0; i < strip->extent_count; i++) {
		const struct extent *extent = &strip->extents[i];
		int r;

		if (extent->size == 0)
			continue;
		if (extent->offset < end)
			return stays(strip, "its sections overlap");
		padding += extent->offset - end;
		if (padding > PADDING_MOST)
			return stays(strip, "its sections lie far apart");
		r = check_padding(strip, end, extent->offset - end, err);
		if (r != 0)
			return r;
		end = extent->offset + extent->size;
	}
	return end < strip->image.input->size ? stays(strip, "something stands behind its end") : 0;
}

/* ---- who else names a section ---- */

static int check_group(struct strip *strip, size_t index, struct caisson_error *err)
{
	const struct elf_section *group = &strip->sections.items[index];
	bool any_goes = false, any_stays = false;

	/* A word of flags, then a word for the index of each member (gABI 4, "section groups"). */
	for (uint64_t at = 4; at < group->size && group->size - at >= 4; at += 4) {
		uint64_t member;
		int r = elf_image_word(&strip->image, group->offset + at, 4, &member, err);

		if (r < 0)
			return r;
		if (member < strip->sections.count && strip->goes[member])
			any_goes = true;
		else
			any_stays = true;
	}
	if (any_goes && (any_stays || (group->flags & SHF_ALLOC) != 0))
		return stays(strip, "a section group holds debug sections beside others");
	strip->goes[index] = any_goes;
	return 0;
}

/* Only object files have groups. Extents do not overlap here, so that this is linear. */
static int mark_groups(struct strip *strip, struct caisson_error *err)
{
	if (strip->sections.type != ET_REL)
		return 0;
	for (size_t i = 1; i < strip->sections.count; i++) {
		const struct elf_section *section = &strip->sections.items[i];
		int r;

		if (section->type != SHT_GROUP || strip->goes[i] || !may_move(strip, section))
			continue;
		r = check_group(strip, i, err);
		if (r != 0)
			return r;
	}
	return 0;
}

static int check_links(struct strip *strip)
{
	const struct elf_sections *sections = &strip->sections;

	if (strip->goes[sections->names_index])
		return stays(strip, "its section names stand in a debug section");
	for (size_t i = 1; i < sections->count; i++) {
		const struct elf_section *section = &sections->items[i];
		bool names_other = is_relocations(section) || (section->flags & SHF_INFO_LINK) != 0;

		if (strip->goes[i])
			continue;
		if ((section->link < sections->count && strip->goes[section->link]) ||
			(names_other && section->info < sections->count &&
				strip->goes[section->info]))
			return stays(strip, "a section that is needed refers to a debug section");
	}
	return 0;
}

/* ---- the result ---- */

static uint64_t align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/* Each section keeps the alignment that it asks for, as far as it had it. So nothing ever moves
   towards the end, whatever sh_addralign says. */
static int plan(struct strip *strip)
{
	const struct elf_sections *sections = &strip->sections;
	uint64_t at = sections->loaded_end;

	for (size_t i = 0; i < strip->extent_count; i++) {
		struct extent *extent = &strip->extents[i];
		uint64_t wanted = MAX(sections->items[extent->index].align, (uint64_t)1);
		uint64_t bits = wanted | extent->offset;

		if (extent->index == 0 || strip->goes[extent->index])
			continue;
		if (extent->size > 0)
			at = align_up(at, bits & -bits);
		extent->to = at;
		at += extent->size;
	}
	strip->table_offset = align_up(at, sections->wide ? 8 : 4);
	strip->size = strip->table_offset + (uint64_t)sections->count * sections->entry_size;
	if (strip->size >= strip->image.input->size)
		return stays(strip, "it would not get smaller");
	if (strip->size > ELF_STRIP_MOST)
		return stays(strip, "it is too large");
	return 0;
}

static void put_number(const struct strip *strip, uint8_t *to, uint64_t value, unsigned int field,
	unsigned int size)
{
	for (unsigned int i = 0; i < size; i++)
		to[field + (strip->sections.big_endian ? size - 1 - i : i)] =
			(uint8_t)(value >> 8 * i);
}

static void put_table(const struct strip *strip, uint8_t *table)
{
	const struct elf_sections *sections = &strip->sections;
	unsigned int size, field = elf_sections_offset_field(sections, &size);

	memcpy(table, sections->table, sections->count * sections->entry_size);
	for (size_t i = 1; i < sections->count; i++) {
		if (strip->goes[i])
			memset(table + i * sections->entry_size, 0, sections->entry_size);
	}
	for (size_t i = 0; i < strip->extent_count; i++) {
		const struct extent *extent = &strip->extents[i];

		if (extent->index != 0 && !strip->goes[extent->index])
			put_number(strip, table + extent->index * sections->entry_size, extent->to,
				field, size);
	}
}

static int put_all(struct strip *strip, struct strbuf *output, struct caisson_error *err)
{
	bool wide = strip->sections.wide;
	uint8_t *to = strbuf_reserve(output, (size_t)strip->size);
	int r;

	if (to == NULL)
		return caisson_fail(err, ENOMEM, "strip %s", strip->image.input->name);
	memset(to, 0, (size_t)strip->size);
	r = elf_image_get(&strip->image, 0, to, (size_t)strip->sections.loaded_end, err);
	for (size_t i = 0; i < strip->extent_count && r >= 0; i++) {
		const struct extent *extent = &strip->extents[i];

		/* An empty section may say that it stands anywhere. */
		if (extent->size > 0 && extent->index != 0 && !strip->goes[extent->index])
			r = elf_image_get(&strip->image, extent->offset, to + extent->to,
				(size_t)extent->size, err);
	}
	if (r < 0) {
		*to = '\0'; /* the end of what the caller had in there */
		return r;
	}
	put_table(strip, to + strip->table_offset);
	put_number(strip, to, strip->table_offset, wide ? 40 : 32, wide ? 8 : 4); /* e_shoff */
	strbuf_commit(output, (size_t)strip->size);
	return 0;
}

static void strip_done(struct strip *strip)
{
	elf_image_done(&strip->image);
	elf_sections_done(&strip->sections);
	free(strip->goes);
	free(strip->extents);
}

static int strip_sections(struct strip *strip, struct caisson_error *err)
{
	int r = elf_sections_read(&strip->image, &strip->sections, &strip->why, err);

	if (r != 0)
		return r;
	strip->goes = calloc(strip->sections.count, sizeof(*strip->goes));
	strip->extents = calloc(strip->sections.count, sizeof(*strip->extents));
	if (strip->goes == NULL || strip->extents == NULL)
		return caisson_fail(err, ENOMEM, "strip %s", strip->image.input->name);
	r = mark_debug(strip);
	if (r != 0)
		return r;
	mark_relocations(strip);
	r = collect_extents(strip);
	if (r == 0)
		r = check_extents(strip, err);
	if (r == 0)
		r = mark_groups(strip, err);
	if (r == 0)
		r = check_links(strip);
	return r == 0 ? plan(strip) : r;
}

int elf_strip(const struct elf_input *input, struct strbuf *output, const char **ret_why,
	struct caisson_error *err)
{
	_cleanup_(strip_done) struct strip strip = {.image = {.input = input}};
	int r = strip_sections(&strip, err);

	if (r == 0)
		r = put_all(&strip, output, err);
	if (r < 0)
		return r;
	*ret_why = r > 0 ? strip.why : NULL;
	return 0;
}
