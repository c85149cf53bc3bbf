/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notes of owner "FDO" and type 0x407c0c0a: what a file dlopens, as JSON
   (systemd.io/ELF_DLOPEN_METADATA). They are advice: a malformed one is passed over. */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "elf/image.h"

enum {
	NOTE_HEADER = 12,
	DLOPEN_NOTE = 0x407c0c0a,
	NOTES_LOOKED_AT = 1024,
};

static const char owner[] = "FDO";

/* Size with the padding behind it. */
static uint64_t padded(uint64_t size, uint64_t alignment)
{
	return (size + alignment - 1) & ~(alignment - 1);
}

static int take_note(struct elf_image *image, uint64_t offset, size_t size, struct elf_file *file,
	struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	void *to = strbuf_reserve(&text, size);

	if (to == NULL)
		return caisson_fail(err, ENOMEM, "read %s", image->input->name);
	if (elf_image_get(image, offset, to, size, NULL) < 0)
		return 0;
	strbuf_commit(&text, size);
	strv_add_owned(&file->notes, strbuf_take(&text));
	return strv_ok(&file->notes) ? 0 : caisson_fail(err, ENOMEM, "read %s", image->input->name);
}

/* The notes of one segment: each a header, a name and a description, the latter two padded. */
static int read_segment(struct elf_image *image, const struct elf_segment *segment,
	struct elf_file *file, size_t *room, struct caisson_error *err)
{
	bool big = image->ident.big_endian;
	uint64_t at = 0, alignment = segment->alignment == 8 ? 8 : 4;

	for (unsigned int i = 0; i < NOTES_LOOKED_AT; i++) {
		uint8_t header[NOTE_HEADER + sizeof(owner)];
		uint64_t name_size, size, offset, start;

		if (at > segment->file_size || segment->file_size - at < sizeof(header) ||
			__builtin_add_overflow(segment->offset, at, &offset) ||
			elf_image_get(image, offset, header, sizeof(header), NULL) < 0)
			return 0;
		name_size = elf_number(header, 4, big);
		size = elf_number(header + 4, 4, big);
		start = at + NOTE_HEADER + padded(name_size, alignment);
		if (start > segment->file_size || size > segment->file_size - start)
			return 0;
		if (elf_number(header + 8, 4, big) == DLOPEN_NOTE && name_size == sizeof(owner) &&
			memcmp(header + NOTE_HEADER, owner, sizeof(owner)) == 0 && size > 0 &&
			size <= *room) {
			int r = take_note(image, segment->offset + start, (size_t)size, file, err);

			if (r < 0)
				return r;
			*room -= (size_t)size;
		}
		at = start + padded(size, alignment);
	}
	return 0;
}

int elf_image_notes(struct elf_image *image, struct elf_file *file, struct caisson_error *err)
{
	size_t room = ELF_NOTES_MOST;
	int r = 0;

	for (size_t i = 0; i < image->note_count && r >= 0; i++)
		r = read_segment(image, &image->notes[i], file, &room, err);
	return r;
}
