/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/utf8.h"
#include "kernel/explain_rules.h"
#include "kernel/requirements.h"

enum { SHOWN_MOST = 240 }; /* bytes of a line that are quoted */

/* What one rule has met in a boot. */
struct hit {
	unsigned long line; /* 0: not yet */
	char *text, *means;
	bool with, without;
	size_t least; /* characters of a line that says anything to it */
};

struct boot {
	const struct explain_rule *rules;
	size_t count;
	struct hit *hits;
	unsigned int boots;
	bool stamped;             /* some line had a time stamp */
	bool banner;              /* "Linux version" */
	bool started;             /* the kernel started a program */
	bool spoken;              /* there is any line of the kernel's */
	struct explain_line last; /* the last one that is not empty, and not QEMU's */
	unsigned long panic_line, oops_line;
	char *panic_text, *oops_text;
	bool explained;
};

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "explain the log");
}

/* For a terminal, and as JSON has it. */
static char *shown(const char *text, size_t size)
{
	bool cut = size > SHOWN_MOST;
	char *copy =
		format_string("%.*s%s", (int)MIN(size, (size_t)SHOWN_MOST), text, cut ? "..." : "");

	if (copy != NULL) {
		text_flatten(copy);
		utf8_force(copy);
	}
	return copy;
}

static void add_capture(struct strbuf *text, const struct explain_capture *capture, bool number)
{
	_cleanup_free_ char *word = shown(capture->at, capture->size);

	if (word == NULL)
		text->failed = true;
	else if (number)
		strbuf_add_format(text, "%lu", strtoul(word, NULL, 16));
	else
		strbuf_add_string(text, word);
}

/* The sentence, with what the asterisks stood for. */
static char *fill_in(const char *means, const struct explain_capture *captures)
{
	struct strbuf text = STRBUF_INIT;

	for (const char *at = means; *at != '\0'; at++) {
		bool number = at[0] == '%' && at[1] == 'x';
		char digit = at[0] == '%' ? at[1 + number] : '\0';

		if (digit < '1' || digit > '0' + EXPLAIN_CAPTURES) {
			strbuf_add_char(&text, *at);
			continue;
		}
		add_capture(&text, &captures[digit - '1'], number);
		at += 1 + number;
	}
	return strbuf_take(&text);
}

static void forget(struct boot *boot)
{
	for (size_t i = 0; i < boot->count; i++) {
		free(boot->hits[i].text);
		free(boot->hits[i].means);
		boot->hits[i] = (struct hit){.least = boot->hits[i].least};
	}
	free(boot->panic_text);
	free(boot->oops_text);
	*boot = (struct boot){.rules = boot->rules,
		.count = boot->count,
		.hits = boot->hits,
		.boots = boot->boots};
}

/* By its last line, which only the end of the log shows. */
static bool is_about_last(const struct explain_rule *rule)
{
	return rule->kind == RULE_HANG || rule->kind == RULE_AFTER;
}

static int take_hit(struct hit *hit, const struct explain_rule *rule,
	const struct explain_line *line, struct caisson_error *err)
{
	struct explain_capture captures[EXPLAIN_CAPTURES] = {{"", 0}, {"", 0}, {"", 0}};

	if (hit->line != 0 || !explain_match(rule->match, line, captures))
		return 0;
	hit->text = shown(line->text, line->size);
	hit->means = fill_in(rule->means, captures);
	hit->line = line->line;
	return hit->text != NULL && hit->means != NULL ? 0 : out_of_memory(err);
}

/* A boot begins with its banner, at the time 0 where lines have times. A program that prints
   /proc/version begins none. */
static bool begins_boot(const struct boot *boot, const struct explain_line *line)
{
	struct explain_capture captures[EXPLAIN_CAPTURES];

	return explain_match("^Linux version ", line, captures) &&
	       (line->stamped ? line->at_zero : !boot->stamped);
}

static bool is_qemu(const struct explain_line *line)
{
	return strncmp(line->text, "qemu", strlen("qemu")) == 0;
}

