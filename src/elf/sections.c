/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elf/sections.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

enum {
	SECTIONS_MOST = 1 << 20,
	NAMES_MOST =
		256 << 20, /* bytes; the names of a large C++ object file take some tens of MiB */
};

static const char too_short[] = "it ends before what its headers point to";

/* What the ELF header says about the two tables of headers. */
struct header {
	uint64_t segments, sections;
	unsigned int segment_count, section_count, names_index;
};

static int stays(const char **ret_why, const char *why)
{
	*ret_why = why;
	return 1;
}

bool elf_section_has_bytes(const struct elf_section *section)
{
	return section->type != SHT_NULL && section->type != SHT_NOBITS && section->size > 0;
}

unsigned int elf_sections_offset_field(const struct elf_sections *sections, unsigned int *ret_size)
{
	*ret_size = sections->wide ? 8 : 4;
	return sections->wide ? 24 : 16;
}

/* The fields of Elf32_Ehdr and Elf64_Ehdr that matter, by offset (gABI 4, figure 4-3). */
static int take_header(const uint8_t *bytes, struct elf_sections *sections,
	struct header *ret_header, const char **ret_why)
{
	bool wide = sections->wide, big = sections->big_endian;
	unsigned int word = wide ? 8 : 4, segment_size = wide ? 56 : 32;

	sections->type = (uint16_t)elf_number(bytes + 16, 2, big);
	sections->entry_size = wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	sections->loaded_end = wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
	*ret_header = (struct header){
		.segments = elf_number(bytes + (wide ? 32 : 28), word, big),
		.sections = elf_number(bytes + (wide ? 40 : 32), word, big),
		.segment_count = (unsigned int)elf_number(bytes + (wide ? 56 : 44), 2, big),
		.section_count = (unsigned int)elf_number(bytes + (wide ? 60 : 48), 2, big),
		.names_index = (unsigned int)elf_number(bytes + (wide ? 62 : 50), 2, big),
	};
	if (sections->type != ET_REL && sections->type != ET_EXEC && sections->type != ET_DYN)
		return stays(ret_why, "it is neither program, library nor object file");
	if (ret_header->sections == 0)
		return stays(ret_why, "it has no section headers");
	if (elf_number(bytes + (wide ? 58 : 46), 2, big) != sections->entry_size)
		return stays(ret_why, "its section headers have an unknown size");
	if ((sections->type == ET_REL) != (ret_header->segment_count == 0) ||
		ret_header->segment_count == PN_XNUM)
		return stays(ret_why, "it has no usable program headers");
	if (ret_header->segment_count != 0 &&
		elf_number(bytes + (wide ? 54 : 42), 2, big) != segment_size)
		return stays(ret_why, "its program headers have an unknown size");
	return 0;
}

static int read_header(struct elf_image *image, struct elf_sections *sections,
	struct header *ret_header, const char **ret_why, struct caisson_error *err)
{
	uint8_t bytes[sizeof(Elf64_Ehdr)] = {0};
	size_t size = MIN(image->input->size, (uint64_t)sizeof(bytes));
	int r = elf_image_get(image, 0, bytes, size, err);

