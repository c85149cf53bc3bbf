/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/wishes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum {
	WISHES_MOST = 256, /* of one object */
	NAMES_MOST = 16,   /* of one wish */
};

static enum closure_dlopen priority_of(const char *text)
{
	if (strcmp(text, "required") == 0)
		return CLOSURE_DLOPEN_REQUIRED;
	return strcmp(text, "suggested") == 0 ? CLOSURE_DLOPEN_ALL : CLOSURE_DLOPEN_RECOMMENDED;
}

static void wish_done(struct library_wish *wish)
{
	strv_done(&wish->names);
	free(wish->feature);
}

/* {"soname": [NAME...], "feature": TEXT, "description": TEXT, "priority": TEXT} */
static int read_wish(struct json_object *object, struct library_wish *wish)
{
	const char *feature = "", *priority = "recommended";

	if (json_get_strings(object, "soname", true, &wish->names, NULL) < 0 ||
		json_get_string(object, "feature", false, &feature, NULL) < 0 ||
		json_get_string(object, "priority", false, &priority, NULL) < 0 ||
		wish->names.count == 0 || wish->names.count > NAMES_MOST)
		return strv_ok(&wish->names) ? 0 : -ENOMEM;
	wish->priority = priority_of(priority);
	wish->feature = strdup(feature);
	return wish->feature != NULL ? 1 : -ENOMEM;
}

int wishes_add(const char *json, struct library_wish **wishes, size_t *count)
{
	_cleanup_json_ struct json_object *array = NULL;

	if (json_parse(json, strlen(json), "a note", &array, NULL) < 0 ||
		!json_object_is_type(array, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(array) && *count < WISHES_MOST; i++) {
		struct library_wish wish = {.names = STRV_INIT};
		struct library_wish *bigger;
		int r = read_wish(json_object_array_get_idx(array, i), &wish);

		bigger = r > 0 ? reallocarray(*wishes, *count + 1, sizeof(wish)) : NULL;
		if (bigger != NULL) {
			*wishes = bigger;
			bigger[(*count)++] = wish;
			continue;
		}
		wish_done(&wish);
		if (r != 0)
			return -ENOMEM;
	}
	return 0;
}

void wishes_free(struct library_wish *wishes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		wish_done(&wishes[i]);
	free(wishes);
}
