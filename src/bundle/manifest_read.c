/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/json.h"
#include "bundle/manifest.h"
#include "bundle/words.h"

enum { VERSION = 1, PROGRAMS_MOST = 1 << 14, FILES_MOST = 1 << 18 };

static int copy(char **text, const char *from, struct caisson_error *err)
{
	if (from == NULL)
		return 0;
	*text = strdup(from);
	return *text != NULL ? 0 : caisson_fail(err, ENOMEM, "read a bundle's manifest");
}

/* "/a/b": absolute, without "//", "." or ".." parts, not "/" itself. */
static int check_path(const char *path, struct caisson_error *err)
{
	const char *part = path;
	bool good = path[0] == '/' && path[1] != '\0' && strlen(path) < PATH_MAX;

	while (good && *part == '/') {
		size_t length = strcspn(++part, "/");

		good = length > 0 && length <= NAME_MAX && strncmp(part, ".", length) != 0 &&
		       strncmp(part, "..", length) != 0;
		part += length;
	}
	return good ? 0 : caisson_refuse(err, EINVAL, "'%s' is not a path of a bundle", path);
}

static int check_digest(
	const char *text, char to[static DIGEST_HEX_SIZE], struct caisson_error *err)
{
	if (strlen(text) != DIGEST_HEX_SIZE - 1 ||
		strspn(text, "0123456789abcdef") != DIGEST_HEX_SIZE - 1)
		return caisson_refuse(err, EINVAL, "'%s' is not a SHA-256 digest", text);
	memcpy(to, text, DIGEST_HEX_SIZE);
	return 0;
}

static int find_word(const char *field, const char *word, const char *const *words, size_t count,
	unsigned int *ret_index, struct caisson_error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i], word) == 0) {
			*ret_index = (unsigned int)i;
			return 0;
		}
	}
	return caisson_refuse(err, EINVAL, "the field '%s' cannot be '%s'", field, word);
}

static int get_path(
	struct json_object *object, const char *field, char **ret_path, struct caisson_error *err)
{
	const char *text = NULL;
	int r = json_get_string(object, field, true, &text, err);

	if (r >= 0)
		r = check_path(text, err);
	return r < 0 ? r : copy(ret_path, text, err);
}

static int get_root(struct json_object *object, char **ret_root, struct caisson_error *err)
{
	const char *text = NULL;
	int r = json_get_string(object, "root", true, &text, err);

	if (r >= 0 && strcmp(text, "/") != 0)
		r = check_path(text, err);
	return r < 0 ? r : copy(ret_root, text, err);
}

static int get_size(struct json_object *object, uint64_t *ret_size, struct caisson_error *err)
{
	return json_get_uint(object, "size", true, INT64_MAX, ret_size, err);
}

static int get_digest(
	struct json_object *object, char to[static DIGEST_HEX_SIZE], struct caisson_error *err)
{
	const char *text = NULL;
	int r = json_get_string(object, "sha256", true, &text, err);

	return r < 0 ? r : check_digest(text, to, err);
}

static int get_mode(struct json_object *object, mode_t *ret_mode, struct caisson_error *err)
{
	const char *text = NULL;
	int r = json_get_string(object, "mode", true, &text, err);

	if (r < 0)
		return r;
	if (strlen(text) != 4 || strspn(text, "01234567") != 4)
		return caisson_refuse(err, EINVAL, "'%s' is not a file's mode", text);
	*ret_mode = (mode_t)strtoul(text, NULL, 8);
	return 0;
}

static int read_source(
	struct json_object *object, struct manifest_file *file, struct caisson_error *err)
{
	struct json_object *source = NULL;
	int r = json_get_object(object, "source", false, &source, err);

	if (r < 0 || source == NULL)
		return r;
	r = get_path(source, "path", &file->source, err);
	if (r >= 0)
		r = get_root(source, &file->root, err);
	if (r >= 0)
		r = get_size(source, &file->source_size, err);
	return r < 0 ? r : get_digest(source, file->source_sha256, err);
}

static int read_target(
	struct json_object *object, struct manifest_file *file, struct caisson_error *err)
{
	const char *target = NULL;
	int r = json_get_string(object, "target", true, &target, err);

	if (r < 0)
		return r;
	if (target[0] == '\0' || strlen(target) >= PATH_MAX)
		return caisson_refuse(err, EINVAL, "'%s' is not a link's target", target);
	return copy(&file->target, target, err);
}

static int read_file_entry(
	struct json_object *object, struct manifest_file *file, struct caisson_error *err)
{
	const char *word = NULL;
	unsigned int kind = 0;
	int r = get_path(object, "path", &file->path, err);

