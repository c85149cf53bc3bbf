/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/path.h"
#include "cli/commands.h"

int cli_guest_programs(char **ret_folder, struct caisson_error *err)
{
	char self[PATH_MAX];
	_cleanup_free_ char *beside = NULL, *installed = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		beside = path_join(self, "caisson-init");
		if (beside != NULL && access(beside, R_OK) == 0) {
			*ret_folder = strdup(self);
			return *ret_folder != NULL ? 0 : caisson_fail(err, ENOMEM, "find it");
		}
	}
	installed = path_join(CAISSON_LIBEXECDIR, "caisson-init");
	if (installed == NULL || access(installed, R_OK) < 0) {
		caisson_refuse(err, ENOENT, "caisson-init is not in %s", CAISSON_LIBEXECDIR);
		return caisson_hint(err, "caisson is not installed whole");
	}
	*ret_folder = strdup(CAISSON_LIBEXECDIR);
	return *ret_folder != NULL ? 0 : caisson_fail(err, ENOMEM, "find caisson-init");
}

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
