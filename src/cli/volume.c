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
	if (volume->has_key)
		return "free";
	/* Whoever made it, or gave it one, has another key; without any it is lost. */
	return volume->keyslots > 0 ? "own key" : "no key";
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

static int inspect(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = NULL;
	struct caisson_volume volume;
	int r = caisson_volume_inspect(context->caisson, context->operands.items[0], &volume, err);

	if (r < 0)
		return r;
	if (!cli_has(context, JSON)) {
		print_volume(&volume);
		return 0;
	}
	object = to_json(&volume);
	return cli_print_json(object, err);
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

static int destroy(struct cli_context *context, struct caisson_error *err)
{
	for (size_t i = 0; i < context->operands.count; i++) {
		const char *name = context->operands.items[i];
		int r = caisson_volume_destroy(context->caisson, name, NULL, err);

		if (r < 0)
			return r;
		if (r == 0)
			fprintf(stderr, "caisson: there is no volume %s: nothing to destroy\n",
				name);
		else
			printf("%s\n", name);
	}
	return 0;
}

const struct cli_command command_volume_destroy = {
	.name = "volume destroy",
	.summary = "destroy volumes: their keys, their headers, their files",
	.operands = "NAME...",
	.complete = "@volume",
	.details =
		"The key is forgotten and the header overwritten before the file is deleted: a copy\n"
		"of the container that somebody took before cannot be opened with anything that\n"
		"caisson still has. What is gone already is no failure.\n",
	.least = 1,
	.needs_state = true,
	.run = destroy,
};
