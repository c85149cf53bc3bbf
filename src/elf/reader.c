/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elf/reader.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "elf/image.h"

static void take_segment(struct elf_image *image, const struct elf_segment *segment)
{
	switch (segment->type) {
	case PT_LOAD:
		image->loads[image->load_count++] = *segment;
		break;
	case PT_DYNAMIC:
		image->dynamic = *segment; /* the last one, as the loader takes it */
		break;
	case PT_INTERP:
		if (image->interp.type != PT_INTERP)
			image->interp = *segment; /* the first one, as the kernel takes it */
		break;
	case PT_NOTE:
		if (image->note_count < ARRAY_SIZE(image->notes))
			image->notes[image->note_count++] = *segment;
		break;
	}
}

static int read_segments(struct elf_image *image, struct caisson_error *err)
{
	for (unsigned int i = 0; i < image->segment_count; i++) {
		struct elf_segment segment;
		int r = elf_image_segment(image, i, &segment, err);

		if (r < 0)
			return r;
		take_segment(image, &segment);
	}
	return 0;
}

/* The kernel's own rules (binfmt_elf.c): by file offset, 2 to PATH_MAX bytes, ending in a NUL. */
static int read_interpreter(
	struct elf_image *image, struct elf_file *file, struct caisson_error *err)
{
	const struct elf_segment *interp = &image->interp;
	_cleanup_free_ char *path = NULL;
	int r;

	if (interp->type != PT_INTERP)
		return 0;
	if (interp->file_size < 2 || interp->file_size > ELF_NAME_MOST)
		return caisson_refuse(err, ENOEXEC,
			"%s: the path of its interpreter has no sane length", image->input->name);
	path = malloc(interp->file_size);
	if (path == NULL)
		return caisson_fail(err, ENOMEM, "read %s", image->input->name);
	r = elf_image_get(image, interp->offset, path, interp->file_size, err);
	if (r < 0)
		return r;
	if (path[interp->file_size - 1] != '\0' || path[0] == '\0')
		return caisson_refuse(err, ENOEXEC, "%s: the path of its interpreter has no end",
			image->input->name);
	file->interpreter = take_ptr(path);
	return 0;
}

/* Offsets into the string table, before that is known. An offset of 0 is the empty name, which
   stands for "absent", too. */
struct dynamic {
	struct elf_symbols symbols;
	uint64_t soname, rpath, runpath, audit, depaudit, flags_1;
	bool has_soname, has_rpath, has_runpath;
	struct {
		enum elf_request_kind kind;
		uint64_t name;
	} * requests;
	size_t request_count, request_capacity;
};

static int add_request(struct elf_image *image, struct dynamic *dynamic, enum elf_request_kind kind,
	uint64_t name, struct caisson_error *err)
{
	if (dynamic->request_count == ELF_NEEDED_MOST)
		return caisson_refuse(err, E2BIG, "%s asks for more than %d libraries",
			image->input->name, (int)ELF_NEEDED_MOST);
	if (dynamic->request_count == dynamic->request_capacity) {
		size_t capacity = 2 * dynamic->request_capacity + 16;
		void *bigger =
			reallocarray(dynamic->requests, capacity, sizeof(*dynamic->requests));

		if (bigger == NULL)
			return caisson_fail(err, ENOMEM, "read %s", image->input->name);
		dynamic->requests = bigger;
		dynamic->request_capacity = capacity;
	}
	dynamic->requests[dynamic->request_count].kind = kind;
	dynamic->requests[dynamic->request_count++].name = name;
	return 0;
}

