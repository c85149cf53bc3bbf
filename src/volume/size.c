/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "10G" */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "volume/volume.h"

static int bad_size(const char *text, struct caisson_error *err)
{
	caisson_refuse(err, EINVAL, "'%s' is not a size", text);
	return caisson_hint(
		err, "a whole number, with K, M, G or T for powers of 1024, such as 512M or 10G");
}

int volume_parse_size(const char *text, uint64_t *ret_size, struct caisson_error *err)
{
	static const char units[] = "KMGT";
	uint64_t number = 0, factor = 1;
	const char *p = text, *unit;

	if (*p < '0' || *p > '9')
		return bad_size(text, err);
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
			__builtin_add_overflow(number, (uint64_t)(*p - '0'), &number))
			return caisson_refuse(err, ERANGE, "the size '%s' is too large", text);
	}
	unit = *p != '\0' ? strchr(units, *p) : NULL;
	if (unit != NULL) {
		factor = UINT64_C(1) << 10 * (unit - units + 1);
		p++;
		if (strcmp(p, "iB") == 0)
			p += 2;
	}
	if (*p != '\0')
		return bad_size(text, err);
	if (__builtin_mul_overflow(number, factor, &number) || number > INT64_MAX)
		return caisson_refuse(err, ERANGE, "the size '%s' is too large", text);
	*ret_size = number;
	return 0;
}

uint64_t volume_now(void)
{
	return (uint64_t)time(NULL);
}
