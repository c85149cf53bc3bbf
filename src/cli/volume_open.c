/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open, close, mount, unmount */
#include <caisson/volume.h>
#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/volume_key.h"

enum {
	KERNEL,
	USERSPACE,
	READ_ONLY,
	DISCARD,
	JSON,
	KEY,
	TARGET = KEY + CLI_KEY_COUNT, /* of mount alone */
	MOUNT_OPTIONS,
};

#define OPEN_OPTIONS \
	[KERNEL] = {"kernel", '\0', CLI_FLAG, NULL, "through dm-crypt, or not at all", NULL}, \
	[USERSPACE] = {"userspace", '\0', CLI_FLAG, NULL, \
		"by a process that serves it, also where dm-crypt could be had", NULL}, \
	[READ_ONLY] = {"read-only", 'r', CLI_FLAG, NULL, "nothing can be written", NULL}, \
	[DISCARD] = {"discard", '\0', CLI_FLAG, NULL, \
		"give deleted files' space back: shows which blocks are in use", NULL}, \
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL}, CLI_KEY_OPTIONS(KEY)

static const struct cli_option open_options[] = {
	OPEN_OPTIONS,
	{.name = NULL},
};

static const struct cli_option mount_options[] = {
	OPEN_OPTIONS,
	[TARGET] = {"target", 't', CLI_VALUE, "DIR", "mount it there (STATE/mounts/NAME)",
		"@directory"},
	[MOUNT_OPTIONS] = {"options", 'o', CLI_VALUE, "LIST", "as of mount(8)'s -o", NULL},
	{.name = NULL},
};

static const char *way_name(enum caisson_volume_way way)
{
	return way == CAISSON_VOLUME_KERNEL ? "kernel" : "userspace";
}

static int print_json(
	const char *name, const struct caisson_volume_opened *opened, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_string(object, "name", name) ||
		!json_set_string(object, "way", way_name(opened->way)) ||
		!json_set_string(object, "why", opened->why) ||
		!json_set_string(object, "device", opened->device) ||
		!json_set_string(object, "nbd", opened->nbd) ||
		!json_set_string(object, "file", opened->file) ||
		!json_set_string(object, "mount_point", opened->mount_point) ||
		!json_set_bool(object, "read_only", opened->read_only) ||
		!json_set_bool(object, "was_open", opened->was_open))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

/* What is of use is the answer; how it came about goes to standard error. */
static void print_opened(const struct cli_command *command, const struct cli_context *context,
	const char *name, const struct caisson_volume_opened *opened)
{
	const char *answer = opened->mount_point[0] != '\0' ? opened->mount_point
			     : opened->device[0] != '\0'    ? opened->device
			     : opened->file[0] != '\0'      ? opened->file
							    : opened->nbd;

	printf("%s\n", answer);
	if (cli_common(command, context, CLI_QUIET)->count > 0)
		return;
	if (opened->was_open)
		fprintf(stderr, "caisson: %s is open already\n", name);
	if (opened->way == CAISSON_VOLUME_KERNEL)
		fprintf(stderr, "caisson: %s is open through dm-crypt: %s\n", name, opened->device);
	else
		fprintf(stderr, "caisson: %s is open in user space%s%s%s\n", name,
			opened->why[0] != '\0' ? " (no dm-crypt: " : "", opened->why,
			opened->why[0] != '\0' ? ")" : "");
	if (opened->nbd[0] != '\0')
		fprintf(stderr, "caisson: over NBD: nbd+unix:///%s?socket=%s\n", name, opened->nbd);
	if (opened->file[0] != '\0')
		fprintf(stderr, "caisson: as a file: %s\n", opened->file);
}

static int open_or_mount(const struct cli_command *command, bool mount, struct cli_context *context,
	struct caisson_error *err)
{
	const char *name = context->operands.items[0];
	struct caisson_volume_open_options options = {
		.read_only = cli_has(context, READ_ONLY), .discard = cli_has(context, DISCARD)};
	_cleanup_cli_key_ struct cli_key key = CLI_KEY_NONE;
	struct caisson_volume_opened opened = {.was_open = false};
	int r;

