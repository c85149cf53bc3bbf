/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elf/image.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/macros.h"

enum {
	PAGE = 4096,
	WINDOW = 8192,
	HEADERS_MOST = 65536, /* bytes of program headers; the kernel's bound (binfmt_elf.c) */
};

uint64_t elf_number(const uint8_t *bytes, unsigned int size, bool big_endian)
{
	uint16_t half;
	uint32_t word;
	uint64_t wide;

	switch (size) {
	case 2:
		memcpy(&half, bytes, sizeof(half));
		return big_endian ? be16toh(half) : le16toh(half);
	case 4:
		memcpy(&word, bytes, sizeof(word));
		return big_endian ? be32toh(word) : le32toh(word);
	default:
		memcpy(&wide, bytes, sizeof(wide));
		return big_endian ? be64toh(wide) : le64toh(wide);
	}
}

static int refuse_short(const struct elf_image *image, struct caisson_error *err)
{
	return caisson_refuse(
		err, ENOEXEC, "%s ends before what its headers point to", image->input->name);
}

/* Reads around @offset, so that neighbours come along, in place of what was read longest ago. */
static int move_window(struct elf_image *image, uint64_t offset, const uint8_t **ret_bytes,
	struct caisson_error *err)
{
	unsigned int index = image->next_window;
	struct elf_window *window = &image->windows[index];
	uint64_t start = offset & ~(uint64_t)(PAGE - 1);
	size_t size = (size_t)MIN(image->input->size - start, (uint64_t)WINDOW);
	int r;

	if (image->bytes == NULL) {
		image->bytes = malloc((size_t)ELF_WINDOWS * WINDOW);
		if (image->bytes == NULL)
			return caisson_fail(err, ENOMEM, "read %s", image->input->name);
	}
	window->size = 0;
	image->next_window = (index + 1) % ELF_WINDOWS;
	r = pread_all(image->input->fd, image->bytes + (size_t)index * WINDOW, size, start,
		image->input->name, err);
	if (r == -ENODATA)
		return caisson_refuse(
			err, ENOEXEC, "%s changed while it was read", image->input->name);
	if (r < 0)
		return r;
	*window = (struct elf_window){start, size};
	*ret_bytes = image->bytes + (size_t)index * WINDOW + (offset - start);
	return 0;
}

/* Where @size bytes from @offset on stand in a window, or NULL. */
static const uint8_t *find_window(const struct elf_image *image, uint64_t offset, size_t size)
{
	for (unsigned int i = 0; i < ELF_WINDOWS; i++) {
		const struct elf_window *window = &image->windows[i];
		uint64_t into = offset - window->offset;

		if (offset >= window->offset && into < window->size && size <= window->size - into)
			return image->bytes + (size_t)i * WINDOW + into;
	}
	return NULL;
}

int elf_image_get(
	struct elf_image *image, uint64_t offset, void *to, size_t size, struct caisson_error *err)
{
	const struct elf_input *input = image->input;
	const uint8_t *from;
	int r;

	if (offset > input->size || size > input->size - offset)
		return refuse_short(image, err);
	if (size == 0)
		return 0;
	if (input->data != NULL) {
		memcpy(to, input->data + offset, size);
		return 0;
	}
	from = find_window(image, offset, size);
	if (from == NULL && size > WINDOW - PAGE) {
		r = pread_all(input->fd, to, size, offset, input->name, err);
		return r == -ENODATA ? refuse_short(image, err) : r;
	}
	if (from == NULL) {
		r = move_window(image, offset, &from, err);
		if (r < 0)
			return r;
	}
	memcpy(to, from, size);
	return 0;
}

int elf_image_word(struct elf_image *image, uint64_t offset, unsigned int size, uint64_t *ret_value,
	struct caisson_error *err)
{
	uint8_t bytes[8];
	int r = elf_image_get(image, offset, bytes, size, err);

	if (r < 0)
		return r;
	*ret_value = elf_number(bytes, size, image->ident.big_endian);
	return 0;
}

/* The fields of Elf32_Ehdr and Elf64_Ehdr that matter, by offset (gABI 4, figure 4-3). */
static void take_header(struct elf_image *image, const uint8_t *header)
{
	bool wide = header[EI_CLASS] == ELFCLASS64, big = header[EI_DATA] == ELFDATA2MSB;

	image->ident = (struct elf_ident){
		.bits = wide ? 64 : 32,
		.big_endian = big,
		.os_abi = header[EI_OSABI],
		.type = (uint16_t)elf_number(header + 16, 2, big),
		.machine = (uint16_t)elf_number(header + 18, 2, big),
		.flags = (uint32_t)elf_number(header + (wide ? 48 : 36), 4, big),
	};
	image->segment_offset = elf_number(header + (wide ? 32 : 28), wide ? 8 : 4, big);
	image->segment_size = (unsigned int)elf_number(header + (wide ? 54 : 42), 2, big);
	image->segment_count = (unsigned int)elf_number(header + (wide ? 56 : 44), 2, big);
}

