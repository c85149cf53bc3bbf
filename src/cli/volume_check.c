/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/volume.h>
#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/volume_key.h"

enum { JSON, KEY };

static const struct cli_option options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	CLI_KEY_OPTIONS(KEY),
	{.name = NULL},
};

static const char *verdict(const struct caisson_volume_finding *finding)
{
	return finding->skipped ? "not checked" : finding->good ? "good" : "BAD";
}

static int print_finding(const struct caisson_volume_finding *finding, void *userdata _unused_)
{
	printf("%-12s %-12s %s\n", finding->part, verdict(finding), finding->text);
	return 0;
}

static int append_finding(const struct caisson_volume_finding *finding, void *userdata)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_string(object, "part", finding->part) ||
		!json_set_bool(object, "good", finding->good) ||
		!json_set_bool(object, "checked", !finding->skipped) ||
		!json_set_string(object, "text", finding->text) ||
		!json_append(userdata, take_ptr(object)))
		return -ENOMEM;
	return 0;
}

static int check(struct cli_context *context, struct caisson_error *err)
{
	const char *name = context->operands.items[0];
	_cleanup_json_ struct json_object *array = json_object_new_array();
	_cleanup_cli_key_ struct cli_key key = CLI_KEY_NONE;
	bool json = cli_has(context, JSON);
	int r, printed;

	if (array == NULL)
		return caisson_fail(err, ENOMEM, "print JSON");
	r = cli_take_key(context, KEY, "Passphrase", &key, err);
	if (r == 0)
		r = caisson_volume_check(context->caisson, name, &key.key,
			json ? append_finding : print_finding, json ? array : NULL, err);
	if (r < 0 || !json)
		return r;
	printed = cli_print_json(array, err);
	return printed < 0 ? printed : r;
}

const struct cli_command command_volume_check = {
	.name = "volume check",
	.summary = "check header, keyslots, key and filesystem of a volume",
	.operands = "NAME",
	.complete = "@volume",
	.details = "Nothing is changed. Ends with status 1 when something is not good.\n",
	.options = options,
	.least = 1,
	.most = 1,
	.needs_state = true,
	.run = check,
};
