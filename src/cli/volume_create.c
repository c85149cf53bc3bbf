/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/volume.h>
#include <errno.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/volume_key.h"

enum {
	SIZE,
	FILESYSTEM,
	FROM,
	DEVICE,
	OVERWRITE,
	THIN,
	PREALLOCATE,
	SECTOR_SIZE,
	CIPHER,
	KEY_SIZE,
	INTEGRITY,
	LABEL,
	JSON,
	KEY,
};

static const struct cli_option options[] = {
	[SIZE] = {"size", 's', CLI_VALUE, "SIZE", "of the container: 256M, 10G; at least 32M",
		NULL},
	[FILESYSTEM] = {"filesystem", 'f', CLI_VALUE, "TYPE", "what to make in it (ext4)",
		"ext4 xfs btrfs none"},
	[FROM] = {"from", '\0', CLI_VALUE, "PATH",
		"fill it with this folder, tar archive or filesystem image", "@file"},
	[DEVICE] = {"device", '\0', CLI_VALUE, "PATH",
		"make it on this block device, and not in a file", "@file"},
	[OVERWRITE] = {"overwrite", '\0', CLI_FLAG, NULL,
		"also when something is on the device: it is lost", NULL},
	[THIN] = {"thin", '\0', CLI_FLAG, NULL, "take up what is in use only (as is usual)", NULL},
	[PREALLOCATE] = {"preallocate", '\0', CLI_FLAG, NULL, "take up all of the space at once",
		NULL},
	[SECTOR_SIZE] = {"sector-size", '\0', CLI_VALUE, "BYTES", "of the encryption (4096)",
		"512 1024 2048 4096"},
	[CIPHER] = {"cipher", '\0', CLI_VALUE, "CIPHER",
		"as cryptsetup writes it (aes-xts-plain64)",
		"aes-xts-plain64 serpent-xts-plain64 twofish-xts-plain64"},
	[KEY_SIZE] = {"key-size", '\0', CLI_VALUE, "BITS", "of the volume key (512)", "256 512"},
	[INTEGRITY] = {"integrity", '\0', CLI_VALUE, "TYPE",
		"notice changed blocks, too; wants device-mapper", "hmac-sha256 hmac-sha512"},
	[LABEL] = {"label", '\0', CLI_VALUE, "LABEL", "of the filesystem and the header (NAME)",
		NULL},
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	CLI_KEY_OPTIONS(KEY),
	{.name = NULL},
};

const struct cli_command command_volume_create;

static int read_sizes(const struct cli_context *context,
	struct caisson_volume_create_options *create, struct caisson_error *err)
{
	const char *size = cli_value(context, SIZE);
	int r = 0;

	if (size != NULL) {
		r = caisson_parse_size(size, &create->size, err);
		/* 0 is the library's word for "as large as it must be". */
		if (r == 0 && create->size == 0)
			return caisson_refuse(
				err, EINVAL, "a volume of 0 bytes is too small: at least 32 MiB");
	} else if (create->from == NULL && create->device == NULL)
		return caisson_refuse(err, EINVAL, "how large? Say it with --size: --size 1G");
	if (r == 0)
		r = cli_number(&command_volume_create, context, SECTOR_SIZE, 512, 4096,
			&create->sector_size, err);
	if (r == 0)
		r = cli_number(&command_volume_create, context, KEY_SIZE, 128, 1024,
			&create->key_bits, err);
	return r;
}

static int read_options(const struct cli_context *context,
	struct caisson_volume_create_options *create, struct caisson_error *err)
{
	create->filesystem = cli_value(context, FILESYSTEM);
	create->from = cli_value(context, FROM);
	create->device = cli_value(context, DEVICE);
	create->overwrite = cli_has(context, OVERWRITE);
	create->preallocate = cli_has(context, PREALLOCATE);
	create->cipher = cli_value(context, CIPHER);
	create->integrity = cli_value(context, INTEGRITY);
	create->label = cli_value(context, LABEL);
	if (create->preallocate && cli_has(context, THIN))
		return caisson_refuse(err, EINVAL, "--thin and --preallocate: one of them");
	if (create->device == NULL && create->overwrite)
		return caisson_refuse(err, EINVAL, "--overwrite is about a --device");
	if (create->device != NULL && create->preallocate)
		return caisson_refuse(err, EINVAL, "a device has all of its space already");
	return read_sizes(context, create, err);
}

static int create(struct cli_context *context, struct caisson_error *err)
{
	const char *name = context->operands.items[0];
	struct caisson_volume_create_options create = {.size = 0};
	_cleanup_cli_key_ struct cli_key key = CLI_KEY_NONE;
	_cleanup_progress_ struct cli_progress progress;
	int r;

	cli_progress_init(&progress, &command_volume_create, context);
	r = read_options(context, &create, err);
	if (r == 0)
		r = cli_take_first_key(context, KEY, &key, err);
	if (r < 0)
		return r;
	create.key = key.key;
	create.progress = &progress.progress;
	r = caisson_volume_create(context->caisson, name, &create, err);
	return r < 0 ? r : cli_print_name(name, cli_has(context, JSON), err);
}

const struct cli_command command_volume_create = {
	.name = "volume create",
	.summary = "make an encrypted volume",
	.operands = "NAME",
	.details =
		"A LUKS2 container with a filesystem in it, empty or filled from a folder, a tar\n"
		"archive or an image: encrypted on the way, so that nothing plain is written anywhere.\n"
		"Its key is made by caisson and kept wrapped, unless an option names another. Needs\n"
		"neither root nor device-mapper. Made whole, or not at all.\n",
	.options = options,
	.least = 1,
	.most = 1,
	.needs_state = true,
	.run = create,
};
