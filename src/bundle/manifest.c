/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "bundle/words.h"

enum { VERSION = 1 };

static void program_done(struct manifest_program *program)
{
	free(program->path);
	free(program->root);
	free(program->library_path);
	free(program->hwcaps);
	strv_done(&program->files);
}

static void file_done(struct manifest_file *file)
{
	free(file->path);
	free(file->target);
	free(file->source);
	free(file->root);
}

void manifest_done(struct manifest *manifest)
{
	for (size_t i = 0; i < manifest->program_count; i++)
		program_done(&manifest->programs[i]);
	for (size_t i = 0; i < manifest->file_count; i++)
		file_done(&manifest->files[i]);
	free(manifest->programs);
	free(manifest->files);
	*manifest = MANIFEST_NONE;
}

/* Room for one more of @size bytes, zeroed: at every power of two there is none left. */
static void *grow(void **items, size_t *count, size_t size)
{
	if ((*count & (*count - 1)) == 0) {
		void *bigger = reallocarray(*items, *count > 0 ? 2 * *count : 1, size);

		if (bigger == NULL)
			return NULL;
		*items = bigger;
	}
	return memset((char *)*items + size * (*count)++, 0, size);
}

struct manifest_program *manifest_add_program(struct manifest *manifest)
{
	return grow((void **)&manifest->programs, &manifest->program_count,
		sizeof(*manifest->programs));
}

struct manifest_file *manifest_add_file(struct manifest *manifest)
{
	return grow((void **)&manifest->files, &manifest->file_count, sizeof(*manifest->files));
}

static int compare_files(const void *a, const void *b)
{
	return strcmp(
		((const struct manifest_file *)a)->path, ((const struct manifest_file *)b)->path);
}

static int compare_programs(const void *a, const void *b)
{
	return strcmp(((const struct manifest_program *)a)->path,
		((const struct manifest_program *)b)->path);
}

void manifest_sort(struct manifest *manifest)
{
	if (manifest->file_count > 1)
		qsort(manifest->files, manifest->file_count, sizeof(*manifest->files),
			compare_files);
	if (manifest->program_count > 1)
		qsort(manifest->programs, manifest->program_count, sizeof(*manifest->programs),
			compare_programs);
	for (size_t i = 0; i < manifest->program_count; i++)
		strv_sort(&manifest->programs[i].files);
}

static int compare_path(const void *path, const void *file)
{
	return strcmp(path, ((const struct manifest_file *)file)->path);
}

const struct manifest_file *manifest_find(const struct manifest *manifest, const char *path)
{
	if (manifest->file_count == 0)
		return NULL;
	return bsearch(path, manifest->files, manifest->file_count, sizeof(*manifest->files),
		compare_path);
}

static struct json_object *format_program(const struct manifest_program *program)
{
	struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_string(object, "path", program->path) &&
		json_set_string(object, "root", program->root) &&
		json_set_string(object, "dlopen", words_dlopen[program->dlopen]) &&
		(program->library_path == NULL ||
			json_set_string(object, "library_path", program->library_path)) &&
		(program->hwcaps == NULL || json_set_string(object, "hwcaps", program->hwcaps)) &&
		json_set_bool(object, "with_config", program->with_config) &&
		json_set_bool(object, "strip", program->strip) &&
		json_set_strings(object, "files", &program->files))
		return object;
	json_object_put(object);
	return NULL;
}

static struct json_object *format_source(const struct manifest_file *file)
{
	struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_string(object, "root", file->root) &&
		json_set_string(object, "path", file->source) &&
		json_set_uint(object, "size", file->source_size) &&
		json_set_string(object, "sha256", file->source_sha256))
		return object;
	json_object_put(object);
	return NULL;
}

static bool format_content(const struct manifest_file *file, struct json_object *object)
{
	char mode[8];

	if (file->kind == CAISSON_BUNDLE_SYMLINK)
		return json_set_string(object, "target", file->target);
	snprintf(mode, sizeof(mode), "%04o", (unsigned int)(file->mode & 07777));
	if (!json_set_string(object, "mode", mode))
		return false;
	if (file->kind == CAISSON_BUNDLE_FOLDER)
		return true;
	return json_set_uint(object, "size", file->size) &&
	       json_set_string(object, "sha256", file->sha256) &&
	       (file->source == NULL || json_set(object, "source", format_source(file)));
}

static struct json_object *format_file(const struct manifest_file *file)
{
	struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_string(object, "path", file->path) &&
		json_set_string(object, "kind", words_kind[file->kind]) &&
		json_set_bool(object, "owned", file->owned) && format_content(file, object))
		return object;
	json_object_put(object);
	return NULL;
}

static bool format(const struct manifest *manifest, struct json_object *object)
{
	struct json_object *programs = json_object_new_array();
	struct json_object *files = json_object_new_array();
	bool ok = programs != NULL && files != NULL &&
		  json_set_uint(object, "caisson_bundle", VERSION) &&
		  json_set_string(object, "layout", words_layout[manifest->layout]) &&
		  json_set_bool(object, "wrapper", manifest->wrapper);

	for (size_t i = 0; i < manifest->program_count && ok; i++)
		ok = json_append(programs, format_program(&manifest->programs[i]));
	for (size_t i = 0; i < manifest->file_count && ok; i++)
		ok = json_append(files, format_file(&manifest->files[i]));
	/* Both are taken, whatever happens. */
	ok = json_set(object, "programs", programs) && ok;
	return json_set(object, "files", files) && ok;
}

static int refuse_name(const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *text = strdup(name);

	if (text == NULL)
		return caisson_fail(err, ENOMEM, "write a bundle's manifest");
	utf8_force(text);
	caisson_refuse(err, EILSEQ, "the bundle cannot be recorded: the name %s is no UTF-8", text);
	return caisson_hint(err, "--no-manifest records nothing");
}

/* What the manifest says of it would be another name. */
static int check_names(const struct manifest *manifest, struct caisson_error *err)
{
	for (size_t i = 0; i < manifest->program_count; i++) {
		const struct manifest_program *program = &manifest->programs[i];
		const char *const names[] = {program->path, program->root, program->library_path};

		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			if (names[j] != NULL && !utf8_valid(names[j]))
				return refuse_name(names[j], err);
		}
	}
	for (size_t i = 0; i < manifest->file_count; i++) {
		const struct manifest_file *file = &manifest->files[i];
		const char *const names[] = {file->path, file->target, file->source, file->root};

		for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
			if (names[j] != NULL && !utf8_valid(names[j]))
				return refuse_name(names[j], err);
		}
	}
	return 0;
}

int manifest_format(const struct manifest *manifest, struct strbuf *text, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	const char *formatted = NULL;
	int r = check_names(manifest, err);

	if (r < 0)
		return r;
	if (object != NULL && format(manifest, object))
		formatted = json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (formatted == NULL)
		return caisson_fail(err, ENOMEM, "write a bundle's manifest");
	strbuf_add_string(text, formatted);
	strbuf_add_char(text, '\n');
	return strbuf_ok(text) ? 0 : caisson_fail(err, ENOMEM, "write a bundle's manifest");
}
