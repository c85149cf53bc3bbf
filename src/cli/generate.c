/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is made from the option tables at build time: completions, and the option lists of man
 * pages. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

/* The last word of "volume create", and the part before it ("volume"), or nothing. */
static void split_name(const char *name, char group[static 32], const char **ret_last)
{
	const char *space = strchr(name, ' ');

	snprintf(group, 32, "%.*s", space != NULL ? (int)(space - name) : 0, name);
	*ret_last = space != NULL ? space + 1 : name;
}

typedef void option_function(const struct cli_option *option, const void *userdata);

static void each_option(
	const struct cli_command *command, option_function *function, const void *userdata)
{
	for (size_t i = 0; i < cli_option_count(command->options); i++)
		function(&command->options[i], userdata);
	for (size_t i = 0; i < cli_option_count(cli_common_options); i++)
		function(&cli_common_options[i], userdata);
}

/* First words of the commands, each once. */
static void print_first_words(const char *separator)
{
	char last[32] = "";

	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		char word[32];

		snprintf(word, sizeof(word), "%.*s", (int)strcspn(cli_commands[i]->name, " "),
			cli_commands[i]->name);
		if (strcmp(word, last) != 0)
			printf("%s%s", last[0] != '\0' ? separator : "", word);
		snprintf(last, sizeof(last), "%s", word);
	}
}

static void print_second_words(const char *group)
{
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		char own[32];
		const char *last;

		split_name(cli_commands[i]->name, own, &last);
		if (strcmp(own, group) == 0)
			printf(" %s", last);
	}
}

/* bash */

static void bash_word(const struct cli_option *option, const void *userdata)
{
	(void)userdata;
	printf(" --%s", option->name);
	if (option->letter != '\0')
		printf(" -%c", option->letter);
}

/* Whether @option's value is a volume and something behind a colon: NAME:PATH[:ro]. */
static bool continues(const struct cli_option *option)
{
	return strncmp(option->value, "NAME:", 5) == 0;
}

/* One command of the script; ":" does nothing. */
static void bash_action(const char *complete, bool colon)
{
	if (complete == NULL)
		printf(":");
	else if (strcmp(complete, "@file") == 0)
		printf("_filedir");
	else if (strcmp(complete, "@directory") == 0)
		printf("_filedir -d");
	else if (strcmp(complete, "@volume") == 0)
		printf("_caisson_words \"$(_caisson_volumes)\"%s", colon ? " -S :" : "");
	else
		printf("_caisson_words '%s'", complete);
}

static void bash_value(const struct cli_option *option, const void *userdata)
{
	(void)userdata;
	if (option->kind == CLI_FLAG)
		return;
	printf("\t\t--%s", option->name);
	if (option->letter != '\0')
		printf(" | -%c", option->letter);
	printf(") ");
	bash_action(option->complete, continues(option));
	printf("; return ;;\n");
}

/* From "volume" and "create" to the name of one command, "volume create". */
static void bash_groups(void)
{
	puts("\tcase \"$command\" in");
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		char group[32], previous[32] = "";
		const char *last;

		if (i > 0)
			split_name(cli_commands[i - 1]->name, previous, &last);
		split_name(cli_commands[i]->name, group, &last);
		if (group[0] == '\0' || strcmp(group, previous) == 0)
			continue;
		printf("\t%s)\n\t\tif [ \"$cword\" -eq 2 ]; then\n\t\t\t_caisson_words '", group);
		print_second_words(group);
		puts("'\n\t\t\treturn\n\t\tfi\n\t\tcommand=\"$command ${words[2]}\"\n\t\t;;");
	}
	printf("\thelp)\n\t\t[ \"$cword\" -ne 2 ] || _caisson_words '");
	print_first_words(" ");
	puts("'\n\t\treturn\n\t\t;;\n\tesac");
}

static void bash_command(const struct cli_command *command)
{
	printf("\t'%s')\n", command->name);
	/* What stands behind "--" is the workload's. */
	if (command->runs_command)
		puts("\t\tcase \" ${words[*]:0:cword} \" in\n\t\t*' -- '*) return ;;\n\t\tesac");
	puts("\t\tcase \"$prev\" in");
	each_option(command, bash_value, NULL);
	printf("\t\tesac\n\t\tif [[ $cur == -* ]]; then\n\t\t\t_caisson_words '");
	each_option(command, bash_word, NULL);
	printf("'\n\t\t\treturn\n\t\tfi\n\t\t");
	bash_action(command->complete, false);
	puts("\n\t\t;;");
}

