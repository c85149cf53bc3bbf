/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kconfig files, a .config for them, and what is said of each symbol. The parts stand between lines
   "%%": the file Kconfig, all that is sourced, the .config, which is a user's fragment as well. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kconfig/values.h"

enum { PARTS = 3, SYMBOLS_MOST = 64 };

struct part {
	const char *text;
	size_t size;
};

static int read_part(
	void *userdata, const char *path, struct strbuf *text, struct caisson_error *err)
{
	const struct part *parts = userdata;
	const struct part *part = &parts[strcmp(path, "Kconfig") == 0 ? 0 : 1];

	if (part->text == NULL)
		return caisson_fail(err, ENOENT, "open %s", path);
	strbuf_add(text, part->text, part->size);
	return 0;
}

static void split(const char *text, size_t size, struct part parts[PARTS])
{
	static const char between[] = "\n%%\n";

	for (int i = 0; i < PARTS; i++) {
		const char *stop = memmem(text, size, between, sizeof(between) - 1);

		if (stop == NULL) {
			parts[i] = (struct part){text, size};
			return;
		}
		parts[i] = (struct part){text, (size_t)(stop - text) + 1};
		size -= (size_t)(stop - text) + sizeof(between) - 1;
		text = stop + sizeof(between) - 1;
	}
}

static void ask(const struct kconfig *tree, struct kconfig_values *values,
	const struct kconfig_symbol *symbol)
{
	static const char *const wishes[] = {"y", "m", "n", "\"text\"", "0x10"};
	struct kconfig_range range = kconfig_depends_range(values, symbol);

	if (range.low > range.high || range.high > KCONFIG_Y)
		abort();
	range = kconfig_default_range(values, symbol);
	if (range.low > range.high)
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
		_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
		bool is = kconfig_is(values, kconfig_name(symbol), wishes[i]);

		if (kconfig_explain(values, kconfig_name(symbol), wishes[i], &text) == 0 &&
			(text.size == 0) != is)
			abort();
	}
	if (kconfig_find(tree, kconfig_name(symbol)) != NULL)
		(void)kconfig_rival(values, symbol);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_kconfig_ struct kconfig *tree = NULL;
	_cleanup_kconfig_values_ struct kconfig_values *values = NULL;
	struct part parts[PARTS] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
	struct kconfig_reader reader = {read_part, parts};
	const char *config;

	split((const char *)data, size, parts);
	if (kconfig_read(&reader, "6.1.192", &tree, NULL) < 0)
		return 0;
	config = parts[2].text != NULL ? parts[2].text : "";
	if (kconfig_values_read(tree, config, parts[2].size, &values, NULL) < 0)
		return 0;
	for (size_t i = 0; i < kconfig_count(tree) && i < SYMBOLS_MOST; i++)
		ask(tree, values, kconfig_at(tree, i));
	return 0;
}
