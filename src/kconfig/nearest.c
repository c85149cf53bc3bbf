/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which option was meant by a name that there is not. */
#include <string.h>

#include "base/macros.h"
#include "kconfig/tree.h"

enum {
	NAME_MOST = 63,
	SHORT = 8, /* names up to this length are close to too many others */
};

static unsigned int least(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = MIN(a, b);

	return MIN(ab, c);
}

/* How many letters have to be added, left out, changed, or exchanged with the next one. */
static unsigned int distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	unsigned int rows[3][NAME_MOST + 1];

	for (size_t k = 0; k <= b_size; k++)
		rows[0][k] = (unsigned int)k;
	for (size_t i = 1; i <= a_size; i++) {
		unsigned int *row = rows[i % 3];
		const unsigned int *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		row[0] = (unsigned int)i;
		for (size_t k = 1; k <= b_size; k++) {
			row[k] = least(above[k] + 1, row[k - 1] + 1,
				above[k - 1] + (a[i - 1] != b[k - 1]));
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				row[k] = MIN(row[k], before[k - 2] + 1);
		}
	}
	return rows[a_size % 3][b_size];
}

const struct kconfig_symbol *kconfig_nearest(const struct kconfig *tree, const char *option)
{
	static const char prefix[] = "CONFIG_";
	const char *name =
		strncmp(option, prefix, strlen(prefix)) == 0 ? option + strlen(prefix) : option;
	const struct kconfig_symbol *nearest = NULL;
	size_t size = strlen(name);
	unsigned int best = size > SHORT ? 3 : 2; /* one less is near */

	if (size > NAME_MOST)
		return NULL;
	for (size_t i = 0; i < kconfig_count(tree); i++) {
		const struct kconfig_symbol *symbol = kconfig_at(tree, i);
		size_t other = strlen(kconfig_name(symbol));
		unsigned int here;

		if (kconfig_find(tree, kconfig_name(symbol)) == NULL || other > NAME_MOST ||
			other + best <= size || size + best <= other)
			continue;
		here = distance(name, size, kconfig_name(symbol), other);
		if (here < best) {
			best = here;
			nearest = symbol;
		}
	}
	return nearest;
}