	if (cli_has(context, KERNEL) && cli_has(context, USERSPACE))
		return caisson_refuse(err, EINVAL, "--kernel and --userspace: one of them");
	options.way = cli_has(context, KERNEL)      ? CAISSON_VOLUME_KERNEL
		      : cli_has(context, USERSPACE) ? CAISSON_VOLUME_USERSPACE
						    : CAISSON_VOLUME_ANY;
	if (mount) {
		options.target = cli_value(context, TARGET);
		options.mount_options = cli_value(context, MOUNT_OPTIONS);
	}
	r = cli_take_key(context, KEY, "Passphrase", &key, err);
	if (r < 0)
		return r;
	options.key = key.key;
	r = mount ? caisson_volume_mount(context->caisson, name, &options, &opened, err)
		  : caisson_volume_open(context->caisson, name, &options, &opened, err);
	if (r < 0)
		return r;
	if (cli_has(context, JSON))
		return print_json(name, &opened, err);
	print_opened(command, context, name, &opened);
	return 0;
}

static int open_volume(struct cli_context *context, struct caisson_error *err)
{
	return open_or_mount(&command_volume_open, false, context, err);
}

static int mount_volume(struct cli_context *context, struct caisson_error *err)
{
	return open_or_mount(&command_volume_mount, true, context, err);
}

const struct cli_command command_volume_open = {
	.name = "volume open",
	.summary = "open a volume on this host",
	.operands = "NAME",
	.complete = "@volume",
	.details =
		"Through dm-crypt where there is device-mapper and the right to use it; else by a\n"
		"process that serves it over NBD on a UNIX socket, and as a file where there is\n"
		"FUSE. Prints the device, the file or the socket. It stays open until it is closed.\n",
	.options = open_options,
	.least = 1,
	.most = 1,
	.needs_state = true,
	.run = open_volume,
};

const struct cli_command command_volume_mount = {
	.name = "volume mount",
	.summary = "open a volume and mount its filesystem",
	.operands = "NAME",
	.complete = "@volume",
	.details =
		"Opens it as 'caisson volume open' does, unless it is open, and prints where its\n"
		"filesystem is mounted.\n",
	.options = mount_options,
	.least = 1,
	.most = 1,
	.needs_state = true,
	.run = mount_volume,
};

/* All of them, whatever becomes of the first; the first failure is the command's, others are told.
 */
static int each_volume(struct cli_context *context,
	int (*call)(struct cli_context *context, const char *name, struct caisson_error *err),
	struct caisson_error *err)
{
	int first = 0;

	for (size_t i = 0; i < context->operands.count; i++) {
		struct caisson_error failure = {0};
		int r = call(context, context->operands.items[i], &failure);

		if (r < 0 && first == 0) {
			first = r;
			*err = failure;
		} else if (r < 0) {
			fprintf(stderr, "caisson: %s\n", failure.message);
		}
	}
	return first;
}

static int close_one(struct cli_context *context, const char *name, struct caisson_error *err)
{
	return caisson_volume_close(context->caisson, name, err);
}

static int close_volumes(struct cli_context *context, struct caisson_error *err)
{
	return each_volume(context, close_one, err);
}

const struct cli_command command_volume_close = {
	.name = "volume close",
	.summary = "close volumes that are open on this host",
	.operands = "NAME...",
	.complete = "@volume",
	.details = "What is not open is no failure; what is mounted, or in use, is.\n",
	.least = 1,
	.needs_state = true,
	.run = close_volumes,
};

enum { LAZY };

static const struct cli_option unmount_options[] = {
	[LAZY] = {"lazy", 'l', CLI_FLAG, NULL, "at once, also when files are open in it", NULL},
	{.name = NULL},
};

static int unmount_volumes(struct cli_context *context, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < context->operands.count; i++)
		r = caisson_volume_unmount(
			context->caisson, context->operands.items[i], cli_has(context, LAZY), err);
	return r;
}

const struct cli_command command_volume_unmount = {
	.name = "volume unmount",
	.summary = "unmount volumes, and close them",
	.operands = "NAME...",
	.complete = "@volume",
	.details = "Wherever they are mounted. What is not mounted is no failure.\n",
	.options = unmount_options,
	.least = 1,
	.needs_state = true,
	.run = unmount_volumes,
};
