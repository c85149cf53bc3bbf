/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compares what the reader makes of a source's Kconfig files with what Kconfig itself made of them:
 *
 *   kconfig-judge SOURCE CONFIG
 *
 * CONFIG is what make olddefconfig (or another of its kind) left. With the values of all the
 * others, a symbol's own value and whether it is in the file at all follow from its dependencies,
 * defaults, selects and implies. One line for each that does not, and the counts. The exit status
 * is 0 when all agree.
 */
#include <stdio.h>

#include "base/io.h"
#include "kconfig/values.h"

static const char letters[] = "nmy";

struct counts {
	unsigned int symbols, written, contradictions;
};

static void complain(struct counts *counts, const struct kconfig_symbol *symbol, const char *what,
	struct kconfig_range range, uint8_t value)
{
	counts->contradictions++;
	printf("%s: %s: %c to %c, and it is %c\n", symbol->name, what, letters[range.low],
		letters[range.high], letters[value]);
}

static void judge(
	struct kconfig_values *values, const struct kconfig_symbol *symbol, struct counts *counts)
{
	const struct kconfig_value *value = &values->of[symbol->index];
	struct kconfig_range depends = kconfig_depends_range(values, symbol);
	struct kconfig_range visible = kconfig_visible_range(values, symbol);
	struct kconfig_range selected = kconfig_selected_range(values, symbol);
	struct kconfig_range by_itself = kconfig_default_range(values, symbol);
	bool plain = symbol->type == KCONFIG_BOOL || symbol->type == KCONFIG_TRISTATE;
	uint8_t most = MAX(visible.high, selected.high);

	most = MAX(most, by_itself.high);
	counts->symbols++;
	counts->written += value->mentioned;
	if (!plain) {
		if (value->mentioned != (visible.high > KCONFIG_N) && visible.low == visible.high &&
			(visible.low > KCONFIG_N || by_itself.high == KCONFIG_N) &&
			symbol->definitions->properties == NULL)
			complain(counts, symbol, "is in the file", visible, value->mentioned);
		return;
	}
	if (value->tri > KCONFIG_N && selected.high == KCONFIG_N && depends.high < value->tri)
		complain(counts, symbol, "depends", depends, value->tri);
	if (value->tri > most)
		complain(counts, symbol, "at most", (struct kconfig_range){0, most}, value->tri);
	if (value->tri < selected.low)
		complain(counts, symbol, "selected", selected, value->tri);
	if (visible.high == KCONFIG_N &&
		(value->tri < by_itself.low || value->tri > MAX(by_itself.high, selected.high)))
		complain(counts, symbol, "by itself", by_itself, value->tri);
	/* What nobody is asked about and is n is not written, unless it is implied. */
	if (visible.low > KCONFIG_N && !value->mentioned)
		complain(counts, symbol, "is asked about, and not there", visible, value->tri);
	if (value->mentioned && most == KCONFIG_N && symbol->implied_by == NULL)
		complain(counts, symbol, "nobody is asked, but it is there", visible, value->tri);
}

int main(int argc, char **argv)
{
	_cleanup_kconfig_ struct kconfig *tree = NULL;
	_cleanup_kconfig_values_ struct kconfig_values *values = NULL;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};
	struct counts counts = {0};

	if (argc != 3) {
		fputs("usage: kconfig-judge SOURCE CONFIG\n", stderr);
		return 2;
	}
	if (kconfig_open(argv[1], &tree, &err) < 0 ||
		read_file(argv[2], 16 << 20, &text, &err) < 0 ||
		kconfig_values_read(tree, text.data, text.size, &values, &err) < 0) {
		fprintf(stderr, "kconfig-judge: %s\n", err.message);
		return 2;
	}
	for (size_t i = 0; i < kconfig_count(tree); i++) {
		const struct kconfig_symbol *symbol = kconfig_at(tree, i);

		if (symbol->definitions != NULL && symbol->type != KCONFIG_UNKNOWN)
			judge(values, symbol, &counts);
	}
	printf("%u symbols, %u of them in the file, %u contradictions\n", counts.symbols,
		counts.written, counts.contradictions);
	return counts.contradictions > 0;
}