/* Faults of the kernel's own, of which it may or may not go on. */
static bool is_oops(const struct explain_line *line)
{
	static const char *const patterns[] = {"^BUG: ", "^Oops: ", "^kernel BUG at",
		"^general protection fault", "^invalid opcode: ", "^stack segment: "};
	struct explain_capture captures[EXPLAIN_CAPTURES];

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (explain_match(patterns[i], line, captures))
			return true;
	}
	return false;
}

/* The first line of its kind. */
static int take_fault(unsigned long *number, char **text, const struct explain_line *line,
	struct caisson_error *err)
{
	if (*number != 0)
		return 0;
	*number = line->line;
	*text = shown(line->text, line->size);
	return *text != NULL ? 0 : out_of_memory(err);
}

/* What is known of every boot. */
static int take_facts(struct boot *boot, const struct explain_line *line, struct caisson_error *err)
{
	struct explain_capture captures[EXPLAIN_CAPTURES];

	if (begins_boot(boot, line)) {
		/* What QEMU and the firmware said before the first one belongs to it. */
		if (boot->boots > 0)
			forget(boot);
		boot->boots++;
		boot->banner = true;
	}
	boot->stamped = boot->stamped || line->stamped;
	boot->spoken = boot->spoken || line->stamped || boot->banner;
	boot->started = boot->started || explain_match("^Run * as init process", line, captures) ||
			explain_match("caisson-init: ", line, captures);
	if (!is_qemu(line))
		boot->last = *line;
	if (explain_match("^Kernel panic - not syncing: *", line, captures))
		return take_fault(&boot->panic_line, &boot->panic_text, line, err);
	if (line->stamped && is_oops(line))
		return take_fault(&boot->oops_line, &boot->oops_text, line, err);
	return 0;
}

static int take_line(struct boot *boot, const struct explain_line *line, struct caisson_error *err)
{
	struct explain_capture captures[EXPLAIN_CAPTURES];
	int r;

	if (line->size == line->body)
		return 0;
	r = take_facts(boot, line, err);
	for (size_t i = 0; r == 0 && i < boot->count; i++) {
		const struct explain_rule *rule = &boot->rules[i];
		struct hit *hit = &boot->hits[i];

		/* Logs are flooded with short lines, and there are many rules. */
		if (line->size - line->body < hit->least)
			continue;
		if (rule->with != NULL && !hit->with)
			hit->with = explain_match(rule->with, line, captures);
		if (rule->without != NULL && !hit->without)
			hit->without = explain_match(rule->without, line, captures);
		if (!is_about_last(rule) && rule->match[0] != '\0')
			r = take_hit(hit, rule, line, err);
	}
	return r;
}

static bool holds(const struct boot *boot, size_t i)
{
	const struct hit *hit = &boot->hits[i];

	return hit->line != 0 && (boot->rules[i].with == NULL || hit->with) && !hit->without;
}

/* Whether the same has been told, or of the same line something surer. */
static bool is_told(const struct explanation *explanation, const struct explain_rule *rule,
	const struct hit *hit)
{
	for (size_t i = 0; i < explanation->count; i++) {
		const struct explain_finding *finding = &explanation->findings[i];

		if (strcmp(finding->rule, rule->id) == 0 ||
			(hit->line != 0 && finding->line == hit->line))
			return true;
	}
	return false;
}

/* What is lost without an option, by the table of requirements. */
static const char *reason_of(const char *option)
{
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);

	for (size_t i = 0; i < count; i++) {
		if (table[i].feature != 0 && strcmp(table[i].value, "n") != 0 &&
			strcmp(table[i].option, option) == 0)
			return table[i].reason;
	}
	return NULL;
}

static int add_finding(struct explanation *explanation, const struct explain_rule *rule,
	struct hit *hit, struct caisson_error *err)
{
	struct explain_finding *findings, *finding;

