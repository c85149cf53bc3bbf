/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/commands.h"
#include "context.h"
#include "kernel/installed.h"

enum { JSON };

static const struct cli_option default_options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static int set_default(struct cli_context *context, struct caisson_error *err)
{
	const char *name = context->operands.items[0];
	int r = kernel_installed_choose(caisson_state(context->caisson), name, err);

	return r < 0 ? r : cli_print_name(name, cli_has(context, JSON), err);
}

const struct cli_command command_kernel_default = {
	.name = "kernel default",
	.summary = "make a kernel that was built here the one that new machines start from",
	.operands = "NAME",
	.complete = "@kernel",
	.details = "A build does so by itself. Machines that run are not touched.\n",
	.options = default_options,
	.needs_state = true,
	.least = 1,
	.most = 1,
	.run = set_default,
};
