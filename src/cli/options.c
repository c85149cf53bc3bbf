/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct cli_option cli_common_options[] = {
	[CLI_STATE] = {"state", '\0', CLI_VALUE, "DIR",
		"keep volumes, images and machines here (CAISSON_STATE)", "@directory"},
	[CLI_CONFIG] = {"config", '\0', CLI_VALUE, "DIR",
		"keep the key-encryption key here (CAISSON_CONFIG)", "@directory"},
	[CLI_VERBOSE] = {"verbose", '\0', CLI_FLAG, NULL, "say more, with times", NULL},
	[CLI_QUIET] = {"quiet", 'q', CLI_FLAG, NULL, "say nothing but errors", NULL},
	[CLI_HELP] = {"help", 'h', CLI_FLAG, NULL, "show this help", NULL},
	[CLI_COMMON_COUNT] = {.name = NULL},
};

size_t cli_option_count(const struct cli_option *options)
{
	size_t count = 0;

	while (options != NULL && options[count].name != NULL)
		count++;
	return count;
}

/* The tables one behind the other. */
static const struct cli_option *option_at(const struct cli_command *command, size_t index)
{
	size_t own = cli_option_count(command->options);

	return index < own ? &command->options[index] : &cli_common_options[index - own];
}

static size_t all_options(const struct cli_command *command)
{
	return cli_option_count(command->options) + CLI_COMMON_COUNT;
}

const struct cli_given *cli_common(
	const struct cli_command *command, const struct cli_context *context, enum cli_common which)
{
	return &context->given[cli_option_count(command->options) + which];
}

static int give(struct cli_context *context, size_t index, const char *value)
{
	context->given[index].count++;
	if (value != NULL)
		strv_add(&context->given[index].values, value);
	return strv_ok(&context->given[index].values) ? 0 : -ENOMEM;
}

/* "--name", "--name=value", "--name value" */
static int parse_long(const struct cli_command *command, const char *word, const char *next,
	struct cli_context *context, struct caisson_error *err)
{
	const char *equals = strchr(word, '=');
	size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);

	for (size_t i = 0; i < all_options(command); i++) {
		const struct cli_option *option = option_at(command, i);

		if (strlen(option->name) != length || memcmp(option->name, word, length) != 0)
			continue;
		if (option->kind == CLI_FLAG && equals != NULL)
			return caisson_refuse(
				err, EINVAL, "the option --%s takes no value", option->name);
		if (option->kind == CLI_FLAG)
			return give(context, i, NULL);
		if (equals == NULL && next == NULL)
			return caisson_refuse(err, EINVAL, "the option --%s wants a value: %s",
				option->name, option->value);
		if (give(context, i, equals != NULL ? equals + 1 : next) < 0)
			return caisson_fail(err, ENOMEM, "read the options");
		return equals == NULL;
	}
	return caisson_refuse(err, EINVAL, "unknown option '--%.*s'", (int)length, word);
}

/* "-i", "-it", "-vVALUE", "-v VALUE" */
static int parse_letters(const struct cli_command *command, const char *letters, const char *next,
	struct cli_context *context, struct caisson_error *err)
{
	for (; *letters != '\0'; letters++) {
		const struct cli_option *option = NULL;
		size_t i;

		for (i = 0; i < all_options(command); i++) {
			option = option_at(command, i);
			if (option->letter == *letters)
				break;
		}
		if (i == all_options(command))
			return caisson_refuse(err, EINVAL, "unknown option '-%c'", *letters);
		if (option->kind == CLI_FLAG) {
			(void)give(context, i, NULL);
			continue;
		}
		if (letters[1] == '\0' && next == NULL)
			return caisson_refuse(err, EINVAL, "the option -%c wants a value: %s",
				*letters, option->value);
		if (give(context, i, letters[1] != '\0' ? letters + 1 : next) < 0)
			return caisson_fail(err, ENOMEM, "read the options");
		return letters[1] == '\0';
	}
	return 0;
}

static int check_operands(const struct cli_command *command, const struct cli_context *context,
	struct caisson_error *err)
{
	size_t count = context->operands.count;

