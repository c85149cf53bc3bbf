/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "cli/commands.h"
#include "cli/runner.h"

const struct cli_command *const cli_commands[] = {
	&command_run,
	&command_volume_create,
	&command_volume_list,
	&command_volume_inspect,
	&command_volume_open,
	&command_volume_close,
	&command_volume_mount,
	&command_volume_unmount,
	&command_volume_check,
	&command_volume_resize,
	&command_volume_key_list,
	&command_volume_key_add,
	&command_volume_key_change,
	&command_volume_key_remove,
	&command_volume_backup,
	&command_volume_restore,
	&command_volume_copy,
	&command_volume_export,
	&command_volume_destroy,
	&command_volume_serve,
	&command_closure,
	&command_bundle,
	&command_initramfs_build,
	&command_initramfs_list,
	&command_initramfs_extract,
	&command_initramfs_inspect,
	&command_initramfs_diff,
	&command_initramfs_verify,
	&command_initramfs_bom,
	&command_initramfs_measure,
	&command_kernel_requirements,
	&command_kernel_check,
	&command_kernel_diff,
	&command_kernel_config,
	&command_kernel_build,
	&command_kernel_list,
	&command_kernel_default,
	&command_kernel_remove,
	&command_kernel_explain,
	&command_doctor,
	NULL,
};

static void print_usage(FILE *to)
{
	fputs("Usage: caisson COMMAND [OPTION...] [ARGUMENT...]\n\n"
	      "Encrypted storage for virtual machines: a workload starts from any container image in a\n"
	      "small virtual machine, and what it writes is encrypted with a key that reaches the\n"
	      "running guest and nothing else.\n\nCommands:\n",
		to);
	for (size_t i = 0; cli_commands[i] != NULL; i++)
		fprintf(to, "  %-20s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
	fputs("\n'caisson COMMAND --help' tells more of one; caisson(1) is the manual.\n", to);
}

/* The words of a command's name in front of @argv: how many, or 0. */
static int matches(const struct cli_command *command, int argc, char **argv)
{
	const char *name = command->name;
	int words = 0;

	while (*name != '\0') {
		size_t length = strcspn(name, " ");

		if (words >= argc || strlen(argv[words]) != length ||
			memcmp(argv[words], name, length) != 0)
			return 0;
		words++;
		name += length + (name[length] == ' ');
	}
	return words;
}

/* A first word that begins commands: "volume". */
static bool is_group(const char *word)
{
	size_t length = strlen(word);

	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		if (strncmp(cli_commands[i]->name, word, length) == 0 &&
			cli_commands[i]->name[length] == ' ')
			return true;
	}
	return false;
}

static int print_group(const char *word, FILE *to)
{
	size_t length = strlen(word);

	fprintf(to, "Usage: caisson %s COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n", word);
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		const char *name = cli_commands[i]->name;

		if (strncmp(name, word, length) == 0 && name[length] == ' ')
			fprintf(to, "  %-10s %s\n", name + length + 1, cli_commands[i]->summary);
	}
	return 0;
}

/* Root's state is the system's; others have their own (XDG Base Directory Specification 0.8). */
static char *default_folder(
	const char *variable, const char *system, const char *xdg, const char *home_folder)
{
	const char *text = getenv(variable);
	const char *home;

	if (text != NULL && text[0] != '\0')
		return strdup(text);
	if (geteuid() == 0)
		return strdup(system);
	text = getenv(xdg);
	if (text != NULL && text[0] == '/')
		return path_join(text, "caisson");
	home = getenv("HOME");
	return home != NULL ? format_string("%s/%s/caisson", home, home_folder) : NULL;
}

char *cli_state_path(const struct cli_command *command, const struct cli_context *context)
{
	const struct cli_given *state = cli_common(command, context, CLI_STATE);

	return state->count > 0 ? strdup(state->values.items[state->values.count - 1])
				: default_folder("CAISSON_STATE", "/var/lib/caisson",
					  "XDG_STATE_HOME", ".local/state");
}

static int open_state(
	const struct cli_command *command, struct cli_context *context, struct caisson_error *err)
{
	const struct cli_given *config = cli_common(command, context, CLI_CONFIG);
	_cleanup_free_ char *state_path = cli_state_path(command, context), *config_path = NULL;

	config_path = config->count > 0 ? strdup(config->values.items[config->values.count - 1])
					: default_folder("CAISSON_CONFIG", "/etc/caisson",
						  "XDG_CONFIG_HOME", ".config");
	if (state_path == NULL || config_path == NULL) {
		caisson_refuse(err, ENOENT, "there is no place for the state: HOME is not set");
		return caisson_hint(err, "set HOME, or CAISSON_STATE and CAISSON_CONFIG");
	}
	return caisson_open(&context->caisson, state_path, config_path, &context->log, err);
}

static int dispatch(int argc, char **argv)
{
	if (argc < 1) {
		print_usage(stderr);
		return STATUS_WRONG;
	}
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 ||
		(strcmp(argv[0], "help") == 0 && argc == 1)) {
		print_usage(stdout);
		return 0;
	}
	if (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "version") == 0) {
		printf("caisson %s\n", caisson_version());
		return 0;
	}
	if (strcmp(argv[0], "generate") == 0)
		return cli_generate(argc - 1, argv + 1);
	if (strcmp(argv[0], "help") == 0) {
		/* "help volume create" is "volume create --help". */
		for (size_t i = 0; cli_commands[i] != NULL; i++) {
			if (matches(cli_commands[i], argc - 1, argv + 1) == argc - 1) {
				cli_print_help(cli_commands[i], stdout);
				return 0;
			}
		}
		if (argc == 2 && is_group(argv[1]))
			return print_group(argv[1], stdout);
		fprintf(stderr, "caisson help: unknown command '%s'\n", argv[argc - 1]);
		return STATUS_WRONG;
	}
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		int words = matches(cli_commands[i], argc, argv);

		if (words > 0)
			return cli_run(cli_commands[i], open_state, argc - words, argv + words);
	}
	if (is_group(argv[0])) {
		bool asked =
			argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);

		if (argc > 1 && !asked)
			fprintf(stderr, "caisson %s: unknown command '%s'\n", argv[0], argv[1]);
		(void)print_group(argv[0], asked ? stdout : stderr);
		return asked ? 0 : STATUS_WRONG;
	}
	fprintf(stderr, "caisson: unknown command '%s'\n  'caisson --help' lists the commands\n",
		argv[0]);
	return STATUS_WRONG;
}

int main(int argc, char **argv)
{
	int status;

	cli_begin();
	status = dispatch(argc - 1, argv + 1);
	/* Of help and version, too; cli_run() has told of the rest. */
	return status == 0 && cli_flush_output() < 0 ? STATUS_FAILED : status;
}
