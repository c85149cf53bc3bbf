/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/difference.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/config_text.h"

/* A line of a configuration. Both point into its own copy of the text. */
struct line {
	const char *option, *value;
};

struct lines {
	struct strbuf text;
	struct line *items;
	size_t count;
};

/* A requirement under one of the names by which it can be met. */
struct wish {
	char *option;
	const struct kernel_requirement *requirement;
};

struct wishes {
	struct wish *items;
	const struct kernel_requirement **rows; /* in the order of the items */
	size_t count, room;
};

static void lines_done(struct lines *lines)
{
	strbuf_done(&lines->text);
	free(lines->items);
}

static void wishes_done(struct wishes *wishes)
{
	for (size_t i = 0; i < wishes->count; i++)
		free(wishes->items[i].option);
	free(wishes->items);
	free(wishes->rows);
}

/* Of the same option, by place. */
static int compare_lines(const void *a, const void *b)
{
	const struct line *one = a, *other = b;
	int r = strcmp(one->option, other->option);

	return r != 0 ? r : (one->option > other->option) - (one->option < other->option);
}

static int compare_wishes(const void *a, const void *b)
{
	const struct wish *one = a, *other = b;
	int r = strcmp(one->option, other->option);

	/* In the table's order. */
	return r != 0 ? r
		      : (one->requirement > other->requirement) -
				(one->requirement < other->requirement);
}

/* Ends both of its parts with a NUL, in the place of what stands behind them. */
static void take_line(struct lines *lines, const struct config_line *line)
{
	char *option = lines->text.data + (line->option - lines->text.data);
	char *value = *line->whole != '#' ? option + line->option_size + 1 : NULL;

	option[line->option_size] = '\0';
	if (value != NULL)
		value[line->value_size] = '\0';
	lines->items[lines->count++] = (struct line){option, value != NULL ? value : "n"};
}

/* Leaves the last line of each option, and none of what is not set. */
static void settle(struct lines *lines)
{
	size_t kept = 0;

	qsort(lines->items, lines->count, sizeof(*lines->items), compare_lines);
	for (size_t i = 0; i < lines->count; i++) {
		const struct line *line = &lines->items[i];

		if (i + 1 < lines->count && strcmp(line->option, line[1].option) == 0)
			continue;
		if (strcmp(line->value, "n") != 0)
			lines->items[kept++] = *line;
	}
	lines->count = kept;
}

static int read_lines(const struct strbuf *text, struct lines *lines, struct caisson_error *err)
{
	struct config_reader reader;
	struct config_line line;
	size_t most = 1;
	int r;

	for (size_t i = 0; i < text->size; i++)
		most += text->data[i] == '\n';
	strbuf_add(&lines->text, text->data, text->size);
	lines->items = calloc(most, sizeof(*lines->items));
	if (lines->items == NULL || !strbuf_ok(&lines->text))
		return caisson_fail(err, ENOMEM, "compare configurations");
	reader = config_reader(lines->text.data, lines->text.size);
	while ((r = config_line_next(&reader, &line)) != 0) {
		if (r > 0 && line.option != NULL)
			take_line(lines, &line);
	}
	settle(lines);
	return 0;
}

static bool add_wish(struct wishes *wishes, const char *option, size_t length,
	const struct kernel_requirement *requirement)
{
	if (wishes->count == wishes->room) {
		size_t room = wishes->room * 2 + 64;
		struct wish *items = reallocarray(wishes->items, room, sizeof(*items));

		if (items == NULL)
			return false;
		wishes->items = items;
		wishes->room = room;
	}
	wishes->items[wishes->count] = (struct wish){strndup(option, length), requirement};
	return wishes->items[wishes->count++].option != NULL;
}

/* "CONFIG_A CONFIG_B|CONFIG_C": each of them may be what meets it. */
static bool add_alternatives(struct wishes *wishes, const struct kernel_requirement *requirement)
{
	const char *at = requirement->alternatives;
	bool ok = true;

	while (ok && at != NULL && *at != '\0') {
		size_t length = strcspn(at, " |");

		if (length > 0)
			ok = add_wish(wishes, at, length, requirement);
		at += length + (at[length] != '\0');
	}
	return ok;
}

static int read_wishes(struct wishes *wishes, struct caisson_error *err)
{
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	bool ok = true;

	for (size_t i = 0; ok && i < count; i++)
		ok = add_wish(wishes, table[i].option, strlen(table[i].option), &table[i]) &&
		     add_alternatives(wishes, &table[i]);
	wishes->rows = calloc(wishes->count + 1, sizeof(*wishes->rows));
	if (!ok || wishes->rows == NULL)
		return caisson_fail(err, ENOMEM, "compare configurations");
	qsort(wishes->items, wishes->count, sizeof(*wishes->items), compare_wishes);
	for (size_t i = 0; i < wishes->count; i++)
		wishes->rows[i] = wishes->items[i].requirement;
	return 0;
}

/* Those that name the option stand side by side. */
static void find_wishes(const struct wishes *wishes, struct kernel_difference *difference)
{
	size_t low = 0, high = wishes->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(wishes->items[middle].option, difference->option) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	difference->wanted = &wishes->rows[low];
	while (low + difference->wanted_count < wishes->count &&
		strcmp(wishes->items[low + difference->wanted_count].option, difference->option) ==
			0)
		difference->wanted_count++;
}

struct diff {
	struct wishes wishes;
	int (*each)(const struct kernel_difference *difference, void *userdata);
	void *userdata;
	int count;
};

static int report(struct diff *diff, const char *option, const char *a, const char *b)
{
	struct kernel_difference difference = {.option = option, .a = a, .b = b};

	if (a != NULL && b != NULL && strcmp(a, b) == 0)
		return 0;
	find_wishes(&diff->wishes, &difference);
	diff->count++;
	return diff->each(&difference, diff->userdata);
}

static int walk(struct diff *diff, const struct lines *a, const struct lines *b)
{
	const struct line *one = a->items, *one_end = a->items + a->count;
	const struct line *other = b->items, *other_end = b->items + b->count;
	int r = 0;

	while (r >= 0 && (one < one_end || other < other_end)) {
		int order = one == one_end       ? 1
			    : other == other_end ? -1
						 : strcmp(one->option, other->option);

		if (order < 0)
			r = report(diff, one->option, one->value, NULL);
		else if (order > 0)
			r = report(diff, other->option, NULL, other->value);
		else
			r = report(diff, one->option, one->value, other->value);
		one += order <= 0;
		other += order >= 0;
	}
	return r;
}

int kernel_config_diff(const struct strbuf *a, const struct strbuf *b,
	int (*each)(const struct kernel_difference *difference, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_(lines_done) struct lines one = {.text = STRBUF_INIT};
	_cleanup_(lines_done) struct lines other = {.text = STRBUF_INIT};
	struct diff diff = {.each = each, .userdata = userdata};
	int r;

	r = read_lines(a, &one, err);
	if (r == 0)
		r = read_lines(b, &other, err);
	if (r == 0)
		r = read_wishes(&diff.wishes, err);
	if (r == 0) {
		r = walk(&diff, &one, &other);
		if (r < 0)
			(void)caisson_fail(err, r, "compare configurations");
	}
	wishes_done(&diff.wishes);
	return r < 0 ? r : diff.count;
}
