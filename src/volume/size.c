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

int volume_round_size(uint64_t size, uint64_t *ret_size, struct caisson_error *err)
{
	if (size < VOLUME_SIZE_LEAST)
		return caisson_refuse(err, EINVAL,
			"a volume of %llu bytes is too small: at least %llu MiB, of which 16 are "
			"the LUKS2 header",
			(unsigned long long)size, VOLUME_SIZE_LEAST >> 20);
	if (size > INT64_MAX - VOLUME_SIZE_STEP)
		return caisson_refuse(err, ERANGE, "a volume of %llu bytes is too large",
			(unsigned long long)size);
	*ret_size = (size + VOLUME_SIZE_STEP - 1) / VOLUME_SIZE_STEP * VOLUME_SIZE_STEP;
	return 0;
}
