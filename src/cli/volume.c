/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/volume.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "cli/commands.h"

/* list and inspect */

enum { JSON };

static const struct cli_option json_options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static bool describe_header(const struct caisson_volume *volume, struct json_object *object)
{
	if (volume->header_error[0] != '\0')
		return json_set_string(object, "header_error", volume->header_error);
	return json_set_string(object, "uuid", volume->uuid) &&
	       json_set_string(object, "cipher", volume->cipher) &&
	       json_set_uint(object, "key_bits", volume->key_bits) &&
	       json_set_uint(object, "sector_size", volume->sector_size) &&
	       json_set_uint(object, "data_offset", volume->data_offset) &&
	       json_set_uint(object, "keyslots", volume->keyslots) &&
	       json_set_uint(object, "tokens", volume->tokens) &&
	       json_set_string(object, "label", volume->label) &&
	       json_set_bool(object, "integrity", volume->integrity);
}

static struct json_object *to_json(const struct caisson_volume *volume)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_string(object, "name", volume->name) &&
		json_set_string(object, "path", volume->path) &&
		json_set_uint(object, "size", volume->size) &&
		json_set_uint(object, "allocated", volume->allocated) &&
		json_set_uint(object, "created", volume->created) &&
		json_set_bool(object, "has_key", volume->has_key) &&
		json_set_bool(object, "in_use", volume->in_use) &&
		json_set_string(object, "holder", volume->holder) &&
		json_set_bool(object, "by_machine", volume->by_machine) &&
		json_set_string(object, "filesystem", volume->filesystem) &&
		describe_header(volume, object))
		return take_ptr(object);
	return NULL;
}

static const char *state_of(const struct caisson_volume *volume)
{
	if (volume->header_error[0] != '\0')
		return "damaged";
	if (volume->in_use)
		return "in use";
	return volume->has_key ? "free" : "no key";
}

static void print_head(void)
{
	printf("%-24s %10s %10s  %-10s %-8s %s\n", "NAME", "SIZE", "ON DISK", "FILESYSTEM", "STATE",
		"IN USE BY");
}

static int print_row(const struct caisson_volume *volume, void *userdata)
{
	char size[32], allocated[32];
	bool *begun = userdata;

	if (!*begun)
		print_head();
	*begun = true;
	cli_format_size(volume->size, size, sizeof(size));
	cli_format_size(volume->allocated, allocated, sizeof(allocated));
	printf("%-24s %10s %10s  %-10s %-8s %s\n", volume->name, size, allocated,
		volume->filesystem[0] != '\0' ? volume->filesystem : "-", state_of(volume),
		volume->holder);
	return 0;
}

static int append_json(const struct caisson_volume *volume, void *userdata)
{
	return json_append(userdata, to_json(volume)) ? 0 : -ENOMEM;
}

static int list(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *array = NULL;
	bool begun = false;
	int r;

	if (!cli_has(context, JSON)) {
		r = caisson_volume_list(context->caisson, print_row, &begun, err);
		if (r == 0 && !begun)
			print_head();
		return r;
	}
	array = json_object_new_array();
	if (array == NULL)
		return caisson_fail(err, ENOMEM, "print JSON");
	r = caisson_volume_list(context->caisson, append_json, array, err);
	return r < 0 ? r : cli_print_json(array, err);
}

const struct cli_command command_volume_list = {
	.name = "volume list",
	.summary = "list the volumes",
	.options = json_options,
	.needs_state = true,
	.run = list,
};

static void print_size(const char *label, uint64_t bytes)
{
	char text[32];

	cli_format_size(bytes, text, sizeof(text));
	printf("%-12s %s (%" PRIu64 " bytes)\n", label, text, bytes);
}

