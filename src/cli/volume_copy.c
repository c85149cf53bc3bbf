/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What makes another thing of a volume: resize, copy, export, backup, restore. */
#include <caisson/volume.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/volume_key.h"

enum { RESIZE_KEY };

static const struct cli_option resize_options[] = {
	CLI_KEY_OPTIONS(RESIZE_KEY),
	{.name = NULL},
};

static int resize(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_cli_key_ struct cli_key key = CLI_KEY_NONE;
	uint64_t size = 0;
	int r = caisson_parse_size(context->operands.items[1], &size, err);

	if (r == 0)
		r = cli_take_key(context, RESIZE_KEY, "Passphrase", &key, err);
	return r < 0 ? r
		     : caisson_volume_resize(
			       context->caisson, context->operands.items[0], size, &key.key, err);
}

const struct cli_command command_volume_resize = {
	.name = "volume resize",
	.summary = "make a volume larger or smaller",
	.operands = "NAME SIZE",
	.complete = "@volume",
	.details =
		"Container and filesystem. Growing works on a volume that is mounted; shrinking\n"
		"wants ext4, and a volume that is not open. Either all of the old or all of the new\n"
		"size is there, whenever this is interrupted.\n",
	.options = resize_options,
	.least = 2,
	.most = 2,
	.needs_state = true,
	.run = resize,
};

enum { COPY_JSON, COPY_KEY, COPY_NEW = COPY_KEY + CLI_KEY_COUNT };

static const struct cli_option copy_options[] = {
	[COPY_JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	CLI_KEY_OPTIONS(COPY_KEY),
	CLI_NEW_KEY_OPTIONS(COPY_NEW),
	{.name = NULL},
};

static bool names_new_key(const struct cli_context *context, size_t first)
{
	for (size_t i = first; i < first + CLI_NEW_RECOVERY; i++) {
		if (cli_has(context, i))
			return true;
	}
	return false;
}

static int copy(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_cli_key_ struct cli_key key = CLI_KEY_NONE, added = CLI_KEY_NONE;
	const char *to = context->operands.items[1];
	_cleanup_progress_ struct cli_progress progress;
	int r = cli_take_key(context, COPY_KEY, "Passphrase", &key, err);

	cli_progress_init(&progress, &command_volume_copy, context);
	if (r == 0 && names_new_key(context, COPY_NEW))
		r = cli_take_new_key(context, COPY_NEW, false, &added, err);
	if (r == 0)
		r = caisson_volume_copy(context->caisson, context->operands.items[0], to, &key.key,
			&added.key, &progress.progress, err);
	return r < 0 ? r : cli_print_name(to, cli_has(context, COPY_JSON), err);
}

const struct cli_command command_volume_copy = {
	.name = "volume copy",
	.summary = "make a second volume with the same content",
	.operands = "NAME COPY",
	.complete = "@volume",
	.details =
		"Encrypted anew, under keys of its own: nothing that opens one opens the other. The\n"
		"copy's key is the key service's, unless an option names another.\n",
	.options = copy_options,
	.least = 2,
	.most = 2,
	.needs_state = true,
	.run = copy,
};

enum { FORMAT, ENCRYPTED, FORCE, EXPORT_KEY, EXPORT_NEW = EXPORT_KEY + CLI_KEY_COUNT };

static const struct cli_option export_options[] = {
	[FORMAT] = {"format", 'f', CLI_VALUE, "FORMAT", "of the file (raw)", "raw qcow2"},
	[ENCRYPTED] = {"encrypted", '\0', CLI_FLAG, NULL,
		"a LUKS2 container that the new key opens, and not the plain filesystem", NULL},
	[FORCE] = {"force", '\0', CLI_FLAG, NULL, "replace a file that is there", NULL},
	CLI_KEY_OPTIONS(EXPORT_KEY),
	CLI_NEW_KEY_OPTIONS(EXPORT_NEW),
	{.name = NULL},
};

static int export(struct cli_context *context, struct caisson_error *err)
{
	struct caisson_volume_export_options options = {
		.encrypted = cli_has(context, ENCRYPTED), .overwrite = cli_has(context, FORCE)};
	_cleanup_cli_key_ struct cli_key key = CLI_KEY_NONE, added = CLI_KEY_NONE;
	_cleanup_progress_ struct cli_progress progress;
	unsigned int format = 0;
	int r = cli_choice(&command_volume_export, context, FORMAT, &format, err);

	cli_progress_init(&progress, &command_volume_export, context);
	if (r == 0)
		r = cli_take_key(context, EXPORT_KEY, "Passphrase", &key, err);
	if (r == 0 && options.encrypted)
		r = cli_take_new_key(context, EXPORT_NEW, false, &added, err);
	if (r < 0)
		return r;
	if (options.encrypted && !added.given)
		return caisson_refuse(err, EINVAL,
			"the key service keeps keys of volumes, and not of files: name a passphrase "
			"or a key");
	if (!options.encrypted && names_new_key(context, EXPORT_NEW))
		return caisson_refuse(err, EINVAL, "a plain image has no key: --encrypted?");
	options.key = key.key;
	options.new_key = added.key;
	options.qcow2 = format == 1;
	options.progress = &progress.progress;
	return caisson_volume_export(context->caisson, context->operands.items[0],
		context->operands.items[1], &options, err);
}

const struct cli_command command_volume_export = {
	.name = "volume export",
	.summary = "write what a volume holds to an image file",
	.operands = "NAME FILE",
	.complete = "@volume",
	.details = "The plain filesystem, which anybody can read who gets the file; or, with\n"
		   "--encrypted, a container under a key of its own. Whole, or not there.\n",
	.options = export_options,
	.least = 2,
	.most = 2,
	.needs_state = true,
	.run = export,
};

static int backup(struct cli_context *context, struct caisson_error *err)
{
	return caisson_volume_backup(
		context->caisson, context->operands.items[0], context->operands.items[1], err);
}

const struct cli_command command_volume_backup = {
	.name = "volume backup",
	.summary = "save the header of a volume to a file",
	.operands = "NAME FILE",
	.complete = "@volume",
	.details =
		"As 'cryptsetup luksHeaderBackup' writes it. Keys that are removed later still open\n"
		"a volume with such a file: keep it as safe as they were.\n",
	.least = 2,
	.most = 2,
	.needs_state = true,
	.run = backup,
};

enum { RESTORE_FORCE };

static const struct cli_option restore_options[] = {
	[RESTORE_FORCE] = {"force", '\0', CLI_FLAG, NULL,
		"also when it looks like another volume's", NULL},
	{.name = NULL},
};

static int restore(struct cli_context *context, struct caisson_error *err)
{
	return caisson_volume_restore(context->caisson, context->operands.items[0],
		context->operands.items[1], cli_has(context, RESTORE_FORCE), err);
}

const struct cli_command command_volume_restore = {
	.name = "volume restore",
	.summary = "put a saved header back",
	.operands = "NAME FILE",
	.complete = "@volume",
	.options = restore_options,
	.least = 2,
	.most = 2,
	.needs_state = true,
	.run = restore,
};