	if (r >= 0)
		r = json_get_string(object, "kind", true, &word, err);
	if (r >= 0)
		r = find_word("kind", word, words_kind, ARRAY_SIZE(words_kind), &kind, err);
	if (r >= 0)
		r = json_get_bool(object, "owned", true, &file->owned, err);
	if (r < 0)
		return r;
	file->kind = kind;
	if (file->kind == CAISSON_BUNDLE_SYMLINK)
		return read_target(object, file, err);
	r = get_mode(object, &file->mode, err);
	if (r < 0 || file->kind == CAISSON_BUNDLE_FOLDER)
		return r;
	r = get_size(object, &file->size, err);
	if (r >= 0)
		r = get_digest(object, file->sha256, err);
	return r < 0 ? r : read_source(object, file, err);
}

static int read_program(
	struct json_object *object, struct manifest_program *program, struct caisson_error *err)
{
	const char *word = NULL, *library_path = NULL, *hwcaps = NULL;
	unsigned int dlopen = 0;
	int r = get_path(object, "path", &program->path, err);

	if (r >= 0)
		r = get_root(object, &program->root, err);
	if (r >= 0)
		r = json_get_string(object, "dlopen", true, &word, err);
	if (r >= 0)
		r = find_word("dlopen", word, words_dlopen, ARRAY_SIZE(words_dlopen), &dlopen, err);
	if (r >= 0)
		r = json_get_string(object, "library_path", false, &library_path, err);
	if (r >= 0)
		r = json_get_string(object, "hwcaps", false, &hwcaps, err);
	if (r >= 0)
		r = json_get_bool(object, "with_config", true, &program->with_config, err);
	if (r >= 0)
		r = json_get_bool(object, "strip", true, &program->strip, err);
	if (r >= 0)
		r = json_get_strings(object, "files", true, &program->files, err);
	for (size_t i = 0; i < program->files.count && r >= 0; i++)
		r = check_path(program->files.items[i], err);
	program->dlopen = dlopen;
	if (r >= 0)
		r = copy(&program->library_path, library_path, err);
	return r < 0 ? r : copy(&program->hwcaps, hwcaps, err);
}

static int read_programs(
	struct json_object *object, struct manifest *manifest, struct caisson_error *err)
{
	struct json_object *array = NULL;
	int r = json_get_array(object, "programs", true, &array, err);

	if (r < 0)
		return r;
	if (json_object_array_length(array) > PROGRAMS_MOST)
		return caisson_refuse(err, E2BIG, "more than %d programs", PROGRAMS_MOST);
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct manifest_program *program = manifest_add_program(manifest);

		if (program == NULL)
			return caisson_fail(err, ENOMEM, "read a bundle's manifest");
		r = read_program(json_object_array_get_idx(array, i), program, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_files(
	struct json_object *object, struct manifest *manifest, struct caisson_error *err)
{
	struct json_object *array = NULL;
	int r = json_get_array(object, "files", true, &array, err);

	if (r < 0)
		return r;
	if (json_object_array_length(array) > FILES_MOST)
		return caisson_refuse(err, E2BIG, "more than %d files", FILES_MOST);
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct manifest_file *file = manifest_add_file(manifest);

		if (file == NULL)
			return caisson_fail(err, ENOMEM, "read a bundle's manifest");
		r = read_file_entry(json_object_array_get_idx(array, i), file, err);
		if (r < 0)
			return r;
		/* They are searched by path. */
		if (i > 0 && strcmp(file[-1].path, file->path) >= 0)
			return caisson_refuse(err, EINVAL, "'%s' is not in its order", file->path);
	}
	return 0;
}

static int read_all(
	struct json_object *object, struct manifest *manifest, struct caisson_error *err)
{
	const char *word = NULL;
	unsigned int layout = 0;
	uint64_t version = 0;
	int r = json_get_uint(object, "caisson_bundle", true, UINT32_MAX, &version, err);

	if (r >= 0 && version != VERSION)
		r = caisson_refuse(err, ENOTSUP, "version %llu is not known here",
			(unsigned long long)version);
	if (r >= 0)
		r = json_get_string(object, "layout", true, &word, err);
	if (r >= 0)
		r = find_word("layout", word, words_layout, ARRAY_SIZE(words_layout), &layout, err);
	if (r >= 0)
		r = json_get_bool(object, "wrapper", true, &manifest->wrapper, err);
	manifest->layout = layout;
	if (r >= 0)
		r = read_programs(object, manifest, err);
	return r < 0 ? r : read_files(object, manifest, err);
}

int manifest_parse(const char *text, size_t size, const char *what, struct manifest *ret_manifest,
	struct caisson_error *err)
{
	_cleanup_manifest_ struct manifest manifest = MANIFEST_NONE;
	_cleanup_json_ struct json_object *object = NULL;
	int r = json_parse(text, size, what, &object, err);

	if (r < 0)
		return r;
	r = read_all(object, &manifest, err);
	if (r < 0)
		return caisson_wrap(err, "%s", what);
	*ret_manifest = manifest;
	manifest = MANIFEST_NONE;
	return 0;
}