/* Where the value of a tag is kept that needs no more than that. */
static uint64_t *plain_tag(struct dynamic *dynamic, uint64_t tag)
{
	switch (tag) {
	case DT_STRTAB:
		return &dynamic->symbols.strings;
	case DT_STRSZ:
		return &dynamic->symbols.strings_size;
	case DT_SYMTAB:
		return &dynamic->symbols.symbols;
	case DT_HASH:
		return &dynamic->symbols.hash;
	case DT_GNU_HASH:
		return &dynamic->symbols.gnu_hash;
	case DT_VERNEED:
		return &dynamic->symbols.needed;
	case DT_VERDEF:
		return &dynamic->symbols.defined;
	case DT_AUDIT:
		return &dynamic->audit;
	case DT_DEPAUDIT:
		return &dynamic->depaudit;
	case DT_FLAGS_1:
		return &dynamic->flags_1;
	default:
		return NULL;
	}
}

/* Where a tag stands twice the last one counts, as in the loader. */
static int take_dynamic(struct elf_image *image, struct dynamic *dynamic, uint64_t tag,
	uint64_t value, struct caisson_error *err)
{
	switch (tag) {
	case DT_NEEDED:
		return add_request(image, dynamic, ELF_NEEDED, value, err);
	case DT_FILTER:
		return add_request(image, dynamic, ELF_FILTER, value, err);
	case DT_AUXILIARY:
		return add_request(image, dynamic, ELF_AUXILIARY, value, err);
	case DT_SONAME:
		dynamic->soname = value;
		dynamic->has_soname = true;
		break;
	case DT_RPATH:
		dynamic->rpath = value;
		dynamic->has_rpath = true;
		break;
	case DT_RUNPATH:
		dynamic->runpath = value;
		dynamic->has_runpath = true;
		break;
	default: {
		uint64_t *place = plain_tag(dynamic, tag);

		if (place != NULL)
			*place = value;
	}
	}
	return 0;
}

