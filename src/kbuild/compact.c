/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/compact.h"

#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/macros.h"

enum { PAGE = 4096, SEGMENTS_MOST = 32 };

/* Where each segment was and is; program headers as gABI, "Program Header". */
struct layout {
	Elf64_Phdr old[SEGMENTS_MOST], new[SEGMENTS_MOST];
	size_t count;
};

static bool read_layout(const uint8_t *data, size_t size, Elf64_Ehdr *header, struct layout *layout)
{
	if (size < sizeof(*header))
		return false;
	memcpy(header, data, sizeof(*header));
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
		header->e_ident[EI_CLASS] != ELFCLASS64 ||
		header->e_ident[EI_DATA] != ELFDATA2LSB ||
		header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > SEGMENTS_MOST ||
		header->e_phoff > size ||
		header->e_phnum * sizeof(Elf64_Phdr) > size - header->e_phoff)
		return false;
	layout->count = header->e_phnum;
	memcpy(layout->old, data + header->e_phoff, layout->count * sizeof(Elf64_Phdr));
	memcpy(layout->new, layout->old, sizeof(layout->old));
	for (size_t i = 0; i < layout->count; i++) {
		const Elf64_Phdr *one = &layout->old[i];

		if (one->p_offset > size || one->p_filesz > size - one->p_offset)
			return false;
	}
	return true;
}

/* Whether @inner is in the file where @outer is. */
static bool is_inside(const Elf64_Phdr *inner, const Elf64_Phdr *outer)
{
	return outer->p_type == PT_LOAD && inner->p_offset >= outer->p_offset &&
	       inner->p_offset - outer->p_offset <= outer->p_filesz &&
	       inner->p_filesz <= outer->p_filesz - (inner->p_offset - outer->p_offset);
}

/* Memory that the file does not fill is zero: zeros at the end of a segment need not be in it,
   unless a note ends with them (a kernel that can encrypt its memory has 4 MiB to work in behind
   its .bss). */
static void drop_zeros(const uint8_t *data, struct layout *layout)
{
	for (size_t i = 0; i < layout->count; i++) {
		Elf64_Phdr *one = &layout->old[i];
		uint64_t least = 1;

		if (one->p_type != PT_LOAD || one->p_filesz > one->p_memsz)
			continue;
		for (size_t k = 0; k < layout->count; k++) {
			const Elf64_Phdr *inner = &layout->old[k];

			if (inner->p_type != PT_LOAD && is_inside(inner, one))
				least = MAX(
					least, inner->p_offset - one->p_offset + inner->p_filesz);
		}
		while (one->p_filesz > least && data[one->p_offset + one->p_filesz - 1] == 0)
			one->p_filesz--;
		layout->new[i].p_filesz = one->p_filesz;
	}
}

/* Loaded segments come one behind the other, each as far into a page as it was. */
static uint64_t place_loads(struct layout *layout)
{
	uint64_t end = sizeof(Elf64_Ehdr) + layout->count * sizeof(Elf64_Phdr);

	for (size_t i = 0; i < layout->count; i++) {
		Elf64_Phdr *one = &layout->new[i];

		if (one->p_type != PT_LOAD)
			continue;
		one->p_offset = (end + PAGE - 1) / PAGE * PAGE + one->p_offset % PAGE;
		one->p_align = MIN(one->p_align, (uint64_t)PAGE);
		end = one->p_offset + one->p_filesz;
	}
	return end;
}

/* Others (notes) are inside of one that is loaded, or the file is of another shape. */
static bool place_others(struct layout *layout)
{
	for (size_t i = 0; i < layout->count; i++) {
		const Elf64_Phdr *inner = &layout->old[i];
		bool found = inner->p_type == PT_LOAD || inner->p_filesz == 0;

		for (size_t k = 0; !found && k < layout->count; k++) {
			const Elf64_Phdr *outer = &layout->old[k];

			found = is_inside(inner, outer);
			if (found)
				layout->new[i].p_offset = layout->new[k].p_offset +
							  (inner->p_offset - outer->p_offset);
		}
		if (!found)
			return false;
	}
	return true;
}

int compact_vmlinux(
	const void *data, size_t size, struct strbuf *compact, struct caisson_error *err)
{
	Elf64_Ehdr header;
	struct layout layout;
	uint64_t end;
	char *to;

	if (!read_layout(data, size, &header, &layout))
		return 0;
	drop_zeros(data, &layout);
	end = place_loads(&layout);
	if (!place_others(&layout) || end > size)
		return 0;
	to = strbuf_reserve(compact, end);
	if (to == NULL)
		return caisson_fail(err, ENOMEM, "write a vmlinux");
	memset(to, 0, end);
	header.e_phoff = sizeof(header);
	header.e_shoff = 0;
	header.e_shnum = header.e_shstrndx = 0;
	memcpy(to, &header, sizeof(header));
	memcpy(to + sizeof(header), layout.new, layout.count * sizeof(Elf64_Phdr));
	for (size_t i = 0; i < layout.count; i++) {
		if (layout.old[i].p_type == PT_LOAD)
			memcpy(to + layout.new[i].p_offset,
				(const char *)data + layout.old[i].p_offset,
				layout.old[i].p_filesz);
	}
	strbuf_commit(compact, end);
	return 1;
}
