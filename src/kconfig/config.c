/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The values that a .config gives to the symbols of a tree. */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "kconfig/values.h"
#include "kernel/config_text.h"

enum { POOL_MOST = 64 << 20 };

/* Without the quotes, and what '\' protects (scripts/kconfig/confdata.c). */
static char *plain_text(struct pool *pool, const char *value, size_t size)
{
	char *text = pool_copy(pool, value, size), *to = text;

	if (text == NULL || size < 2 || value[0] != '"' || value[size - 1] != '"')
		return text;
	for (size_t i = 1; i + 1 < size; i++) {
		if (value[i] == '\\' && i + 2 < size)
			i++;
		*to++ = value[i];
	}
	*to = '\0';
	return text;
}

static int tristate_of(const char *value, size_t size)
{
	const char *at = size == 1 && *value != '\0' ? strchr("nmy", *value) : NULL;

	return at != NULL ? (int)(at - "nmy") : -1;
}

static bool is_plain(enum kconfig_type type)
{
	return type == KCONFIG_BOOL || type == KCONFIG_TRISTATE;
}

static int take_line(struct kconfig_values *values, const struct config_line *line)
{
	_cleanup_free_ char *name = strndup(line->option, line->option_size);
	const struct kconfig_symbol *symbol;
	struct kconfig_value *value;
	int tri = tristate_of(line->value, line->value_size);

	if (name == NULL)
		return -ENOMEM;
	symbol = kconfig_find(values->tree, name);
	if (symbol == NULL)
		return 0;
	value = &values->of[symbol->index];
	*value = (struct kconfig_value){.mentioned = true};
	if (is_plain(symbol->type)) {
		value->tri = tri > 0 ? (uint8_t)tri : KCONFIG_N;
		return 0;
	}
	if (tri == KCONFIG_N && symbol->type != KCONFIG_STRING)
		return 0;
	value->text = plain_text(&values->pool, line->value, line->value_size);
	return value->text != NULL ? 0 : -ENOMEM;
}

void kconfig_values_free(struct kconfig_values *values)
{
	free(values->of);
	free(values->nodes);
	free(values->node_known);
	pool_done(&values->pool);
	free(values);
}

int kconfig_values_read(const struct kconfig *tree, const char *text, size_t size,
	struct kconfig_values **ret_values, struct caisson_error *err)
{
	_cleanup_kconfig_values_ struct kconfig_values *values = calloc(1, sizeof(*values));
	struct config_reader reader = config_reader(text, size);
	struct config_line line;
	int r;

	if (values == NULL)
		return caisson_fail(err, ENOMEM, "read a configuration");
	values->tree = tree;
	values->pool = POOL_INIT(POOL_MOST);
	values->of = calloc(tree->count + 1, sizeof(*values->of));
	values->nodes = calloc(tree->nodes, sizeof(*values->nodes));
	values->node_known = calloc(tree->nodes, sizeof(*values->node_known));
	if (values->of == NULL || values->nodes == NULL || values->node_known == NULL)
		return caisson_fail(err, ENOMEM, "read a configuration");
	/* A line that is no option's is none of Kconfig's either. */
	while ((r = config_line_next(&reader, &line)) != 0) {
		if (r > 0 && line.option != NULL && take_line(values, &line) < 0)
			return caisson_fail(err, ENOMEM, "read a configuration");
	}
	values->modules = tree->modules != NULL && values->of[tree->modules->index].tri > KCONFIG_N;
	*ret_values = take_ptr(values);
	return 0;
}

static bool same_number(const char *a, const char *b, int base)
{
	char *end_a, *end_b;
	unsigned long long number_a = strtoull(a, &end_a, base),
			   number_b = strtoull(b, &end_b, base);

	return end_a != a && end_b != b && *end_a == '\0' && *end_b == '\0' && number_a == number_b;
}

bool kconfig_is(const struct kconfig_values *values, const char *option, const char *wanted)
{
	const struct kconfig_symbol *symbol = kconfig_find(values->tree, option);
	int tri = tristate_of(wanted, strlen(wanted));
	struct pool pool = POOL_INIT(0);
	const char *plain, *is;
	bool same;

	if (symbol == NULL)
		return tri == KCONFIG_N;
	if (is_plain(symbol->type)) {
		int value = values->of[symbol->index].tri;

		return value == tri || (tri == KCONFIG_M && value == KCONFIG_Y);
	}
	is = values->of[symbol->index].text;
	if (tri == KCONFIG_N)
		return is == NULL || *is == '\0';
	plain = plain_text(&pool, wanted, strlen(wanted));
	if (is == NULL)
		is = "";
	same = plain != NULL &&
	       (strcmp(is, plain) == 0 ||
		       (symbol->type == KCONFIG_HEX && same_number(is, plain, 16)) ||
		       (symbol->type == KCONFIG_INT && same_number(is, plain, 10)));
	pool_done(&pool);
	return same;
}