static void print_volume(const struct caisson_volume *volume)
{
	time_t created = (time_t)volume->created;
	char text[64] = "unknown";
	struct tm tm;

	if (created != 0 && gmtime_r(&created, &tm) != NULL)
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	printf("%-12s %s\n", "Name:", volume->name);
	printf("%-12s %s\n", "Container:", volume->path);
	print_size("Size:", volume->size);
	print_size("On disk:", volume->allocated);
	printf("%-12s %s\n", "Created:", text);
	printf("%-12s %s%s%s\n", "State:", state_of(volume),
		volume->by_machine          ? " by the machine "
		: volume->holder[0] != '\0' ? " by "
					    : "",
		volume->holder);
	printf("%-12s %s\n",
		"Filesystem:", volume->filesystem[0] != '\0' ? volume->filesystem : "unknown");
	if (volume->filesystem_size > 0) {
		char used[32], size[32];

		cli_format_size(volume->filesystem_used, used, sizeof(used));
		cli_format_size(volume->filesystem_size, size, sizeof(size));
		printf("%-12s %s of %s\n", "Used:", used, size);
	}
	if (volume->header_error[0] != '\0') {
		printf("%-12s %s\n", "Header:", volume->header_error);
		return;
	}
	printf("%-12s LUKS2, UUID %s\n", "Header:", volume->uuid);
	printf("%-12s %s, %u-bit key, %u-byte sectors, data at %" PRIu64 "\n",
		"Cipher:", volume->cipher, volume->key_bits, volume->sector_size,
		volume->data_offset);
	printf("%-12s %u in use, %u token%s\n", "Keyslots:", volume->keyslots, volume->tokens,
		volume->tokens == 1 ? "" : "s");
}

static int print_keyslot(const struct caisson_volume_keyslot *keyslot, void *userdata _unused_)
{
	printf("%-12s %u: %s, %s\n", "", keyslot->number, keyslot->kind, keyslot->kdf);
	return 0;
}

static int append_keyslot(const struct caisson_volume_keyslot *keyslot, void *userdata)
{
	return json_append(userdata, cli_keyslot_json(keyslot)) ? 0 : -ENOMEM;
}

/* How it is open on this host, if it is. */
static void print_opened(struct caisson *caisson, const char *name)
{
	struct caisson_volume_opened opened;

	if (caisson_volume_opened(caisson, name, &opened, NULL) != 1)
		return;
	printf("%-12s %s%s%s\n", "Open:",
		opened.way == CAISSON_VOLUME_KERNEL ? "through dm-crypt, " : "in user space, ",
		opened.way == CAISSON_VOLUME_KERNEL ? opened.device : opened.nbd,
		opened.read_only ? " (read-only)" : "");
	if (opened.file[0] != '\0')
		printf("%-12s %s\n", "File:", opened.file);
	if (opened.mount_point[0] != '\0')
		printf("%-12s %s\n", "Mounted on:", opened.mount_point);
}

/* What the list does not tell: keyslots, how full it is, how it is open. */
static int inspect_json(
	struct caisson *caisson, const struct caisson_volume *volume, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = to_json(volume);
	struct json_object *keyslots = json_object_new_array();
	struct caisson_volume_opened opened = {.way = CAISSON_VOLUME_ANY};
	int r = 0;

	(void)caisson_volume_opened(caisson, volume->name, &opened, NULL);
	if (keyslots != NULL && volume->header_error[0] == '\0')
		r = caisson_volume_keyslots(caisson, volume->name, append_keyslot, keyslots, err);
	if (object == NULL || !json_set(object, "keyslot_list", keyslots) ||
		!json_set_uint(object, "filesystem_size", volume->filesystem_size) ||
		!json_set_uint(object, "filesystem_used", volume->filesystem_used) ||
		!json_set_string(object, "open",
			opened.way == CAISSON_VOLUME_KERNEL      ? "kernel"
			: opened.way == CAISSON_VOLUME_USERSPACE ? "userspace"
								 : "") ||
		!json_set_string(object, "device", opened.device) ||
		!json_set_string(object, "nbd", opened.nbd) ||
		!json_set_string(object, "file", opened.file) ||
		!json_set_string(object, "mount_point", opened.mount_point))
		return caisson_fail(err, ENOMEM, "print JSON");
	return r < 0 ? r : cli_print_json(object, err);
}

static int inspect(struct cli_context *context, struct caisson_error *err)
{
	struct caisson_volume volume;
	int r = caisson_volume_inspect(context->caisson, context->operands.items[0], &volume, err);

	if (r < 0)
		return r;
	if (cli_has(context, JSON))
		return inspect_json(context->caisson, &volume, err);
	print_volume(&volume);
	if (volume.header_error[0] == '\0')
		r = caisson_volume_keyslots(
			context->caisson, volume.name, print_keyslot, NULL, err);
	print_opened(context->caisson, volume.name);
	return r;
}

