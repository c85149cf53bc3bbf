/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin/wishes.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "plugin/sessions.h"

/* What a volume shows of an option. */
enum shown { SHOWS_SAME, SHOWS_OTHER, SHOWS_NOTHING };

struct wish {
	const char *name;
	int (*read)(const char *value, struct caisson_volume_create_options *options,
		struct caisson_error *err);
	enum shown (*compare)(const char *value, const struct caisson_volume *volume);
};

static int read_size(
	const char *value, struct caisson_volume_create_options *options, struct caisson_error *err)
{
	int r = caisson_parse_size(value, &options->size, err);

	/* 0 is the library's word for "as large as it must be". */
	if (r == 0 && options->size == 0)
		return caisson_refuse(err, EINVAL, "a volume of 0 bytes is too small");
	return r;
}

static enum shown compare_size(const char *value, const struct caisson_volume *volume)
{
	uint64_t size;

	if (caisson_parse_size(value, &size, NULL) < 0)
		return SHOWS_OTHER;
	/* It was rounded up to blocks. */
	return (size + 4095) / 4096 == volume->size / 4096 ? SHOWS_SAME : SHOWS_OTHER;
}

static int read_filesystem(
	const char *value, struct caisson_volume_create_options *options, struct caisson_error *err)
{
	static const char *const known[] = {"ext4", "xfs", "btrfs"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(value, known[i]) == 0) {
			options->filesystem = known[i];
			return 0;
		}
	}
	return caisson_refuse(err, EINVAL,
		"no container can use the filesystem '%s': ext4, xfs and btrfs are known", value);
}

static enum shown compare_filesystem(const char *value, const struct caisson_volume *volume)
{
	if (volume->filesystem[0] == '\0')
		return SHOWS_NOTHING;
	return strcmp(value, volume->filesystem) == 0 ? SHOWS_SAME : SHOWS_OTHER;
}

/* The service's own folder means nothing to who asks. */
static int read_path(
	const char *option, const char *value, const char **ret_path, struct caisson_error *err)
{
	if (value[0] != '/')
		return caisson_refuse(err, EINVAL, "%s wants a path that begins with '/', not '%s'",
			option, value);
	*ret_path = value;
	return 0;
}

static int read_from(
	const char *value, struct caisson_volume_create_options *options, struct caisson_error *err)
{
	return read_path("from", value, &options->from, err);
}

static int read_device(
	const char *value, struct caisson_volume_create_options *options, struct caisson_error *err)
{
	return read_path("device", value, &options->device, err);
}

static int read_label(const char *value, struct caisson_volume_create_options *options,
	struct caisson_error *err _unused_)
{
	options->label = value;
	return 0;
}

static int read_sector_size(
	const char *value, struct caisson_volume_create_options *options, struct caisson_error *err)
{
	static const char *const known[] = {"512", "1024", "2048", "4096"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(value, known[i]) == 0) {
			options->sector_size = 512u << i;
			return 0;
		}
	}
	return caisson_refuse(
		err, EINVAL, "sector-size is 512, 1024, 2048 or 4096, not '%s'", value);
}

static enum shown compare_sector_size(const char *value, const struct caisson_volume *volume)
{
	struct caisson_volume_create_options options = {0};

	return read_sector_size(value, &options, NULL) == 0 &&
			       options.sector_size == volume->sector_size
		       ? SHOWS_SAME
		       : SHOWS_OTHER;
}

static int read_cipher(const char *value, struct caisson_volume_create_options *options,
	struct caisson_error *err _unused_)
{
	options->cipher = value;
	return 0;
}

static enum shown compare_cipher(const char *value, const struct caisson_volume *volume)
{
	return strcmp(value, volume->cipher) == 0 ? SHOWS_SAME : SHOWS_OTHER;
}

static int read_key_size(
	const char *value, struct caisson_volume_create_options *options, struct caisson_error *err)
{
	if (strcmp(value, "256") != 0 && strcmp(value, "512") != 0)
		return caisson_refuse(err, EINVAL, "key-size is 256 or 512, not '%s'", value);
	options->key_bits = value[0] == '2' ? 256 : 512;
	return 0;
}

static enum shown compare_key_size(const char *value, const struct caisson_volume *volume)
{
	struct caisson_volume_create_options options = {0};

	return read_key_size(value, &options, NULL) == 0 && options.key_bits == volume->key_bits
		       ? SHOWS_SAME
		       : SHOWS_OTHER;
}

static int read_integrity(const char *value, struct caisson_volume_create_options *options,
	struct caisson_error *err _unused_)
{
	options->integrity = value;
	return 0;
}

static int read_flag(const char *option, const char *value, bool *ret_on, struct caisson_error *err)
{
	static const char *const on[] = {"", "true", "yes", "1"}, *const off[] = {
									  "false", "no", "0"};

	for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
		if (strcasecmp(value, on[i]) == 0) {
			*ret_on = true;
			return 0;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		if (strcasecmp(value, off[i]) == 0) {
			*ret_on = false;
			return 0;
		}
	}
	return caisson_refuse(err, EINVAL, "%s is true or false, not '%s'", option, value);
}