	if (r < 0)
		return r;
	if (memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return stays(ret_why, "it is no ELF file");
	if ((bytes[EI_CLASS] != ELFCLASS32 && bytes[EI_CLASS] != ELFCLASS64) ||
		(bytes[EI_DATA] != ELFDATA2LSB && bytes[EI_DATA] != ELFDATA2MSB) ||
		bytes[EI_VERSION] != EV_CURRENT)
		return stays(ret_why, "it is an ELF file of an unknown kind");
	sections->wide = bytes[EI_CLASS] == ELFCLASS64;
	sections->big_endian = bytes[EI_DATA] == ELFDATA2MSB;
	/* For elf_image_word() and elf_image_segment(). */
	image->ident.bits = sections->wide ? 64 : 32;
	image->ident.big_endian = sections->big_endian;
	if (size < (sections->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return stays(ret_why, too_short);
	/* What is written anew has to be expressible, too. */
	if (!sections->wide && image->input->size > UINT32_MAX)
		return stays(ret_why, "it is larger than a file of 32 bits can be");
	return take_header(bytes, sections, ret_header, ret_why);
}

/* The fields of Elf32_Shdr and Elf64_Shdr, by offset (gABI 4, figure 4-8). */
static struct elf_section take_section(const struct elf_sections *sections, const uint8_t *bytes)
{
	bool wide = sections->wide, big = sections->big_endian;
	unsigned int word = wide ? 8 : 4;

	return (struct elf_section){
		.name = "",
		.type = (uint32_t)elf_number(bytes + 4, 4, big),
		.flags = elf_number(bytes + 8, word, big),
		.offset = elf_number(bytes + (wide ? 24 : 16), word, big),
		.size = elf_number(bytes + (wide ? 32 : 20), word, big),
		.link = (uint32_t)elf_number(bytes + (wide ? 40 : 24), 4, big),
		.info = (uint32_t)elf_number(bytes + (wide ? 44 : 28), 4, big),
		.align = elf_number(bytes + (wide ? 48 : 32), word, big),
	};
}

static bool in_file(const struct elf_image *image, uint64_t offset, uint64_t size)
{
	return offset <= image->input->size && size <= image->input->size - offset;
}

/* Numbers that do not fit into the ELF header stand in the first section header (gABI 4, "special
   section indexes"). */
static int count_sections(struct elf_image *image, struct elf_sections *sections,
	const struct header *header, const char **ret_why, struct caisson_error *err)
{
	uint8_t bytes[sizeof(Elf64_Shdr)];
	struct elf_section first;
	uint64_t count;
	int r;

	if (!in_file(image, header->sections, sections->entry_size))
		return stays(ret_why, too_short);
	r = elf_image_get(image, header->sections, bytes, sections->entry_size, err);
	if (r < 0)
		return r;
	first = take_section(sections, bytes);
	count = header->section_count != 0 ? header->section_count : first.size;
	sections->table_offset = header->sections;
	sections->names_index =
		header->names_index != SHN_XINDEX ? header->names_index : first.link;
	if (count > SECTIONS_MOST)
		return stays(ret_why, "it has too many sections");
	if (!in_file(image, header->sections, count * sections->entry_size))
		return stays(ret_why, too_short);
	if (sections->names_index == 0 || sections->names_index >= count)
		return stays(ret_why, "its sections have no names");
	sections->count = (size_t)count;
	return 0;
}

static int read_table(struct elf_image *image, struct elf_sections *sections, const char **ret_why,
	struct caisson_error *err)
{
	size_t size = sections->count * sections->entry_size;
	int r;

	sections->table = malloc(size);
	sections->items = calloc(sections->count, sizeof(*sections->items));
	if (sections->table == NULL || sections->items == NULL)
		return caisson_fail(err, ENOMEM, "read %s", image->input->name);
	r = elf_image_get(image, sections->table_offset, sections->table, size, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sections->count; i++) {
		struct elf_section *item = &sections->items[i];

		*item = take_section(sections, sections->table + i * sections->entry_size);
		if (elf_section_has_bytes(item) && i > 0 &&
			!in_file(image, item->offset, item->size))
			return stays(ret_why, too_short);
	}
	/* Its fields may mean something else (see count_sections()). */
	sections->items[0] = (struct elf_section){.name = ""};
	return 0;
}

static int read_names(struct elf_image *image, struct elf_sections *sections, const char **ret_why,
	struct caisson_error *err)
{
	const struct elf_section *table = &sections->items[sections->names_index];
	int r;

	if (table->type != SHT_STRTAB || table->size == 0 || table->size > NAMES_MOST)
		return stays(ret_why, "its sections have no names");
	sections->names = malloc(table->size + 1);
	if (sections->names == NULL)
		return caisson_fail(err, ENOMEM, "read %s", image->input->name);
	r = elf_image_get(image, table->offset, sections->names, (size_t)table->size, err);
	if (r < 0)
		return r;
	sections->names[table->size] = '\0';
	for (size_t i = 1; i < sections->count; i++) {
		uint64_t at = elf_number(
			sections->table + i * sections->entry_size, 4, sections->big_endian);

		if (at < table->size)
			sections->items[i].name = sections->names + at;
	}
	return 0;
}

static int measure_loaded(struct elf_image *image, struct elf_sections *sections,
	const struct header *header, const char **ret_why, struct caisson_error *err)
{
	unsigned int size = sections->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	uint64_t end = sections->loaded_end;

	if (sections->type == ET_REL)
		return 0;
	image->segment_offset = header->segments;
	if (!in_file(image, header->segments, (uint64_t)header->segment_count * size))
		return stays(ret_why, too_short);
	end = MAX(end, header->segments + (uint64_t)header->segment_count * size);
	for (unsigned int i = 0; i < header->segment_count; i++) {
		struct elf_segment segment;
		int r = elf_image_segment(image, i, &segment, err);

		if (r < 0)
			return r;
		if (segment.file_size == 0)
			continue;
		if (!in_file(image, segment.offset, segment.file_size))
			return stays(ret_why, too_short);
		end = MAX(end, segment.offset + segment.file_size);
	}
	for (size_t i = 1; i < sections->count; i++) {
		const struct elf_section *item = &sections->items[i];

		if ((item->flags & SHF_ALLOC) != 0 && elf_section_has_bytes(item))
			end = MAX(end, item->offset + item->size);
	}
	sections->loaded_end = end;
	return 0;
}

int elf_sections_read(struct elf_image *image, struct elf_sections *ret_sections,
	const char **ret_why, struct caisson_error *err)
{
	_cleanup_(elf_sections_done) struct elf_sections sections = ELF_SECTIONS_NONE;
	struct header header;
	int r;

	r = read_header(image, &sections, &header, ret_why, err);
	if (r == 0)
		r = count_sections(image, &sections, &header, ret_why, err);
	if (r == 0)
		r = read_table(image, &sections, ret_why, err);
	if (r == 0)
		r = read_names(image, &sections, ret_why, err);
	if (r == 0)
		r = measure_loaded(image, &sections, &header, ret_why, err);
	if (r != 0)
		return r;
	*ret_sections = sections;
	sections = ELF_SECTIONS_NONE;
	return 0;
}

void elf_sections_done(struct elf_sections *sections)
{
	free(sections->table);
	free(sections->items);
	free(sections->names);
	*sections = ELF_SECTIONS_NONE;
}