	if (is_told(explanation, rule, hit))
		return 0;
	findings = reallocarray(
		explanation->findings, explanation->count + 1, sizeof(*explanation->findings));
	if (findings == NULL)
		return out_of_memory(err);
	explanation->findings = findings;
	finding = &findings[explanation->count];
	*finding =
		(struct explain_finding){.rule = rule->id, .sure = rule->sure, .line = hit->line};
	finding->text = take_ptr(hit->text);
	finding->means = take_ptr(hit->means);
	explanation->count++;
	for (size_t i = 0; i < EXPLAIN_MENDS_MOST && rule->mends[i].kind != EXPLAIN_NOTHING; i++) {
		struct explain_mend *mend = &finding->mends[finding->mend_count++];

		*mend = rule->mends[i];
		if (mend->kind == EXPLAIN_OPTION && mend->reason == NULL)
			mend->reason = reason_of(mend->what);
	}
	return 0;
}

/* Whether a cause, or a hint, of @group has been found. */
static bool has_cause(const struct boot *boot, const char *group)
{
	for (size_t i = 0; group != NULL && i < boot->count; i++) {
		const struct explain_rule *rule = &boot->rules[i];

		if ((rule->kind == RULE_CAUSE || rule->kind == RULE_HINT) && rule->group != NULL &&
			strcmp(rule->group, group) == 0 && holds(boot, i))
			return true;
	}
	return false;
}

/* The rule of this kind that holds, is as sure, and whose line comes next behind that of rule
   @after; boot->count when there is none. */
static size_t next_rule(
	const struct boot *boot, enum explain_kind kind, enum explain_sure sure, size_t after)
{
	unsigned long line = after < boot->count ? boot->hits[after].line : 0;
	size_t best = boot->count;

	for (size_t i = 0; i < boot->count; i++) {
		unsigned long here = boot->hits[i].line;

		if (boot->rules[i].kind != kind || boot->rules[i].sure != sure || !holds(boot, i))
			continue;
		if (here < line || (here == line && i <= after))
			continue;
		if (best == boot->count || here < boot->hits[best].line)
			best = i;
	}
	return best;
}

/* All that hold of one kind: the surest first, and of those the first in the log. */
static int add_kind(struct boot *boot, enum explain_kind kind, struct explanation *explanation,
	struct caisson_error *err)
{
	int r = 0;

	for (enum explain_sure sure = EXPLAIN_CERTAIN; r == 0 && sure <= EXPLAIN_POSSIBLE; sure++) {
		size_t i = next_rule(boot, kind, sure, boot->count);

		for (; r == 0 && i < boot->count; i = next_rule(boot, kind, sure, i))
			r = add_finding(explanation, &boot->rules[i], &boot->hits[i], err);
	}
	return r;
}

/* Of each group the first end that holds, unless something says how it came to it. */
static int add_ends(struct boot *boot, struct explanation *explanation, struct caisson_error *err)
{
	const char *told = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < boot->count; i++) {
		const struct explain_rule *rule = &boot->rules[i];

		if (rule->kind != RULE_END || !holds(boot, i))
			continue;
		boot->explained = true;
		if (has_cause(boot, rule->group) ||
			(told != NULL && strcmp(told, rule->group) == 0))
			continue;
		told = rule->group;
		r = add_finding(explanation, rule, &boot->hits[i], err);
	}
	return r;
}

/* Rules by the last line: the first that holds. */
static int add_last(struct boot *boot, enum explain_kind kind, struct explanation *explanation,
	struct caisson_error *err)
{
	for (size_t i = 0; i < boot->count; i++) {
		int r;

		if (boot->rules[i].kind != kind)
			continue;
		r = take_hit(&boot->hits[i], &boot->rules[i], &boot->last, err);
		if (r < 0)
			return r;
		if (!holds(boot, i))
			continue;
		boot->explained = true;
		return add_finding(explanation, &boot->rules[i], &boot->hits[i], err);
	}
	return 0;
}

