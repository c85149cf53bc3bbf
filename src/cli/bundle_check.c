/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/bundle.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "cli/commands.h"

struct findings {
	struct json_object *array; /* NULL: lines are printed */
};

static const char *const verdicts[] = {
	[CAISSON_BUNDLE_MISSING] = "missing",
	[CAISSON_BUNDLE_DAMAGED] = "damaged",
	[CAISSON_BUNDLE_STALE] = "stale",
	[CAISSON_BUNDLE_GONE] = "gone",
	[CAISSON_BUNDLE_LACKING] = "lacking",
};

static int append(struct json_object *array, const struct caisson_bundle_finding *finding)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL || !json_set_string(object, "verdict", verdicts[finding->verdict]) ||
		!json_set_string(object, "path", finding->path) ||
		(finding->source != NULL && !json_set_string(object, "source", finding->source)) ||
		!json_set_string(object, "message", finding->message) ||
		!json_append(array, take_ptr(object)))
		return -ENOMEM;
	return 0;
}

/* A stranger's manifest must not talk to the terminal. */
static int tell(const struct caisson_bundle_finding *finding, void *userdata)
{
	const struct findings *findings = userdata;
	_cleanup_free_ char *line = NULL;

	if (findings->array != NULL)
		return append(findings->array, finding);
	line = format_string(
		"%-8s %s: %s", verdicts[finding->verdict], finding->path, finding->message);
	if (line == NULL)
		return -ENOMEM;
	text_flatten(line);
	puts(line);
	return 0;
}

static int print_json(const char *folder, const struct caisson_bundle_checked *checked,
	struct json_object *findings, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	/* Takes the findings, whatever happens. */
	if (object == NULL || !json_set(object, "findings", json_object_get(findings)) ||
		!json_set_string(object, "bundle", folder) ||
		!json_set_bool(object, "good", checked->findings == 0) ||
		!json_set_uint(object, "programs", checked->programs) ||
		!json_set_uint(object, "files", checked->files))
		return caisson_fail(err, ENOMEM, "print JSON");
	return cli_print_json(object, err);
}

int cli_bundle_check(const char *folder, const char *root, bool json, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *array = json ? json_object_new_array() : NULL;
	struct findings findings = {array};
	struct caisson_bundle_checked checked;
	_cleanup_free_ char *real = NULL;
	int r;

	if (json && array == NULL)
		return caisson_fail(err, ENOMEM, "print JSON");
	if (root != NULL && (real = realpath(root, NULL)) == NULL)
		return caisson_fail(err, errno, "open %s", root);
	r = caisson_bundle_check(folder, real, tell, &findings, &checked, err);
	if (r < 0)
		return r;
	if (json)
		return print_json(folder, &checked, array, err) < 0 ? -ENOMEM : r;
	if (r == 0)
		printf("%s: all %llu files of %llu programs are as they were made, and as they would be made now\n",
			folder, (unsigned long long)checked.files,
			(unsigned long long)checked.programs);
	else
		printf("%s: %llu findings\n", folder, (unsigned long long)checked.findings);
	return r;
}
