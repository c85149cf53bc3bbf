/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One table a command: its options, its --help, its completion and the option list of its man page
 * all come from it.
 */
#pragma once

#include <caisson/caisson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/strbuf.h"

enum cli_kind {
	CLI_FLAG,
	CLI_VALUE, /* the last one counts */
	CLI_LIST,  /* may be given again */
};

struct cli_option {
	const char *name; /* without the dashes; NULL ends a table */
	char letter;      /* '\0' without */
	enum cli_kind kind;
	const char *value; /* what its value is called in the help: "SIZE" */
	const char *help;  /* one sentence, lower case, no full stop */
	/* How a shell completes it: words, or "@file", "@directory", "@volume", "@kernel". */
	const char *complete;
};

/* What was given for each option of a table, by its index there. */
struct cli_given {
	unsigned int count;
	struct strv values;
};

#define CLI_OPTIONS_MOST 48

struct cli_context {
	struct cli_given given[CLI_OPTIONS_MOST];
	struct strv operands;
	struct caisson *caisson; /* open when the command asks for it */
	int status; /* a command that fails may set its own exit status; 0: the usual one */
	struct caisson_log log;
};

struct cli_command {
	const char *name;     /* "run"; "volume create" */
	const char *summary;  /* one sentence, lower case, no full stop */
	const char *operands; /* "IMAGE [COMMAND [ARGUMENT...]]" */
	const char *complete; /* of the operands, as for options */
	const char *details;  /* paragraphs of --help; may be NULL */
	const struct cli_option *options;
	unsigned int least, most; /* operands; most 0: no bound */
	/* Operands behind the first are a command of their own, whose options are not ours. */
	bool runs_command;
	bool needs_state;
	int failed; /* the exit status when caisson itself fails; 0: 1 (and 2 for wrong use) */
	/* The exit status, or a negative errno with its sentence. */
	int (*run)(struct cli_context *context, struct caisson_error *err);
};

extern const struct cli_option cli_common_options[];

enum cli_common {
	CLI_STATE,
	CLI_CONFIG,
	CLI_VERBOSE,
	CLI_QUIET,
	CLI_HELP,
	CLI_COMMON_COUNT,
};

/* Fills @context from the words behind the command's name. -EINVAL with a sentence. The common
   options come behind the command's own: see cli_common(). */
int cli_parse(const struct cli_command *command, int argc, char **argv, struct cli_context *context,
	struct caisson_error *err);
void cli_context_done(struct cli_context *context);
size_t cli_option_count(const struct cli_option *options);
const struct cli_given *cli_common(const struct cli_command *command,
	const struct cli_context *context, enum cli_common which);

static inline bool cli_has(const struct cli_context *context, size_t option)
{
	return context->given[option].count > 0;
}

/* The last value given, or NULL. */
static inline const char *cli_value(const struct cli_context *context, size_t option)
{
	const struct strv *values = &context->given[option].values;

	return values->count > 0 ? values->items[values->count - 1] : NULL;
}

/* A whole number from @least to @most; *ret_number is left alone when the option was not given. */
int cli_number(const struct cli_command *command, const struct cli_context *context, size_t option,
	unsigned long least, unsigned long most, unsigned int *ret_number,
	struct caisson_error *err);
/* The index of the option's value among the words of its completion; 0 when it was not given. */
int cli_choice(const struct cli_command *command, const struct cli_context *context, size_t option,
	unsigned int *ret_index, struct caisson_error *err);

void cli_print_help(const struct cli_command *command, FILE *to);
