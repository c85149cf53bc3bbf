/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* key add, key change, key remove, key list */
#include <caisson/volume.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/volume_key.h"

enum {
	JSON_OUT,
	KEY,
	NEW = KEY + CLI_KEY_COUNT,
};

static const struct cli_option options[] = {
	[JSON_OUT] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	CLI_KEY_OPTIONS(KEY),
	CLI_NEW_KEY_OPTIONS(NEW),
	CLI_RECOVERY_OPTION(NEW),
	{.name = NULL},
};

/* The only place where a key is ever printed, because somebody asked for one to write down. Before
   it opens anything: what cannot be printed must not be the only key. */
static int print_recovery(const struct cli_key *key, struct caisson_error *err)
{
	return key->text.data == NULL ? 0
				      : write_all(STDOUT_FILENO, key->text.data, key->text.size,
						"standard output", err);
}

static int print_keyslot(const struct cli_context *context, const char *name, unsigned int keyslot,
	struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = NULL;

	if (!cli_has(context, JSON_OUT)) {
		fprintf(stderr, "caisson: the new key is in keyslot %u of %s\n", keyslot, name);
		return 0;
	}
	object = json_object_new_object();
	if (object == NULL || !json_set_string(object, "name", name) ||
		!json_set_uint(object, "keyslot", keyslot))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static int add_or_change(bool change, struct cli_context *context, struct caisson_error *err)
{
	_cleanup_cli_key_ struct cli_key key = CLI_KEY_NONE, added = CLI_KEY_NONE;
	const char *name = context->operands.items[0];
	unsigned int keyslot = 0;
	int r = cli_take_key(context, KEY, "Passphrase that opens it now", &key, err);

	if (r == 0)
		r = cli_take_new_key(context, NEW, true, &added, err);
	if (r == 0 && added.text.data != NULL && cli_has(context, JSON_OUT))
		return caisson_refuse(
			err, EINVAL, "a recovery key is printed by itself, and not in JSON");
	if (r == 0)
		r = print_recovery(&added, err);
	if (r < 0)
		return r;
	r = change ? caisson_volume_key_change(
			     context->caisson, name, &key.key, &added.key, &keyslot, err)
		   : caisson_volume_key_add(
			     context->caisson, name, &key.key, &added.key, &keyslot, err);
	if (r < 0 && added.text.data != NULL)
		fprintf(stderr, "caisson: the recovery key above opens nothing\n");
	return r < 0 ? r : print_keyslot(context, name, keyslot, err);
}

static int add(struct cli_context *context, struct caisson_error *err)
{
	return add_or_change(false, context, err);
}

static int change(struct cli_context *context, struct caisson_error *err)
{
	return add_or_change(true, context, err);
}

const struct cli_command command_volume_key_add = {
	.name = "volume key add",
	.summary = "let another key open a volume, too",
	.operands = "NAME",
	.complete = "@volume",
	.details =
		"One of the keys that open it now is needed: the key service's, unless an option\n"
		"names another.\n",
	.options = options,
	.least = 1,
	.most = 1,
	.needs_state = true,
	.run = add,
};

const struct cli_command command_volume_key_change = {
	.name = "volume key change",
	.summary = "replace a key of a volume",
	.operands = "NAME",
	.complete = "@volume",
	.details =
		"The key that opens it now (the key service's, unless an option names another) is\n"
		"replaced: its keyslot is overwritten. Either the old key or the new one opens it,\n"
		"whenever this is interrupted.\n",
	.options = options,
	.least = 1,
	.most = 1,
	.needs_state = true,
	.run = change,
};

enum { REMOVE_KEY, REMOVE_KEYSLOT = REMOVE_KEY + CLI_KEY_COUNT, REMOVE_SERVICE };

static const struct cli_option remove_options[] = {
	CLI_KEY_OPTIONS(REMOVE_KEY),
	[REMOVE_KEYSLOT] = {"keyslot", '\0', CLI_VALUE, "N",
		"the key in this keyslot, which need not be known", NULL},
	[REMOVE_SERVICE] = {"service", '\0', CLI_FLAG, NULL,
		"the key service's: machines cannot open it any more", NULL},
	{.name = NULL},
};

static int remove_key(struct cli_context *context, struct caisson_error *err)
{
	_cleanup_cli_key_ struct cli_key key = CLI_KEY_NONE;
	const char *name = context->operands.items[0];
	unsigned int keyslot = 0;
	bool service = cli_has(context, REMOVE_SERVICE);
	int r = cli_take_key(context, REMOVE_KEY, "Passphrase to be removed", &key, err);

	if (r == 0)
		r = cli_number(
			&command_volume_key_remove, context, REMOVE_KEYSLOT, 0, 31, &keyslot, err);
	if (r < 0)
		return r;
	if (key.given + service + cli_has(context, REMOVE_KEYSLOT) != 1)
		return caisson_refuse(err, EINVAL,
			"which key? One of --passphrase, --key-file, --key-fd, --credential, "
			"--keyslot, --service");
	return caisson_volume_key_remove(
		context->caisson, name, key.given || service ? &key.key : NULL, keyslot, err);
}

const struct cli_command command_volume_key_remove = {
	.name = "volume key remove",
	.summary = "let a key open a volume no longer",
	.operands = "NAME",
	.complete = "@volume",
	.details = "Its keyslot is overwritten. The last one is refused.\n",
	.options = remove_options,
	.least = 1,
	.most = 1,
	.needs_state = true,
	.run = remove_key,
};

enum { JSON };

static const struct cli_option list_options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static int print_row(const struct caisson_volume_keyslot *keyslot, void *userdata _unused_)
{
	char memory[32] = "-";

	if (keyslot->memory > 0)
		cli_format_size(keyslot->memory, memory, sizeof(memory));
	printf("%-8u %-12s %-10s %10s %12" PRIu64 "\n", keyslot->number, keyslot->kind,
		keyslot->kdf, memory, keyslot->iterations);
	return 0;
}

struct json_object *cli_keyslot_json(const struct caisson_volume_keyslot *keyslot)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object != NULL && json_set_uint(object, "keyslot", keyslot->number) &&
		json_set_string(object, "kind", keyslot->kind) &&
		json_set_string(object, "kdf", keyslot->kdf) &&
		json_set_uint(object, "memory", keyslot->memory) &&
		json_set_uint(object, "iterations", keyslot->iterations))
		return take_ptr(object);
	return NULL;
}

static int append_row(const struct caisson_volume_keyslot *keyslot, void *userdata)
{
	return json_append(userdata, cli_keyslot_json(keyslot)) ? 0 : -ENOMEM;
}

static int list(struct cli_context *context, struct caisson_error *err)
{
	const char *name = context->operands.items[0];
	_cleanup_json_ struct json_object *array = json_object_new_array();
	int r;

	if (array == NULL)
		return caisson_fail(err, ENOMEM, "print JSON");
	if (cli_has(context, JSON)) {
		r = caisson_volume_keyslots(context->caisson, name, append_row, array, err);
		return r < 0 ? r : cli_print_json(array, err);
	}
	printf("%-8s %-12s %-10s %10s %12s\n", "KEYSLOT", "KEY", "KDF", "MEMORY", "ITERATIONS");
	return caisson_volume_keyslots(context->caisson, name, print_row, NULL, err);
}

const struct cli_command command_volume_key_list = {
	.name = "volume key list",
	.summary = "list the keyslots of a volume",
	.operands = "NAME",
	.complete = "@volume",
	.options = list_options,
	.least = 1,
	.most = 1,
	.needs_state = true,
	.run = list,
};
