/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/release.h"

#include <errno.h>
#include <string.h>

#include "base/strbuf.h"

bool kernel_release_valid(const char *release)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._+~-";
	size_t length = strlen(release);

	return length > 0 && length < KERNEL_RELEASE_SIZE && release[0] >= '0' &&
	       release[0] <= '9' && strspn(release, allowed) == length;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Compares two runs of digits of any length and steps over them. */
static int compare_numbers(const char **a, const char **b)
{
	size_t length_a, length_b;
	int r;

	while (**a == '0')
		(*a)++;
	while (**b == '0')
		(*b)++;
	for (length_a = 0; is_digit((*a)[length_a]);)
		length_a++;
	for (length_b = 0; is_digit((*b)[length_b]);)
		length_b++;
	if (length_a != length_b)
		return length_a < length_b ? -1 : 1;
	r = memcmp(*a, *b, length_a);
	*a += length_a;
	*b += length_b;
	return r;
}

/* A pre-release comes before what it leads to. */
static bool is_pre_release(const char *text)
{
	return text[0] == '~' || (strncmp(text, "-rc", 3) == 0 && is_digit(text[3]));
}

int kernel_release_compare(const char *a, const char *b)
{
	for (;;) {
		if (is_pre_release(a) != is_pre_release(b))
			return is_pre_release(a) ? -1 : 1;
		if (is_digit(*a) && is_digit(*b)) {
			int r = compare_numbers(&a, &b);

			if (r != 0)
				return r;
			continue;
		}
		if (*a != *b)
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		if (*a == '\0')
			return 0;
		a++;
		b++;
	}
}

/* Digits, and behind them; NULL for none, or more than @most. */
static const char *take_number(const char *text, unsigned int most, unsigned int *ret_number)
{
	unsigned int number = 0;

	if (!is_digit(*text))
		return NULL;
	for (; is_digit(*text); text++) {
		number = number * 10 + (unsigned int)(*text - '0');
		if (number > most)
			return NULL;
	}
	*ret_number = number;
	return text;
}

const char *kernel_version_parse(const char *text, unsigned int *ret_version)
{
	unsigned int major, minor;

	text = take_number(text, 99, &major);
	text = text != NULL && *text == '.' ? take_number(text + 1, 999, &minor) : NULL;
	if (text != NULL)
		*ret_version = KERNEL_VERSION(major, minor);
	return text;
}

unsigned int kernel_release_version(const char *release)
{
	unsigned int version;

	return kernel_version_parse(release, &version) != NULL ? version : 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* What stands behind "NAME =" in the line that starts so; "" when there is none. */
static char *makefile_value(const char *text, size_t size, const char *name)
{
	size_t length = strlen(name);

	while (size > 0) {
		const char *feed = memchr(text, '\n', size);
		const char *end = feed != NULL ? feed : text + size, *at = text + length;

		if ((size_t)(end - text) > length && memcmp(text, name, length) == 0) {
			while (at < end && is_blank(*at))
				at++;
			if (at < end && *at == '=') {
				for (at++; at < end && is_blank(*at);)
					at++;
				while (end > at && (is_blank(end[-1]) || end[-1] == '\r'))
					end--;
				return strndup(at, (size_t)(end - at));
			}
		}
		if (feed == NULL)
			break;
		size -= (size_t)(feed + 1 - text);
		text = feed + 1;
	}
	return strdup("");
}

static bool is_version_part(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";

	return strlen(text) < 32 && strspn(text, allowed) == strlen(text);
}

int kernel_makefile_release(
	const char *makefile, size_t size, char **ret_release, struct caisson_error *err)
{
	static const char *const names[] = {"VERSION", "PATCHLEVEL", "SUBLEVEL", "EXTRAVERSION"};
	_cleanup_strbuf_ struct strbuf release = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *value = makefile_value(makefile, size, names[i]);

		if (value == NULL)
			return caisson_fail(err, ENOMEM, "read a Makefile");
		if (!is_version_part(value) ||
			(i < 2 &&
				(value[0] == '\0' || strspn(value, "0123456789") != strlen(value))))
			return caisson_refuse(err, EINVAL,
				"its Makefile does not say which version of Linux it is");
		if (value[0] != '\0' && (i == 1 || i == 2))
			strbuf_add_char(&release, '.');
		strbuf_add_string(&release, value);
	}
	if (release.size >= KERNEL_RELEASE_SIZE)
		return caisson_refuse(err, EINVAL, "its Makefile gives a release that is too long");
	*ret_release = strbuf_take(&release);
	return *ret_release != NULL ? 0 : caisson_fail(err, ENOMEM, "read a Makefile");
}
