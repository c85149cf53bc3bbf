/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/kernel.h"
#include "kernel/explain.h"

enum { JSON };

/* As many columns as a manual page has. */
enum { WIDTH = 78 };

static const struct cli_option options[] = {
	[JSON] = {"json", '\0', CLI_FLAG, NULL, "print JSON", NULL},
	{.name = NULL},
};

static const struct {
	const char *word;
	int status;
} verdicts[] = {
	[EXPLAIN_FINE] = {"fine", 0},
	[EXPLAIN_EXPLAINED] = {"explained", 1},
	[EXPLAIN_UNEXPLAINED] = {"unexplained", 3},
};

static const char *const sures[] = {
	[EXPLAIN_CERTAIN] = "certain",
	[EXPLAIN_LIKELY] = "likely",
	[EXPLAIN_POSSIBLE] = "possible",
};

static const char *const kinds[] = {
	[EXPLAIN_OPTION] = "option",
	[EXPLAIN_ARGUMENT] = "argument",
	[EXPLAIN_DO] = "do",
};

/* Words in lines, the first one behind @first, the others behind as many spaces. */
static void print_wrapped(const char *first, const char *text)
{
	int indent = (int)strlen(first), column = indent;

	fputs(first, stdout);
	while (*text != '\0') {
		int length = (int)strcspn(text, " ");

		if (column > indent && column + 1 + length > WIDTH) {
			printf("\n%*s", indent, "");
			column = indent;
		}
		printf("%s%.*s", column > indent ? " " : "", length, text);
		column += length + (column > indent);
		text += length;
		text += strspn(text, " ");
	}
	putchar('\n');
}

/* The module that an option may be, for a kernel that has modules. */
static const char *module_of(const char *option)
{
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);

	for (size_t i = 0; i < count; i++) {
		if (table[i].module != NULL && strcmp(table[i].option, option) == 0)
			return table[i].module;
	}
	return NULL;
}

static int print_mend(const struct explain_mend *mend, struct caisson_error *err)
{
	const char *module = mend->kind == EXPLAIN_OPTION ? module_of(mend->what) : NULL;
	_cleanup_free_ char *line = NULL;

	if (mend->kind == EXPLAIN_OPTION)
		line = format_string("set %s%s%s%s%s%s%s", mend->what,
			module != NULL ? " (or load its module " : "", module != NULL ? module : "",
			module != NULL ? ")" : "", mend->reason != NULL ? "; without it, " : "",
			mend->reason != NULL ? mend->reason : "", "");
	else if (mend->kind == EXPLAIN_ARGUMENT)
		line = format_string("on the kernel command line, %s: %s", mend->what,
			mend->reason != NULL ? mend->reason : "");
	else
		line = strdup(mend->what);
	if (line == NULL)
		return caisson_fail(err, ENOMEM, "print");
	print_wrapped("    * ", line);
	return 0;
}

static int print_finding(
	const char *name, const struct explain_finding *finding, struct caisson_error *err)
{
	_cleanup_free_ char *means = format_string("(%s) %s", sures[finding->sure], finding->means);
	int r = 0;

	if (means == NULL)
		return caisson_fail(err, ENOMEM, "print");
	if (finding->text != NULL) {
		cli_print_flat(name);
		printf(":%lu: %s\n", finding->line, finding->text);
	}
	print_wrapped("  ", means);
	for (size_t i = 0; r == 0 && i < finding->mend_count; i++)
		r = print_mend(&finding->mends[i], err);
	return r;
}

/* What it comes to, in a line of its own in front. */
static void print_head(const char *name, const struct explanation *explanation)
{
	cli_print_flat(name);
	if (explanation->verdict == EXPLAIN_FINE)
		puts(": nothing wrong was found");
	else if (explanation->verdict == EXPLAIN_EXPLAINED)
		puts(": the boot went wrong");
	else if (explanation->panic_text != NULL)
		puts(": the kernel failed in a way that no rule here explains");
	else
		puts(": no line of it is a kernel's");
	if (explanation->boots > 1)
		printf("(the last of %u boots)\n", explanation->boots);
}