static void generate_bash(void)
{
	puts("# bash completion for caisson, made from its option tables\n"
	     "_caisson_volumes()\n{\n"
	     "\tcaisson volume list 2>/dev/null | while read -r name _; do\n"
	     "\t\t[ \"$name\" = NAME ] || echo \"$name\"\n\tdone\n}\n\n"
	     "_caisson_words()\n{\n\tlocal words=$1\n\tshift\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" \"$@\" -- \"$cur\")\n"
	     "\t[ $# -eq 0 ] || compopt -o nospace\n}\n\n"
	     "_caisson()\n{\n\tlocal cur prev words cword split\n"
	     "\t_init_completion -s -n : || return\n"
	     "\tlocal command=${words[1]}");
	printf("\tif [ \"$cword\" -eq 1 ]; then\n\t\t_caisson_words '");
	print_first_words(" ");
	puts(" help --help --version'\n\t\treturn\n\tfi");
	bash_groups();
	puts("\tcase \"$command\" in");
	for (size_t i = 0; cli_commands[i] != NULL; i++)
		bash_command(cli_commands[i]);
	puts("\tesac\n}\ncomplete -F _caisson caisson");
}

/* zsh */

static void zsh_text(const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("[]:'", *text) != NULL)
			printf(*text == '\'' ? "'\\'" : "\\");
		putchar(*text);
	}
}

static void zsh_action(const char *complete, bool colon)
{
	if (complete == NULL)
		printf(" ");
	else if (strcmp(complete, "@file") == 0)
		printf("_files");
	else if (strcmp(complete, "@directory") == 0)
		printf("_files -/");
	else if (strcmp(complete, "@volume") == 0)
		printf(colon ? "_caisson_volumes -S\\:" : "_caisson_volumes");
	else
		printf("(%s)", complete);
}

static void zsh_option(const struct cli_option *option, const void *userdata)
{
	bool flag = option->kind == CLI_FLAG;

	(void)userdata;
	/* "+" and "=": the value may also stand in the same word. */
	if (option->letter != '\0' && option->kind == CLI_LIST)
		printf("\t\t\t'*'{-%c+,--%s=}'", option->letter, option->name);
	else if (option->letter != '\0')
		printf("\t\t\t'(-%c --%s)'{-%c%s,--%s%s}'", option->letter, option->name,
			option->letter, flag ? "" : "+", option->name, flag ? "" : "=");
	else
		printf("\t\t\t'%s--%s%s", option->kind == CLI_LIST ? "*" : "", option->name,
			flag ? "" : "=");
	printf("[");
	zsh_text(option->help);
	printf("]");
	if (option->kind != CLI_FLAG) {
		printf(":");
		zsh_text(option->value);
		printf(":");
		zsh_action(option->complete, continues(option));
	}
	printf("' \\\n");
}

static void generate_zsh(void)
{
	puts("#compdef caisson\n# zsh completion for caisson, made from its option tables\n"
	     "_caisson_volumes()\n{\n\tlocal -a names\n"
	     "\tnames=(${${(f)\"$(caisson volume list 2>/dev/null)\"}[2,-1]%% *})\n"
	     "\tcompadd \"$@\" -a names\n}\n\n_caisson()\n{\n\tlocal command=$words[2]");
	printf("\tif ((CURRENT == 2)); then\n\t\tcompadd ");
	print_first_words(" ");
	puts(" help\n\t\treturn\n\tfi\n\tlocal depth=2\n\tcase $command in");
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		char group[32], previous[32] = "";
		const char *last;

		split_name(cli_commands[i]->name, group, &last);
		if (i > 0)
			split_name(cli_commands[i - 1]->name, previous, &last);
		if (group[0] == '\0' || strcmp(group, previous) == 0)
			continue;
		printf("\t%s)\n\t\tif ((CURRENT == 3)); then\n\t\t\tcompadd", group);
		print_second_words(group);
		puts("\n\t\t\treturn\n\t\tfi\n\t\tcommand=\"$command $words[3]\"\n\t\tdepth=3\n\t\t;;");
	}
	puts("\tesac\n\tshift $((depth - 1)) words\n\t((CURRENT -= depth - 1))\n\tcase $command in");
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		printf("\t'%s')\n\t\t_arguments -s -S \\\n", cli_commands[i]->name);
		each_option(cli_commands[i], zsh_option, NULL);
		printf("\t\t\t'*:");
		zsh_text(cli_commands[i]->operands != NULL ? cli_commands[i]->operands : "nothing");
		printf(":");
		zsh_action(cli_commands[i]->complete, false);
		printf("'\n\t\t;;\n");
	}
	puts("\tesac\n}\n_caisson \"$@\"");
}

/* fish */

static void fish_quoted(const char *text)
{
	putchar('\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('\'');
}