const struct cli_command command_volume_inspect = {
	.name = "volume inspect",
	.summary = "show what is known of a volume",
	.operands = "NAME",
	.complete = "@volume",
	.options = json_options,
	.least = 1,
	.most = 1,
	.needs_state = true,
	.run = inspect,
};

/* destroy */

enum { DESTROY_JSON };

static const struct cli_option destroy_options[] = {
	[DESTROY_JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON: what was done to each", NULL},
	{.name = NULL},
};

static struct json_object *destroyed_json(
	const char *name, const struct caisson_volume_destroyed *done, const char *failure)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_string(object, "name", name) &&
		json_set_bool(object, "unmounted", done->unmounted) &&
		json_set_bool(object, "closed", done->closed) &&
		json_set_bool(object, "key_removed", done->key_removed) &&
		json_set_bool(object, "header_erased", done->header_erased) &&
		json_set_bool(object, "discarded", done->discarded) &&
		json_set_bool(object, "files_removed", done->files_removed) &&
		json_set_bool(object, "mount_point_removed", done->mount_point_removed) &&
		json_set_string(object, "error", failure))
		return take_ptr(object);
	return NULL;
}

/* "closed, key forgotten, header overwritten, files deleted" */
static void print_done(const char *name, const struct caisson_volume_destroyed *done)
{
	const struct {
		bool done;
		const char *what;
	} steps[] = {{done->unmounted, "unmounted"}, {done->closed, "closed"},
		{done->key_removed, "key forgotten"}, {done->header_erased, "header overwritten"},
		{done->discarded, "blocks given back"}, {done->files_removed, "files deleted"},
		{done->mount_point_removed, "mount point removed"}};
	const char *between = "";

	fprintf(stderr, "caisson: %s: ", name);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (!steps[i].done)
			continue;
		fprintf(stderr, "%s%s", between, steps[i].what);
		between = ", ";
	}
	fprintf(stderr, "%s\n", between[0] == '\0' ? "nothing was done" : "");
}

static int destroy_one(struct cli_context *context, const char *name, struct json_object *array,
	struct caisson_error *err)
{
	bool quiet = cli_common(&command_volume_destroy, context, CLI_QUIET)->count > 0;
	struct caisson_volume_destroyed done = {.closed = false};
	int r = caisson_volume_destroy(context->caisson, name, &done, err);

	if (array != NULL)
		return json_append(array, destroyed_json(name, &done, r < 0 ? err->message : ""))
			       ? r
			       : caisson_fail(err, ENOMEM, "print JSON");
	if (r == 0 && !quiet)
		fprintf(stderr, "caisson: there is no volume %s: nothing to destroy\n", name);
	if (r != 0 && !quiet)
		print_done(name, &done);
	if (r > 0)
		printf("%s\n", name);
	return r;
}

/* The others are destroyed all the same. */
static int destroy(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *array = NULL;
	int first = 0, printed = 0;

	if (cli_has(context, DESTROY_JSON)) {
		array = json_object_new_array();
		if (array == NULL)
			return caisson_fail(err, ENOMEM, "print JSON");
	}
	for (size_t i = 0; i < context->operands.count; i++) {
		struct caisson_error failure = {0};
		int r = destroy_one(context, context->operands.items[i], array, &failure);

		if (r < 0 && first == 0) {
			first = r;
			*err = failure;
		} else if (r < 0) {
			fprintf(stderr, "caisson: %s\n", failure.message);
		}
	}
	if (array != NULL)
		printed = cli_print_json(array, first < 0 ? NULL : err);
	return first < 0 ? first : printed;
}

const struct cli_command command_volume_destroy = {
	.name = "volume destroy",
	.summary = "destroy volumes: their keys, their headers, their files",
	.operands = "NAME...",
	.complete = "@volume",
	.details =
		"It is unmounted and closed where it is open on this host, whoever uses it. The key is\n"
		"forgotten and the header overwritten before the file is deleted: a copy of the\n"
		"container that somebody took before cannot be opened with anything that caisson still\n"
		"has. Each step is tried, whatever became of the one before; what is gone already is\n"
		"no failure.\n",
	.options = destroy_options,
	.least = 1,
	.needs_state = true,
	.run = destroy,
};
