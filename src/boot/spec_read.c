/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recipes: JSON, in files or folders of files (docs/initramfs-recipe.md). */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "boot/spec.h"

enum { RECIPE_MOST = 4 << 20, FILES_MOST = 1024 };

/* A recipe under way. */
struct reading {
	struct spec *spec;
	const char *what; /* the recipe's name, which is why anything in it is there */
};

static int wrong(const struct reading *reading, struct caisson_error *err)
{
	return caisson_wrap(err, "%s", reading->what);
}

/* What this version does not know might matter. */
static int check_fields(struct json_object *object, const char *const known[], const char *where,
	struct caisson_error *err)
{
	json_object_object_foreach (object, field, value) {
		size_t i = 0;

		(void)value;
		while (known[i] != NULL && strcmp(known[i], field) != 0)
			i++;
		if (known[i] == NULL)
			return caisson_refuse(err, EINVAL, "%s has no field '%s'", where, field);
	}
	return 0;
}

/* "0755" */
static int read_mode(struct json_object *object, mode_t *mode, struct caisson_error *err)
{
	const char *text = NULL;
	char *end;
	unsigned long number;
	int r = json_get_string(object, "mode", false, &text, err);

	if (r < 0 || text == NULL)
		return r;
	number = strtoul(text, &end, 8);
	if (strspn(text, "01234567") != strlen(text) || text[0] == '\0' || *end != '\0' ||
		number > 07777 || number == 0)
		return caisson_refuse(err, EINVAL, "'%s' is no mode in octal digits", text);
	*mode = (mode_t)number;
	return 0;
}

/* {"source": ..., "path": ..., "mode": ..., "optional": ..., "why": ...}, or "SOURCE" alone. The
   name of the first field is the kind's own. */
static int read_item(const struct reading *reading, struct json_object *value,
	struct spec_items *items, const char *first, struct caisson_error *err)
{
	const char *const known[] = {first, "path", "mode", "optional", "why", NULL};
	const char *source = NULL, *path = NULL, *why = NULL;
	_cleanup_free_ char *reason = NULL;
	bool optional = false;
	mode_t mode = 0;
	int r;

	if (json_object_is_type(value, json_type_string))
		return spec_add(
			items, json_object_get_string(value), NULL, reading->what, 0, false, err);
	if (!json_object_is_type(value, json_type_object))
		return caisson_refuse(err, EINVAL, "something is neither a text nor an object");
	r = check_fields(value, known, "an entry of a list", err);
	if (r == 0)
		r = json_get_string(value, first, true, &source, err);
	if (r == 0)
		r = json_get_string(value, "path", false, &path, err);
	if (r == 0)
		r = json_get_string(value, "why", false, &why, err);
	if (r == 0)
		r = json_get_bool(value, "optional", false, &optional, err);
	if (r == 0)
		r = read_mode(value, &mode, err);
	if (r < 0)
		return r;
	reason = why != NULL ? format_string("%s: %s", reading->what, why) : strdup(reading->what);
	if (reason == NULL)
		return caisson_fail(err, ENOMEM, "read a recipe");
	return spec_add(items, source, path, reason, mode, optional, err);
}

static int read_list(const struct reading *reading, struct json_object *recipe, const char *field,
	const char *first, struct spec_items *items, struct caisson_error *err)
{
	struct json_object *array = NULL;
	int r = json_get_array(recipe, field, false, &array, err);

	for (size_t i = 0; r == 0 && array != NULL && i < json_object_array_length(array); i++)
		r = read_item(reading, json_object_array_get_idx(array, i), items, first, err);
	return r < 0 ? caisson_wrap(err, "%s", field) : 0;
}

/* Texts and links have no meaning without a place. */
static int check_places(
	const struct spec_items *items, const char *field, size_t from, struct caisson_error *err)
{
	for (size_t i = from; i < items->count; i++) {
		if (items->items[i].path == NULL)
			return caisson_refuse(
				err, EINVAL, "%s: the field 'path' is missing", field);
	}
	return 0;
}

