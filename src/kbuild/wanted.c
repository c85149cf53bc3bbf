/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/wanted.h"

#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "kernel/config_text.h"

enum { FRAGMENT_MOST = 1 << 20, OPTIONS_MOST = 1 << 16 };

static int add(struct wanted *wanted, const struct kernel_requirement *requirement,
	const char *from, bool users, struct caisson_error *err)
{
	struct wanted_option *grown = NULL;

	if (wanted->count < OPTIONS_MOST)
		grown = reallocarray(wanted->items, wanted->count + 1, sizeof(*grown));
	if (grown == NULL)
		return caisson_fail(err, ENOMEM, "merge the fragments");
	wanted->items = grown;
	grown[wanted->count++] = (struct wanted_option){requirement, from, users, NULL, false};
	return 0;
}

static int add_all(struct wanted *wanted, const struct kernel_requirement *table, size_t count,
	const char *fragment, unsigned int version, bool users, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		if ((users || strcmp(table[i].fragment, fragment) == 0) &&
			kernel_requirement_applies(&table[i], version))
			r = add(wanted, &table[i], fragment, users, err);
	}
	return r;
}

static int add_file(
	struct wanted *wanted, const char *path, unsigned int version, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct fragment *fragment = &wanted->fragments[wanted->fragment_count];
	int r = read_file(path, FRAGMENT_MOST, &text, err);

	if (r == 0)
		r = fragment_parse(
			path, text.data != NULL ? text.data : "", text.size, false, fragment, err);
	if (r < 0)
		return r;
	wanted->fragment_count++;
	return add_all(wanted, fragment->requirements, fragment->count, path, version, true, err);
}

static int order_by_option(const void *a, const void *b)
{
	const struct wanted_option *const *one = a, *const *other = b;
	int order = strcmp((*one)->requirement->option, (*other)->requirement->option);

	return order != 0 ? order : (*one > *other) - (*one < *other);
}

/* What of several for one option counts. */
static int settle(struct wanted *wanted, struct caisson_error *err)
{
	_cleanup_free_ struct wanted_option **order =
		calloc(wanted->count + 1, sizeof(struct wanted_option *));
	const struct wanted_option *last = NULL;

	if (order == NULL)
		return caisson_fail(err, ENOMEM, "merge the fragments");
	for (size_t i = 0; i < wanted->count; i++)
		order[i] = &wanted->items[i];
	qsort(order, wanted->count, sizeof(struct wanted_option *), order_by_option);
	for (size_t i = wanted->count; i-- > 0;) {
		struct wanted_option *one = order[i];
		const struct kernel_requirement *asked = one->requirement;

		if (last == NULL || strcmp(last->requirement->option, asked->option) != 0)
			last = one;
		else if (strcmp(last->requirement->value, asked->value) != 0)
			one->overridden = last;
		one->again = one != last && one->overridden == NULL;
	}
	return 0;
}

int wanted_init(struct wanted *ret_wanted, const struct kernel_profile *profile,
	const struct strv *files, unsigned int version, struct caisson_error *err)
{
	_cleanup_wanted_ struct wanted wanted = WANTED_NONE;
	size_t count, file_count = files != NULL ? files->count : 0;
	const struct kernel_requirement *table = kernel_requirements(&count);
	int r = 0;

	for (size_t i = 0; profile != NULL && r == 0 && i < profile->fragment_count; i++)
		r = add_all(&wanted, table, count, profile->fragments[i], version, false, err);
	wanted.fragments = calloc(file_count + 1, sizeof(*wanted.fragments));
	if (r == 0 && wanted.fragments == NULL)
		r = caisson_fail(err, ENOMEM, "merge the fragments");
	for (size_t i = 0; r == 0 && i < file_count; i++)
		r = add_file(&wanted, files->items[i], version, err);
	if (r == 0)
		r = settle(&wanted, err);
	if (r < 0)
		return r;
	*ret_wanted = wanted;
	wanted = WANTED_NONE;
	return 0;
}

void wanted_done(struct wanted *wanted)
{
	for (size_t i = 0; i < wanted->fragment_count; i++)
		fragment_done(&wanted->fragments[i]);
	free(wanted->fragments);
	free(wanted->items);
	*wanted = WANTED_NONE;
}

const struct wanted_option *wanted_find(const struct wanted *wanted, const char *option)
{
	for (size_t i = wanted->count; i-- > 0;) {
		if (strcmp(wanted->items[i].requirement->option, option) == 0)
			return &wanted->items[i];
	}
	return NULL;
}

void wanted_write(const struct wanted *wanted, struct strbuf *text)
{
	const char *from = "";

	for (size_t i = 0; i < wanted->count; i++) {
		const struct wanted_option *one = &wanted->items[i];
		const struct kernel_requirement *asked = one->requirement;

		if (one->overridden != NULL || one->again)
			continue;
		if (strcmp(from, one->from) != 0)
			strbuf_add_string(text, "\n");
		from = one->from;
		if (strcmp(asked->value, "n") == 0)
			strbuf_add_format(text, "# %s is not set\n", asked->option);
		else
			strbuf_add_format(text, "%s=%s\n", asked->option, asked->value);
	}
}

void wanted_merge(const struct wanted *wanted, const char *base, size_t size, struct strbuf *text)
{
	struct config_reader reader = config_reader(base, size);
	struct config_line line;
	int r;

	while ((r = config_line_next(&reader, &line)) != 0) {
		_cleanup_free_ char *option = NULL;

		if (r < 0 || line.option == NULL)
			continue;
		option = strndup(line.option, line.option_size);
		if (option == NULL) {
			text->failed = true;
			return;
		}
		if (wanted_find(wanted, option) != NULL)
			continue;
		strbuf_add(text, line.whole, line.whole_size);
		strbuf_add_char(text, '\n');
	}
	wanted_write(wanted, text);
}