static int read_dynamic(struct elf_image *image, struct dynamic *dynamic, struct caisson_error *err)
{
	enum { ENTRIES_MOST = 1 << 16 };
	unsigned int word = image->ident.bits / 8;
	uint64_t offset, room;
	int r;

	/* Where the loader sees it: at its address, not at its file offset. */
	r = elf_image_map(image, image->dynamic.address, "dynamic section", &offset, &room, err);
	if (r < 0)
		return r;
	room = MIN(room, image->dynamic.memory_size);
	for (unsigned int i = 0; room >= 2 * word; i++, offset += 2 * word, room -= 2 * word) {
		uint64_t tag, value;

		if (i == ENTRIES_MOST)
			return caisson_refuse(err, E2BIG, "%s: its dynamic section has no end",
				image->input->name);
		r = elf_image_word(image, offset, word, &tag, err);
		if (r >= 0)
			r = elf_image_word(image, offset + word, word, &value, err);
		if (r < 0)
			return r;
		if (tag == DT_NULL)
			return 0;
		r = take_dynamic(image, dynamic, tag, value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_name(struct elf_image *image, const struct dynamic *dynamic, uint64_t at,
	char **ret_text, struct caisson_error *err)
{
	return elf_image_name(image, dynamic->symbols.strings, at, ELF_NAME_MOST, ret_text, err);
}

static int read_names(struct elf_image *image, const struct dynamic *dynamic, struct elf_file *file,
	struct caisson_error *err)
{
	uint64_t strings = dynamic->symbols.strings;
	int r = 0;

	if (dynamic->has_soname)
		r = read_name(image, dynamic, dynamic->soname, &file->soname, err);
	if (r >= 0 && dynamic->has_runpath)
		r = elf_image_name(
			image, strings, dynamic->runpath, ELF_RUNPATH_MOST, &file->runpath, err);
	else if (r >= 0 && dynamic->has_rpath)
		r = elf_image_name(
			image, strings, dynamic->rpath, ELF_RUNPATH_MOST, &file->rpath, err);
	if (r >= 0 && dynamic->audit != 0)
		r = read_name(image, dynamic, dynamic->audit, &file->audit, err);
	if (r >= 0 && dynamic->depaudit != 0)
		r = read_name(image, dynamic, dynamic->depaudit, &file->depaudit, err);
	if (r < 0 || dynamic->request_count == 0)
		return r;
	file->requests = calloc(dynamic->request_count, sizeof(*file->requests));
	if (file->requests == NULL)
		return caisson_fail(err, ENOMEM, "read %s", image->input->name);
	for (size_t i = 0; i < dynamic->request_count; i++) {
		struct elf_request *request = &file->requests[i];

		r = read_name(image, dynamic, dynamic->requests[i].name, &request->name, err);
		if (r < 0)
			return r;
		request->kind = dynamic->requests[i].kind;
		file->request_count++;
	}
	return 0;
}

static void dynamic_done(struct dynamic *dynamic)
{
	free(dynamic->requests);
}

static int read_file_parts(struct elf_image *image, const struct elf_watch *watch,
	struct elf_file *file, struct caisson_error *err)
{
	_cleanup_(dynamic_done) struct dynamic dynamic = {0};
	int r;

	r = read_interpreter(image, file, err);
	if (r < 0)
		return r;
	file->linkage = file->interpreter != NULL ? ELF_DYNAMIC : ELF_STATIC;
	if (image->dynamic.type != PT_DYNAMIC)
		return 0;
	r = read_dynamic(image, &dynamic, err);
	if (r >= 0)
		r = read_names(image, &dynamic, file, err);
	if (r >= 0)
		r = elf_image_versions(image, &dynamic.symbols, file, err);
	if (r >= 0 && watch != NULL)
		r = elf_image_imports(image, &dynamic.symbols, watch, &file->imports, err);
	if (r >= 0 && watch != NULL)
		r = elf_image_notes(image, file, err);
	if (r < 0)
		return r;
	file->flags_1 = dynamic.flags_1;
	if (file->interpreter == NULL) {
		bool program = file->ident.type == ET_EXEC || (dynamic.flags_1 & DF_1_PIE) != 0 ||
			       (file->request_count == 0 && file->soname == NULL);

		file->linkage = program && file->request_count == 0 ? ELF_STATIC_PIE : ELF_SHARED;
		if (file->ident.type == ET_EXEC && file->request_count == 0)
			file->linkage = ELF_STATIC;
	}
	return 0;
}

int elf_read_ident(
	const struct elf_input *input, struct elf_ident *ret_ident, struct caisson_error *err)
{
	_cleanup_(elf_image_done) struct elf_image image = {.input = input};
	int r = elf_image_identify(&image, err);

	if (r < 0)
		return r;
	*ret_ident = image.ident;
	return 0;
}

int elf_read(const struct elf_input *input, const struct elf_watch *watch,
	struct elf_file *ret_file, struct caisson_error *err)
{
	_cleanup_(elf_image_done) struct elf_image image = {.input = input};
	_cleanup_(elf_file_done) struct elf_file file = ELF_FILE_NONE;
	int r;

	r = elf_image_open(&image, err);
	if (r < 0)
		return r;
	file.ident = image.ident;
	r = read_segments(&image, err);
	if (r >= 0)
		r = read_file_parts(&image, watch, &file, err);
	if (r < 0)
		return r;
	*ret_file = file;
	file = ELF_FILE_NONE;
	return 0;
}

static void versions_free(struct elf_version *versions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(versions[i].name);
	free(versions);
}

void elf_file_done(struct elf_file *file)
{
	versions_free(file->versions, file->version_count);
	versions_free(file->needed_versions, file->needed_version_count);
	for (size_t i = 0; i < file->need_count; i++)
		free(file->needs[i].library);
	free(file->needs);
	strv_done(&file->notes);
	free(file->audit);
	free(file->depaudit);
	for (size_t i = 0; i < file->request_count; i++)
		free(file->requests[i].name);
	free(file->requests);
	free(file->interpreter);
	free(file->soname);
	free(file->rpath);
	free(file->runpath);
	*file = ELF_FILE_NONE;
}