static int read_preallocate(
	const char *value, struct caisson_volume_create_options *options, struct caisson_error *err)
{
	return read_flag("preallocate", value, &options->preallocate, err);
}

/* It is thin unless it is preallocated; wishes_read() refuses both. */
static int read_thin(const char *value, struct caisson_volume_create_options *options _unused_,
	struct caisson_error *err)
{
	bool on;

	return read_flag("thin", value, &on, err);
}

static enum shown compare_flag(const char *value, bool is)
{
	bool on = false;

	return read_flag("", value, &on, NULL) == 0 && on == is ? SHOWS_SAME : SHOWS_OTHER;
}

static enum shown compare_preallocate(const char *value, const struct caisson_volume *volume)
{
	return compare_flag(value, volume->allocated >= volume->size);
}

static enum shown compare_thin(const char *value, const struct caisson_volume *volume)
{
	return compare_flag(value, volume->allocated < volume->size);
}

/* Sorted: what the refusal of another lists. */
static const struct wish wishes[] = {
	{"cipher", read_cipher, compare_cipher},
	{"device", read_device, NULL},
	{"filesystem", read_filesystem, compare_filesystem},
	{"from", read_from, NULL},
	{"integrity", read_integrity, NULL},
	{"key-size", read_key_size, compare_key_size},
	{"label", read_label, NULL},
	{"preallocate", read_preallocate, compare_preallocate},
	{"sector-size", read_sector_size, compare_sector_size},
	{"size", read_size, compare_size},
	{"thin", read_thin, compare_thin},
};

static const struct wish *find_wish(const char *name, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf known = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
		if (strcmp(wishes[i].name, name) == 0)
			return &wishes[i];
		strbuf_add_format(&known, "%s%s", i > 0 ? ", " : "", wishes[i].name);
	}
	caisson_refuse(err, EINVAL, "volumes have no option '%.64s'", name);
	if (strbuf_ok(&known))
		caisson_hint(err, "known are %s", known.data);
	return NULL;
}

/* NULL: it is no text that an option can have. */
static const char *value_of(const char *name, struct json_object *value, struct caisson_error *err)
{
	const char *text;

	if (!json_object_is_type(value, json_type_string)) {
		caisson_refuse(err, EINVAL, "the value of the option %s is not a text", name);
		return NULL;
	}
	text = json_object_get_string(value);
	if (strlen(text) == (size_t)json_object_get_string_len(value) &&
		strlen(text) <= SESSION_OPTION_MOST)
		return text;
	caisson_refuse(
		err, EINVAL, "the value of the option %s is too long, or holds a NUL byte", name);
	return NULL;
}

static bool is_on(struct json_object *given, const char *name)
{
	struct json_object *value;
	bool on = false;

	return json_object_object_get_ex(given, name, &value) &&
	       read_flag(name, json_object_get_string(value), &on, NULL) == 0 && on;
}

int wishes_read(struct json_object *given, uint64_t default_size,
	struct caisson_volume_create_options *ret_options, struct caisson_error *err)
{
	struct caisson_volume_create_options options = {.key = CAISSON_VOLUME_KEY_SERVICE};

	if (given != NULL) {
		json_object_object_foreach (given, name, value) {
			const struct wish *wish = find_wish(name, err);
			const char *text = wish != NULL ? value_of(name, value, err) : NULL;
			int r;

			if (text == NULL)
				return -EINVAL;
			r = wish->read(text, &options, err);
			if (r < 0)
				return r;
		}
		if (options.preallocate && is_on(given, "thin"))
			return caisson_refuse(
				err, EINVAL, "a volume is thin or preallocated, and not both");
	}
	/* What is to be in it, or the device, says how large it is. */
	if (options.size == 0 && options.from == NULL && options.device == NULL)
		options.size = default_size;
	*ret_options = options;
	return 0;
}

static bool made_with(struct json_object *made, const char *name, const char *text)
{
	struct json_object *value;

	return made != NULL && json_object_object_get_ex(made, name, &value) &&
	       json_object_is_type(value, json_type_string) &&
	       strcmp(json_object_get_string(value), text) == 0;
}

int wishes_agree(struct json_object *given, struct json_object *made,
	const struct caisson_volume *volume, struct caisson_error *err)
{
	if (given == NULL)
		return 0;
	json_object_object_foreach (given, name, value) {
		const struct wish *wish = find_wish(name, err);
		const char *text = wish != NULL ? value_of(name, value, err) : NULL;
		enum shown shown;

		if (text == NULL)
			return -EINVAL;
		if (made_with(made, name, text))
			continue;
		shown = wish->compare != NULL ? wish->compare(text, volume) : SHOWS_NOTHING;
		if (shown == SHOWS_OTHER)
			return caisson_refuse(err, EEXIST,
				"there is a volume %s already, and its %s is not '%.64s'",
				volume->name, name, text);
		if (shown == SHOWS_NOTHING)
			return caisson_refuse(err, EEXIST,
				"there is a volume %s already, and it was not made with %s=%.64s",
				volume->name, name, text);
	}
	return 0;
}
