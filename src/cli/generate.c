/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is made from the option tables at build time: completions, and the option lists of man
 * pages. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"

#define WORDS_MOST 64

/* The first @words words of @name; "" when it has no more than that. */
static void group_of(const char *name, unsigned int words, char group[static WORDS_MOST])
{
	const char *end = name;

	group[0] = '\0';
	for (unsigned int i = 0; i < words; i++) {
		end = strchr(i == 0 ? end : end + 1, ' ');
		if (end == NULL)
			return;
	}
	snprintf(group, WORDS_MOST, "%.*s", (int)(end - name), name);
}

static bool begins_with(const char *name, const char *group)
{
	size_t length = strlen(group);

	return length == 0 || (strncmp(name, group, length) == 0 && name[length] == ' ');
}

/* What comes behind @group ("" for the first words), each once: " create list". */
static void print_next_words(const char *group)
{
	size_t skip = group[0] != '\0' ? strlen(group) + 1 : 0;
	char last[WORDS_MOST] = "";

	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		const char *name = cli_commands[i]->name;
		char word[WORDS_MOST];

		if (!begins_with(name, group))
			continue;
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(name + skip, " "), name + skip);
		if (strcmp(word, last) != 0)
			printf(" %s", word);
		strcpy(last, word);
	}
}

/* Calls @each for "volume", "volume key" and so on: what begins several commands. */
static void each_group(void (*each)(const char *group))
{
	for (unsigned int words = 1; words < 3; words++) {
		char previous[WORDS_MOST] = "";

		for (size_t i = 0; cli_commands[i] != NULL; i++) {
			char group[WORDS_MOST];

			group_of(cli_commands[i]->name, words, group);
			if (group[0] != '\0' && strcmp(group, previous) != 0)
				each(group);
			strcpy(previous, group);
		}
	}
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

/* The kernels that were built here: the first column, behind the mark of the default one. */
#define LIST_KERNELS "caisson kernel list 2>/dev/null | sed -n '2,$s/^..\\([^ ]*\\).*/\\1/p'"

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
	else if (strcmp(complete, "@kernel") == 0)
		printf("_caisson_words \"$(_caisson_kernels)\"");
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

static void bash_group(const char *group)
{
	printf("\t\t'%s') next='", group);
	print_next_words(group);
	puts("' ;;");
}

/* From "volume", "key" and "add" to the name of one command, "volume key add". */
static void bash_groups(void)
{
	puts("\tlocal depth=1 next\n\twhile :; do\n\t\tcase \"$command\" in");
	each_group(bash_group);
	printf("\t\thelp) next='");
	print_next_words("");
	puts("' ;;\n\t\t*) break ;;\n\t\tesac\n\t\tdepth=$((depth + 1))\n"
	     "\t\tif [ \"$cword\" -eq \"$depth\" ]; then\n\t\t\t_caisson_words \"$next\"\n"
	     "\t\t\treturn\n\t\tfi\n"
	     "\t\t[ \"$command\" != help ] || return\n"
	     "\t\tcommand=\"$command ${words[depth]}\"\n\tdone");
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
	     "_caisson_kernels()\n{\n\t" LIST_KERNELS "\n}\n\n"
	     "_caisson_words()\n{\n\tlocal words=$1\n\tshift\n"
	     "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" \"$@\" -- \"$cur\")\n"
	     "\t[ $# -eq 0 ] || compopt -o nospace\n}\n\n"
	     "_caisson()\n{\n\tlocal cur prev words cword split\n"
	     "\t_init_completion -s -n : || return\n"
	     "\tlocal command=${words[1]}");
	printf("\tif [ \"$cword\" -eq 1 ]; then\n\t\t_caisson_words '");
	print_next_words("");
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
	else if (strcmp(complete, "@kernel") == 0)
		printf("_caisson_kernels");
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

static void zsh_group(const char *group)
{
	printf("\t\t'%s') next=(", group);
	print_next_words(group);
	puts(" ) ;;");
}

static void generate_zsh(void)
{
	puts("#compdef caisson\n# zsh completion for caisson, made from its option tables\n"
	     "_caisson_volumes()\n{\n\tlocal -a names\n"
	     "\tnames=(${${(f)\"$(caisson volume list 2>/dev/null)\"}[2,-1]%% *})\n"
	     "\tcompadd \"$@\" -a names\n}\n\n"
	     "_caisson_kernels()\n{\n\tlocal -a names\n"
	     "\tnames=(${(f)\"$(" LIST_KERNELS ")\"})\n"
	     "\tcompadd \"$@\" -a names\n}\n\n_caisson()\n{\n\tlocal command=$words[2]");
	printf("\tif ((CURRENT == 2)); then\n\t\tcompadd ");
	print_next_words("");
	puts(" help\n\t\treturn\n\tfi\n\tlocal depth=2\n\tlocal -a next\n\twhile true; do\n"
	     "\t\tcase $command in");
	each_group(zsh_group);
	puts("\t\t*) break ;;\n\t\tesac\n\t\tdepth=$((depth + 1))\n"
	     "\t\tif ((CURRENT == depth)); then\n\t\t\tcompadd -a next\n\t\t\treturn\n\t\tfi\n"
	     "\t\tcommand=\"$command $words[depth]\"\n\tdone");
	puts("\tshift $((depth - 1)) words\n\t((CURRENT -= depth - 1))\n\tcase $command in");
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

/* That all words of @name were typed; and none of what may follow, when @next. */
static void fish_condition(const char *name, bool next)
{
	const char *and = "";

	printf(" -n '");
	for (const char *word = name; *word != '\0';) {
		int length = (int)strcspn(word, " ");

		printf("%s__fish_seen_subcommand_from %.*s", and, length, word);
		and = "; and ";
		word += length + (word[length] == ' ');
	}
	if (next) {
		printf("; and not __fish_seen_subcommand_from");
		print_next_words(name);
	}
	printf("'");
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
	else if (strcmp(complete, "@kernel") == 0)
		printf(" -a '(__caisson_kernels)'");
	else
		printf(" -a '%s'", complete);
}

static void fish_option(const struct cli_option *option, const void *userdata)
{
	printf("complete -c caisson");
	fish_condition(userdata, false);
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

/* What may follow a group: a command with its summary, or another group. */
static void fish_group(const char *group)
{
	size_t skip = strlen(group) + 1;
	char last[WORDS_MOST] = "";

	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		const char *name = cli_commands[i]->name;
		char word[WORDS_MOST];
		bool whole;

		if (!begins_with(name, group))
			continue;
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(name + skip, " "), name + skip);
		if (strcmp(word, last) == 0)
			continue;
		strcpy(last, word);
		whole = name[skip + strlen(word)] == '\0';
		printf("complete -c caisson");
		fish_condition(group, true);
		printf(" -a %s -d ", word);
		fish_quoted(whole ? cli_commands[i]->summary : "more commands");
		putchar('\n');
	}
}

static void generate_fish(void)
{
	puts("# fish completion for caisson, made from its option tables\n"
	     "function __caisson_volumes\n"
	     "\tcaisson volume list 2>/dev/null | tail -n +2 | string replace -r ' .*' ''\n"
	     "end\n\n"
	     "function __caisson_kernels\n\t" LIST_KERNELS "\nend\n\n"
	     "complete -c caisson -f");
	printf("complete -c caisson -n __fish_use_subcommand -a '");
	print_next_words("");
	puts(" help'");
	each_group(fish_group);
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		if (cli_commands[i]->complete != NULL) {
			printf("complete -c caisson");
			fish_condition(cli_commands[i]->name, false);
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