static int print_text(
	const char *name, const struct explanation *explanation, struct caisson_error *err)
{
	bool told = false;
	int r = 0;

	print_head(name, explanation);
	for (size_t i = 0; r == 0 && i < explanation->count; i++) {
		if (i == 0 && explanation->verdict == EXPLAIN_FINE)
			puts("\nWorth knowing:");
		putchar('\n');
		told = told || explanation->findings[i].line == explanation->panic_line;
		r = print_finding(name, &explanation->findings[i], err);
	}
	if (r == 0 && explanation->panic_text != NULL && !told) {
		puts(explanation->count > 0 ? "\nThe kernel's last word on it:" : "");
		cli_print_flat(name);
		printf(":%lu: %s\n", explanation->panic_line, explanation->panic_text);
	}
	return r;
}

static bool append_finding(struct json_object *array, const struct explain_finding *finding)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_json_ struct json_object *mends = json_object_new_array();
	bool ok = object != NULL && mends != NULL;

	for (size_t i = 0; ok && i < finding->mend_count; i++) {
		const struct explain_mend *mend = &finding->mends[i];
		_cleanup_json_ struct json_object *one = json_object_new_object();

		ok = one != NULL && json_set_string(one, kinds[mend->kind], mend->what) &&
		     cli_json_text(one, "reason", mend->reason) &&
		     json_append(mends, take_ptr(one));
	}
	return ok && json_set_string(object, "rule", finding->rule) &&
	       json_set_string(object, "sure", sures[finding->sure]) &&
	       (finding->line == 0 || json_set_uint(object, "line", finding->line)) &&
	       cli_json_text(object, "text", finding->text) &&
	       json_set_string(object, "means", finding->means) &&
	       json_set(object, "mends", take_ptr(mends)) && json_append(array, take_ptr(object));
}

static int print_json(const struct explanation *explanation, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	_cleanup_json_ struct json_object *findings = json_object_new_array();
	bool ok = object != NULL && findings != NULL;

	for (size_t i = 0; ok && i < explanation->count; i++)
		ok = append_finding(findings, &explanation->findings[i]);
	if (!ok || !json_set_string(object, "verdict", verdicts[explanation->verdict].word) ||
		!json_set_uint(object, "boots", explanation->boots) ||
		!cli_json_text(object, "panic", explanation->panic_text) ||
		(explanation->panic_line != 0 &&
			!json_set_uint(object, "panic-line", explanation->panic_line)) ||
		!json_set(object, "findings", take_ptr(findings)))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

static int read_log(const char *name, struct strbuf *text, struct caisson_error *err)
{
	bool standard = strcmp(name, "-") == 0;
	_cleanup_close_ int fd = standard ? -1 : open_file(name, O_RDONLY, 0, err);
	int r;

	if (!standard && fd < 0)
		return fd;
	r = read_to_end(standard ? STDIN_FILENO : fd, EXPLAIN_LOG_MOST,
		standard ? "standard input" : name, text, err);
	if (r == -EFBIG)
		return caisson_hint(err, "give it the part with the boot: head -c 30M, or tail");
	return r;
}

static int explain(struct cli_context *context, struct caisson_error *err)
{
	const char *name = context->operands.items[0];
	_cleanup_explanation_ struct explanation explanation = EXPLANATION_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r = read_log(name, &text, err);

	if (r == 0)
		r = explain_log(text.data, text.size, &explanation, err);
	if (r == 0)
		r = cli_has(context, JSON)
			    ? print_json(&explanation, err)
			    : print_text(strcmp(name, "-") == 0 ? "standard input" : name,
				      &explanation, err);
	return r < 0 ? r : verdicts[explanation.verdict].status;
}

const struct cli_command command_kernel_explain = {
	.name = "kernel explain",
	.summary = "say what the console log of a boot that failed means, and what mends it",
	.operands = "LOG",
	.complete = "@file",
	.details =
		"LOG is what came out on a serial console ('-': standard input), with what QEMU\n"
		"said if it is there. Of several boots in it the last one counts. caisson keeps the\n"
		"log of each machine in STATE/machines/NAME/console.log.\n\n"
		"The exit status is 0 when nothing wrong was found, 1 when a failure was explained,\n"
		"2 when the log could not be read, 3 when the kernel failed in a way that no rule\n"
		"knows, or no line of the log is a kernel's.\n",
	.options = options,
	.least = 1,
	.most = 1,
	.failed = 2,
	.run = explain,
};
