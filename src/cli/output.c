/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "cli/commands.h"

void cli_format_size(uint64_t size, char *text, size_t room)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double number = (double)size;
	size_t unit = 0;

	while (number >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		number /= 1024;
		unit++;
	}
	snprintf(text, room,
		unit == 0 || number == (double)(uint64_t)number ? "%.0f %s" : "%.1f %s", number,
		units[unit]);
}

int cli_print_json(struct json_object *object, struct caisson_error *err)
{
	const char *text =
		object != NULL ? json_object_to_json_string_ext(object,
					 JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)
			       : NULL;

	if (text == NULL)
		return caisson_fail(err, ENOMEM, "print JSON");
	puts(text);
	return 0;
}

int cli_print_name(const char *name, bool json, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = NULL;

	if (!json) {
		puts(name);
		return 0;
	}
	object = json_object_new_object();
	if (object == NULL || !json_set_string(object, "name", name))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

/* https://reproducible-builds.org/specs/source-date-epoch/ */
int cli_source_date(int64_t *ret_time, struct caisson_error *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	char *end;

	if (text == NULL || text[0] == '\0')
		return 0;
	errno = 0;
	*ret_time = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || *ret_time < 0 || *ret_time > UINT32_MAX)
		return caisson_refuse(
			err, EINVAL, "SOURCE_DATE_EPOCH is no number of seconds: '%s'", text);
	return 0;
}