/* The first that holds. One whose pattern is empty is for a log in which nobody said anything. */
static int add_silent(struct boot *boot, struct explanation *explanation, struct caisson_error *err)
{
	for (size_t i = 0; i < boot->count; i++) {
		const struct explain_rule *rule = &boot->rules[i];

		if (rule->kind != RULE_SILENT)
			continue;
		if (rule->match[0] == '\0' && boot->last.size == 0) {
			boot->hits[i].means = strdup(rule->means);
			if (boot->hits[i].means == NULL)
				return out_of_memory(err);
		} else if (!holds(boot, i)) {
			continue;
		}
		boot->explained = true;
		return add_finding(explanation, rule, &boot->hits[i], err);
	}
	return 0;
}

/* A boot in which no cause and no end was found: what its last line, or silence, says. */
static int add_rest(struct boot *boot, struct explanation *explanation, struct caisson_error *err)
{
	if (!boot->spoken)
		return add_silent(boot, explanation, err);
	if (boot->started)
		return add_last(boot, RULE_AFTER, explanation, err);
	/* A quiet kernel's log has no banner, and ends whenever nothing is wrong. */
	return boot->banner ? add_last(boot, RULE_HANG, explanation, err) : 0;
}

static int judge(struct boot *boot, struct explanation *explanation, struct caisson_error *err)
{
	bool fault = boot->panic_line != 0 || boot->oops_line != 0;
	int r = add_kind(boot, RULE_CAUSE, explanation, err);

	boot->explained = explanation->count > 0;
	if (r == 0)
		r = add_ends(boot, explanation, err);
	if (r == 0 && !boot->explained && !fault)
		r = add_rest(boot, explanation, err);
	boot->explained = boot->explained || (fault && has_cause(boot, "oops"));
	if (r == 0)
		r = add_kind(boot, RULE_HINT, explanation, err);
	if (r < 0)
		return r;
	if (boot->explained)
		explanation->verdict = EXPLAIN_EXPLAINED;
	else if (fault || !boot->spoken)
		explanation->verdict = EXPLAIN_UNEXPLAINED;
	explanation->boots = boot->boots;
	explanation->panic_line = boot->panic_line != 0 ? boot->panic_line : boot->oops_line;
	explanation->panic_text =
		boot->panic_line != 0 ? take_ptr(boot->panic_text) : take_ptr(boot->oops_text);
	return 0;
}

/* How much of a pattern stands for itself. */
static size_t literal_size(const char *pattern)
{
	size_t size = 0;

	for (const char *at = pattern + (*pattern == '^'); *at != '\0'; at++)
		size += *at != '*';
	return size;
}

static void measure_rules(struct boot *boot)
{
	for (size_t i = 0; i < boot->count; i++) {
		const struct explain_rule *rule = &boot->rules[i];
		const char *const more[] = {rule->with, rule->without};
		size_t *least = &boot->hits[i].least;

		*least = literal_size(rule->match);
		for (size_t k = 0; k < ARRAY_SIZE(more); k++)
			*least = more[k] != NULL ? MIN(*least, literal_size(more[k])) : *least;
	}
}

int explain_log(const char *text, size_t size, struct explanation *ret_explanation,
	struct caisson_error *err)
{
	struct boot boot = {.rules = NULL};
	_cleanup_explanation_ struct explanation explanation = EXPLANATION_NONE;
	struct explain_lines lines = explain_lines(text, size);
	struct explain_line line;
	int r = 0;

	boot.rules = explain_rules(&boot.count);
	boot.hits = calloc(boot.count, sizeof(*boot.hits));
	if (boot.hits == NULL)
		return out_of_memory(err);
	measure_rules(&boot);
	while (r == 0 && explain_next(&lines, &line))
		r = take_line(&boot, &line, err);
	if (r == 0)
		r = judge(&boot, &explanation, err);
	forget(&boot);
	free(boot.hits);
	if (r < 0)
		return r;
	*ret_explanation = explanation;
	explanation = EXPLANATION_NONE;
	return 0;
}

void explanation_done(struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->count; i++) {
		free(explanation->findings[i].text);
		free(explanation->findings[i].means);
	}
	free(explanation->findings);
	free(explanation->panic_text);
	*explanation = EXPLANATION_NONE;
}
