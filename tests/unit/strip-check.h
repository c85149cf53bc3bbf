/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has to hold of a file and of what elf_strip() made of it, whatever the file is. */
#pragma once

#include <elf.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"
#include "elf/sections.h"
#include "elf/strip.h"

struct stripped_pair {
	struct elf_image images[2];
	struct elf_sections sections[2];
	const uint8_t *data[2];
};

static inline void stripped_pair_done(struct stripped_pair *pair)
{
	for (int i = 0; i < 2; i++) {
		elf_sections_done(&pair->sections[i]);
		elf_image_done(&pair->images[i]);
	}
}

/* The headers are the same but for where the bytes are, and the bytes are the same. */
static inline const char *compare_section(const struct stripped_pair *pair, size_t index)
{
	const struct elf_sections *both = pair->sections;
	const struct elf_section *before = &both[0].items[index], *after = &both[1].items[index];
	unsigned int word, field = elf_sections_offset_field(&both[0], &word);
	size_t size = both[0].entry_size;
	const uint8_t *old = both[0].table + index * size, *new = both[1].table + index *size;

	if (memcmp(old, new, field) != 0 ||
		memcmp(old + field + word, new + field + word, size - field - word) != 0)
		return "a header differs";
	if (!elf_section_has_bytes(before))
		return NULL;
	if (both[0].type != ET_REL && (before->flags & SHF_ALLOC) != 0 &&
		before->offset != after->offset)
		return "a loaded section moved";
	if (after->offset > before->offset)
		return "a section moved towards the end";
	if (memcmp(pair->data[0] + before->offset, pair->data[1] + after->offset, before->size) !=
		0)
		return "the bytes of a section differ";
	return NULL;
}

static inline bool is_gone(const struct stripped_pair *pair, uint64_t index)
{
	const struct elf_sections *both = pair->sections;

	return index < both[0].count && both[0].items[index].type != SHT_NULL &&
	       both[1].items[index].type == SHT_NULL;
}

/* What is left names nothing that is gone. */
static inline const char *check_references(const struct stripped_pair *pair, size_t index)
{
	const struct elf_section *section = &pair->sections[1].items[index];
	bool group = section->type == SHT_GROUP && pair->sections[1].type == ET_REL;

	if (is_gone(pair, section->link))
		return "a section is linked to one that is gone";
	if ((section->type == SHT_REL || section->type == SHT_RELA) && is_gone(pair, section->info))
		return "relocations apply to a section that is gone";
	for (uint64_t at = 4; group && at + 4 <= section->size; at += 4) {
		const uint8_t *word = pair->data[1] + section->offset + at;

		if (is_gone(pair, elf_number(word, 4, pair->sections[1].big_endian)))
			return "a group has a section that is gone";
	}
	return NULL;
}

static inline const char *compare_sections(const struct stripped_pair *pair)
{
	const struct elf_sections *both = pair->sections;
	size_t gone = 0;

	if (both[0].count != both[1].count || both[0].names_index != both[1].names_index ||
		both[0].loaded_end != both[1].loaded_end)
		return "another number of sections, or another end of what is loaded";
	for (size_t i = 1; i < both[0].count; i++) {
		const char *complaint;

		if (is_gone(pair, i)) {
			if ((both[0].items[i].flags & SHF_ALLOC) != 0)
				return "a loaded section is gone";
			gone++;
			continue;
		}
		complaint = compare_section(pair, i);
		if (complaint == NULL)
			complaint = check_references(pair, i);
		if (complaint != NULL)
			return complaint;
	}
	return gone > 0 ? NULL : "nothing is gone";
}

static inline const char *compare_loaded(const struct stripped_pair *pair)
{
	const struct elf_sections *sections = &pair->sections[0];
	unsigned int field = sections->wide ? 40 : 32, word = sections->wide ? 8 : 4;
	const uint8_t *before = pair->data[0], *after = pair->data[1];

	/* But for e_shoff. */
	if (memcmp(before, after, field) != 0 || memcmp(before + field + word, after + field + word,
							 sections->loaded_end - field - word) != 0)
		return "what is loaded differs";
	return NULL;
}

/* NULL, or what is wrong. */
static inline const char *check_stripped(const struct elf_input *before, const struct strbuf *after)
{
	_cleanup_(stripped_pair_done) struct stripped_pair pair = {
		.data = {before->data, (const uint8_t *)after->data}};
	const struct elf_input result = {
		.data = (const uint8_t *)after->data, .size = after->size, .name = "result"};
	_cleanup_strbuf_ struct strbuf again = STRBUF_INIT;
	const char *why = NULL, *complaint;

	if (after->size >= before->size)
		return "the result is not smaller";
	pair.images[0].input = before;
	pair.images[1].input = &result;
	if (elf_sections_read(&pair.images[0], &pair.sections[0], &why, NULL) != 0 ||
		elf_sections_read(&pair.images[1], &pair.sections[1], &why, NULL) != 0)
		return "its sections cannot be read any more";
	complaint = compare_sections(&pair);
	if (complaint == NULL)
		complaint = compare_loaded(&pair);
	if (complaint != NULL)
		return complaint;
	why = NULL;
	if (elf_strip(&result, &again, &why, NULL) < 0 || why == NULL || again.size != 0)
		return "there is something to strip the second time";
	return NULL;
}