	if (cli_common(command, context, CLI_HELP)->count > 0)
		return 0;
	if (count < command->least)
		return caisson_refuse(err, EINVAL, "something is missing: %s", command->operands);
	if (command->most > 0 && count > command->most)
		return caisson_refuse(
			err, EINVAL, "'%s' is too much", context->operands.items[command->most]);
	if (command->operands == NULL && count > 0)
		return caisson_refuse(err, EINVAL, "'%s' is too much", context->operands.items[0]);
	return 0;
}

int cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_context *context,
	struct caisson_error *err)
{
	bool options = true;

	for (int i = 0; i < argc; i++) {
		const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
		int used = 0;

		if (options && strcmp(word, "--") == 0) {
			options = false;
			continue;
		}
		if (options && word[0] == '-' && word[1] == '-')
			used = parse_long(command, word + 2, next, context, err);
		else if (options && word[0] == '-' && word[1] != '\0')
			used = parse_letters(command, word + 1, next, context, err);
		else
			strv_add(&context->operands, word);
		if (used < 0)
			return used;
		i += used;
		if (command->runs_command && context->operands.count > 1)
			options = false;
	}
	if (!strv_ok(&context->operands))
		return caisson_fail(err, ENOMEM, "read the arguments");
	return check_operands(command, context, err);
}

void cli_context_done(struct cli_context *context)
{
	for (size_t i = 0; i < CLI_OPTIONS_MOST; i++)
		strv_done(&context->given[i].values);
	strv_done(&context->operands);
	caisson_close(context->caisson);
	context->caisson = NULL;
}

int cli_number(const struct cli_command *command, const struct cli_context *context, size_t option,
	unsigned long least, unsigned long most, unsigned int *ret_number,
	struct caisson_error *err)
{
	const char *text = cli_value(context, option);
	unsigned long number;
	char *end;

	if (text == NULL)
		return 0;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < least ||
		number > most)
		return caisson_refuse(err, EINVAL,
			"the option --%s wants a whole number from %lu to %lu, not '%s'",
			command->options[option].name, least, most, text);
	*ret_number = (unsigned int)number;
	return 0;
}

int cli_choice(const struct cli_command *command, const struct cli_context *context, size_t option,
	unsigned int *ret_index, struct caisson_error *err)
{
	const char *text = cli_value(context, option), *word;
	unsigned int index = 0;

	if (text == NULL) {
		*ret_index = 0;
		return 0;
	}
	for (word = command->options[option].complete; *word != '\0'; index++) {
		size_t length = strcspn(word, " ");

		if (strlen(text) == length && memcmp(text, word, length) == 0) {
			*ret_index = index;
			return 0;
		}
		word += length + (word[length] == ' ');
	}
	return caisson_refuse(err, EINVAL, "the option --%s is one of: %s",
		command->options[option].name, command->options[option].complete);
}

static void print_options(const struct cli_option *options, FILE *to)
{
	for (size_t i = 0; i < cli_option_count(options); i++) {
		char text[64];
		int used;

		used = options[i].letter != '\0'
			       ? snprintf(text, sizeof(text), "-%c, ", options[i].letter)
			       : snprintf(text, sizeof(text), "    ");
		used += snprintf(text + used, sizeof(text) - (size_t)used, "--%s", options[i].name);
		if (options[i].value != NULL)
			snprintf(text + used, sizeof(text) - (size_t)used, " %s", options[i].value);
		fprintf(to, "  %-28s %s\n", text, options[i].help);
	}
}

void cli_print_help(const struct cli_command *command, FILE *to)
{
	fprintf(to, "Usage: caisson %s [OPTION...]%s%s\n\n", command->name,
		command->operands != NULL ? " " : "",
		command->operands != NULL ? command->operands : "");
	fprintf(to, "%c%s.\n", command->summary[0] - 'a' + 'A', command->summary + 1);
	if (command->details != NULL)
		fprintf(to, "\n%s", command->details);
	if (cli_option_count(command->options) > 0) {
		fputs("\nOptions:\n", to);
		print_options(command->options, to);
	}
	fputs("\nCommon options:\n", to);
	print_options(cli_common_options, to);
}
