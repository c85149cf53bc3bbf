/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/initramfs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/io.h"
#include "cli/commands.h"

enum { FORMAT, ROOT };

static const struct cli_option options[] = {
	[FORMAT] = {"format", '\0', CLI_VALUE, "FORMAT", "spdx (2.3) or cyclonedx (1.5)",
		"spdx cyclonedx"},
	[ROOT] = {"root", '\0', CLI_VALUE, "DIR", "look for packages in this system", "@directory"},
	{.name = NULL},
};

static int bom(struct cli_context *context, struct caisson_error *err)
{
	const char *path = context->operands.items[0];
	struct caisson_initramfs_bom_options bom_options = {.root = cli_value(context, ROOT)};
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	unsigned int format;
	int r = cli_choice(&command_initramfs_bom, context, FORMAT, &format, err);

	if (r == 0)
		r = cli_source_date(&bom_options.created, err);
	if (r < 0)
		return r;
	bom_options.cyclonedx = format == 1;
	fd = open_file(path, O_RDONLY, 0, err);
	if (fd < 0)
		return fd;
	r = caisson_initramfs_bom(fd, path, &bom_options, &text, err);
	if (r == 0)
		puts(text);
	return r;
}

const struct cli_command command_initramfs_bom = {
	.name = "initramfs bom",
	.summary = "print a bill of materials: each file, and the package that it is of",
	.operands = "FILE",
	.complete = "@file",
	.details = "The same archive and the same packages give the same text; its time is\n"
		   "SOURCE_DATE_EPOCH, or 1970.\n",
	.options = options,
	.least = 1,
	.most = 1,
	.run = bom,
};