static void fish_condition(const char *name)
{
	char group[32];
	const char *last;

	split_name(name, group, &last);
	if (group[0] != '\0')
		printf(" -n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s'",
			group, last);
	else
		printf(" -n '__fish_seen_subcommand_from %s'", last);
}

static void fish_action(const char *complete)
{
	if (complete == NULL)
		return;
	if (strcmp(complete, "@file") == 0)
		printf(" -F");
	else if (strcmp(complete, "@directory") == 0)
		printf(" -a '(__fish_complete_directories)'");
	else if (strcmp(complete, "@volume") == 0)
		printf(" -a '(__caisson_volumes)'");
	else
		printf(" -a '%s'", complete);
}

static void fish_option(const struct cli_option *option, const void *userdata)
{
	printf("complete -c caisson");
	fish_condition(userdata);
	printf(" -l %s", option->name);
	if (option->letter != '\0')
		printf(" -s %c", option->letter);
	if (option->kind != CLI_FLAG) {
		/* Only where a file is meant are files offered. */
		printf(option->complete != NULL && strcmp(option->complete, "@file") == 0 ? " -r"
											  : " -x");
		fish_action(option->complete);
	}
	printf(" -d ");
	fish_quoted(option->help);
	putchar('\n');
}

static void generate_fish(void)
{
	puts("# fish completion for caisson, made from its option tables\n"
	     "function __caisson_volumes\n"
	     "\tcaisson volume list 2>/dev/null | tail -n +2 | string replace -r ' .*' ''\n"
	     "end\n\ncomplete -c caisson -f");
	printf("complete -c caisson -n __fish_use_subcommand -a '");
	print_first_words(" ");
	puts(" help'");
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		char group[32];
		const char *last;

		split_name(cli_commands[i]->name, group, &last);
		if (group[0] != '\0') {
			printf("complete -c caisson -n '__fish_seen_subcommand_from %s; and not "
			       "__fish_seen_subcommand_from",
				group);
			print_second_words(group);
			printf("' -a %s -d ", last);
			fish_quoted(cli_commands[i]->summary);
			putchar('\n');
		}
		if (cli_commands[i]->complete != NULL) {
			printf("complete -c caisson");
			fish_condition(cli_commands[i]->name);
			fish_action(cli_commands[i]->complete);
			putchar('\n');
		}
		each_option(cli_commands[i], fish_option, cli_commands[i]->name);
	}
}

/* The option list of a man page, in scdoc(5). */

static void man_text(const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("_*[\\<>#", *text) != NULL)
			putchar('\\');
		putchar(*text);
	}
}

/* Whether the help begins with a word that may be given as the value: "auto, kvm or tcg". */
static bool begins_with_choice(const struct cli_option *option)
{
	const char *choice = option->complete;
	size_t length = strcspn(option->help, " ,");

	while (choice != NULL && *choice != '\0') {
		size_t own = strcspn(choice, " ");

		if (own == length && memcmp(choice, option->help, length) == 0)
			return true;
		choice += own + (choice[own] == ' ');
	}
	return false;
}

static void man_option(const struct cli_option *option, const void *userdata)
{
	char first = option->help[0];

	(void)userdata;
	if (option->letter != '\0')
		printf("*-%c*, ", option->letter);
	printf("*--%s*", option->name);
	if (option->value != NULL) {
		printf(" _");
		man_text(option->value);
		printf("_");
	}
	if (first >= 'a' && first <= 'z' && !begins_with_choice(option))
		first = (char)(first - 'a' + 'A');
	printf("\n\t%c", first);
	man_text(option->help + 1);
	printf(".\n\n");
}

static int generate_man(const char *name)
{
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		if (strcmp(cli_commands[i]->name, name) != 0)
			continue;
		for (size_t j = 0; j < cli_option_count(cli_commands[i]->options); j++)
			man_option(&cli_commands[i]->options[j], NULL);
		return 0;
	}
	if (strcmp(name, "common") == 0) {
		for (size_t j = 0; j < cli_option_count(cli_common_options); j++)
			man_option(&cli_common_options[j], NULL);
		return 0;
	}
	fprintf(stderr, "caisson generate: there is no command '%s'\n", name);
	return 2;
}

int cli_generate(int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "bash") == 0)
		generate_bash();
	else if (argc == 1 && strcmp(argv[0], "zsh") == 0)
		generate_zsh();
	else if (argc == 1 && strcmp(argv[0], "fish") == 0)
		generate_fish();
	else if (argc == 2 && strcmp(argv[0], "man") == 0)
		return generate_man(argv[1]);
	else {
		fputs("Usage: caisson generate bash|zsh|fish|man COMMAND\n", stderr);
		return 2;
	}
	return 0;
}