static int read_dlopen(struct json_object *recipe, struct spec *spec, struct caisson_error *err)
{
	static const char *const words[] = {"none", "required", "recommended", "all"};
	const char *text = NULL;
	int r = json_get_string(recipe, "dlopen", false, &text, err);

	if (r < 0 || text == NULL || spec->has_dlopen)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], text) == 0) {
			spec->has_dlopen = true;
			spec->dlopen = (enum closure_dlopen)i;
			return 0;
		}
	}
	return caisson_refuse(err, EINVAL, "dlopen is none, required, recommended or all");
}

static int read_words(struct json_object *recipe, struct spec *spec, struct caisson_error *err)
{
	const char *profile = NULL, *compress = NULL;
	int r = json_get_string(recipe, "profile", false, &profile, err);

	if (r == 0)
		r = json_get_string(recipe, "compress", false, &compress, err);
	if (r == 0 && profile != NULL && !spec->has_profile) {
		r = spec_profile_parse(profile, &spec->profile, err);
		spec->has_profile = r == 0;
	}
	if (r == 0 && compress != NULL && !spec->has_compression) {
		r = compression_parse(compress, &spec->compression, err);
		spec->has_compression = r == 0;
	}
	return r == 0 ? read_dlopen(recipe, spec, err) : r;
}

static int read_recipe(
	const struct reading *reading, struct json_object *recipe, struct caisson_error *err)
{
	static const char *const known[] = {"profile", "compress", "dlopen", "programs", "files",
		"texts", "links", "modules", NULL};
	struct spec *spec = reading->spec;
	size_t texts = spec->texts.count, links = spec->links.count;
	int r;

	if (!json_object_is_type(recipe, json_type_object))
		return caisson_refuse(err, EINVAL, "a recipe is a JSON object");
	r = check_fields(recipe, known, "a recipe", err);
	if (r == 0)
		r = read_words(recipe, spec, err);
	if (r == 0)
		r = read_list(reading, recipe, "programs", "source", &spec->programs, err);
	if (r == 0)
		r = read_list(reading, recipe, "files", "source", &spec->files, err);
	if (r == 0)
		r = read_list(reading, recipe, "texts", "text", &spec->texts, err);
	if (r == 0)
		r = check_places(&spec->texts, "texts", texts, err);
	if (r == 0)
		r = read_list(reading, recipe, "links", "target", &spec->links, err);
	if (r == 0)
		r = check_places(&spec->links, "links", links, err);
	if (r == 0)
		r = read_list(reading, recipe, "modules", "name", &spec->modules, err);
	return r;
}

int spec_parse(struct spec *spec, const char *text, size_t size, const char *what,
	struct caisson_error *err)
{
	const struct reading reading = {spec, what};
	_cleanup_json_ struct json_object *recipe = NULL;
	int r = json_parse(text, size, what, &recipe, err);

	if (r < 0)
		return r;
	r = read_recipe(&reading, recipe, err);
	return r < 0 ? wrong(&reading, err) : 0;
}

static int read_one(struct spec *spec, const char *path, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r = read_file(path, RECIPE_MOST, &text, err);

	if (r < 0)
		return r;
	return spec_parse(spec, text.data != NULL ? text.data : "", text.size, path, err);
}

static int read_folder(struct spec *spec, const char *path, struct caisson_error *err)
{
	_cleanup_closedir_ DIR *folder = opendir(path);
	_cleanup_strv_ struct strv files = STRV_INIT;
	int r = 0;

	if (folder == NULL)
		return caisson_fail(err, errno, "open %s", path);
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
		const char *dot = strrchr(entry->d_name, '.');

		if (entry->d_name[0] != '.' && dot != NULL && strcmp(dot, ".json") == 0)
			strv_add_owned(&files, path_join(path, entry->d_name));
		if (files.count > FILES_MOST)
			return caisson_refuse(
				err, E2BIG, "%s holds more than %d recipes", path, FILES_MOST);
	}
	if (!strv_ok(&files))
		return caisson_fail(err, ENOMEM, "read %s", path);
	if (files.count == 0)
		return caisson_refuse(err, ENOENT, "%s holds no recipe (NAME.json)", path);
	strv_sort(&files);
	for (size_t i = 0; i < files.count && r == 0; i++)
		r = read_one(spec, files.items[i], err);
	return r;
}

int spec_read(struct spec *spec, const char *path, struct caisson_error *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return caisson_fail(err, errno, "read the recipe %s", path);
	return S_ISDIR(st.st_mode) ? read_folder(spec, path, err) : read_one(spec, path, err);
}