int elf_image_identify(struct elf_image *image, struct caisson_error *err)
{
	uint8_t header[sizeof(Elf64_Ehdr)] = {0};
	size_t size = MIN(image->input->size, (uint64_t)sizeof(header));
	int r = elf_image_get(image, 0, header, size, err);

	if (r < 0)
		return r;
	if (size >= 2 && memcmp(header, "#!", 2) == 0) {
		caisson_refuse(err, ENOEXEC, "%s is a script, no ELF file", image->input->name);
		caisson_hint(err, "name the interpreter of its first line instead");
		return -ENOEXEC;
	}
	if (size < SELFMAG || memcmp(header, ELFMAG, SELFMAG) != 0)
		return caisson_refuse(err, ENOEXEC, "%s is no ELF file", image->input->name);
	if ((header[EI_CLASS] != ELFCLASS32 && header[EI_CLASS] != ELFCLASS64) ||
		(header[EI_DATA] != ELFDATA2LSB && header[EI_DATA] != ELFDATA2MSB) ||
		header[EI_VERSION] != EV_CURRENT)
		return caisson_refuse(
			err, ENOEXEC, "%s is an ELF file of an unknown kind", image->input->name);
	if (size < (header[EI_CLASS] == ELFCLASS64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return refuse_short(image, err);
	take_header(image, header);
	return 0;
}

int elf_image_open(struct elf_image *image, struct caisson_error *err)
{
	int r = elf_image_identify(image, err);
	unsigned int wanted = image->ident.bits == 64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

	if (r < 0)
		return r;
	if (image->ident.type != ET_EXEC && image->ident.type != ET_DYN)
		return caisson_refuse(err, ENOEXEC, "%s is an ELF file, but no program or library",
			image->input->name);
	if (image->segment_count == 0 || image->segment_size != wanted ||
		image->segment_count * wanted > HEADERS_MOST)
		return caisson_refuse(
			err, ENOEXEC, "%s has no usable program headers", image->input->name);
	image->loads = calloc(image->segment_count, sizeof(*image->loads));
	if (image->loads == NULL)
		return caisson_fail(err, ENOMEM, "read %s", image->input->name);
	return 0;
}

int elf_image_segment(struct elf_image *image, unsigned int index, struct elf_segment *ret_segment,
	struct caisson_error *err)
{
	bool wide = image->ident.bits == 64, big = image->ident.big_endian;
	unsigned int size = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	uint8_t bytes[sizeof(Elf64_Phdr)];
	uint64_t offset;
	int r;

	if (__builtin_add_overflow(image->segment_offset, (uint64_t)index * size, &offset))
		return refuse_short(image, err);
	r = elf_image_get(image, offset, bytes, size, err);
	if (r < 0)
		return r;
	/* Elf32_Phdr and Elf64_Phdr, by offset (gABI 5, figure 5-1). */
	*ret_segment = (struct elf_segment){
		.type = (uint32_t)elf_number(bytes, 4, big),
		.flags = (uint32_t)elf_number(bytes + (wide ? 4 : 24), 4, big),
		.offset = elf_number(bytes + (wide ? 8 : 4), wide ? 8 : 4, big),
		.address = elf_number(bytes + (wide ? 16 : 8), wide ? 8 : 4, big),
		.file_size = elf_number(bytes + (wide ? 32 : 16), wide ? 8 : 4, big),
		.memory_size = elf_number(bytes + (wide ? 40 : 20), wide ? 8 : 4, big),
		.alignment = elf_number(bytes + (wide ? 48 : 28), wide ? 8 : 4, big),
	};
	return 0;
}

int elf_image_map(struct elf_image *image, uint64_t address, const char *what, uint64_t *ret_offset,
	uint64_t *ret_room, struct caisson_error *err)
{
	/* From the last: where segments overlap, the later one is mapped over the earlier. */
	for (size_t i = image->load_count; i-- > 0;) {
		const struct elf_segment *load = &image->loads[i];
		uint64_t into = address - load->address, offset;

		if (address < load->address || into >= load->file_size)
			continue;
		if (__builtin_add_overflow(load->offset, into, &offset) ||
			offset >= image->input->size)
			return refuse_short(image, err);
		*ret_offset = offset;
		*ret_room = MIN(load->file_size - into, image->input->size - offset);
		return 0;
	}
	return caisson_refuse(
		err, ENOEXEC, "%s: its %s lies in no loaded segment", image->input->name, what);
}

int elf_image_string(struct elf_image *image, uint64_t offset, uint64_t room, char **ret_text,
	struct caisson_error *err)
{
	enum { CHUNK = 64 };
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	while (room > 0) {
		char chunk[CHUNK];
		size_t size = MIN(room, (uint64_t)CHUNK);
		int r = elf_image_get(image, offset, chunk, size, err);

		if (r < 0)
			return r;
		strbuf_add(&text, chunk, strnlen(chunk, size));
		if (memchr(chunk, '\0', size) != NULL) {
			*ret_text = strbuf_take(&text);
			return *ret_text != NULL
				       ? 0
				       : caisson_fail(err, ENOMEM, "read %s", image->input->name);
		}
		offset += size;
		room -= size;
	}
	return caisson_refuse(
		err, ENOEXEC, "%s: a name in its string table has no end", image->input->name);
}

int elf_image_name(struct elf_image *image, uint64_t strings, uint64_t at, size_t most,
	char **ret_text, struct caisson_error *err)
{
	uint64_t address, offset, room;
	int r;

	if (strings == 0 || __builtin_add_overflow(strings, at, &address))
		return caisson_refuse(err, ENOEXEC, "%s: a name is outside of its string table",
			image->input->name);
	r = elf_image_map(image, address, "string table", &offset, &room, err);
	if (r < 0)
		return r;
	return elf_image_string(image, offset, MIN(room, most), ret_text, err);
}

void elf_image_done(struct elf_image *image)
{
	free(image->loads);
	free(image->bytes);
	image->loads = NULL;
	image->bytes = NULL;
}
