/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/mounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/macros.h"

/* Spaces, tabs, newlines and backslashes stand as three octal digits. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++) {
		unsigned int code;

		if (text[0] == '\\' && sscanf(text + 1, "%3o", &code) == 1) {
			*to++ = (char)code;
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* proc_pid_mountinfo(5): "36 35 98:0 /root /mount/point options optional... - type source options"
 */
struct line {
	dev_t device;
	char *point, *source;
};

static bool parse(char *text, struct line *line)
{
	char *fields[5] = {NULL}, *save = NULL, *separator = strstr(text, " - ");
	unsigned int major, minor;

	if (separator == NULL)
		return false;
	*separator = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strtok_r(i == 0 ? text : NULL, " ", &save);
		if (fields[i] == NULL)
			return false;
	}
	if (sscanf(fields[2], "%u:%u", &major, &minor) != 2)
		return false;
	line->device = makedev(major, minor);
	line->point = fields[4];
	(void)strtok_r(separator + 3, " ", &save);
	line->source = strtok_r(NULL, " \n", &save);
	if (line->source == NULL)
		return false;
	unescape(line->point);
	unescape(line->source);
	return true;
}

/* btrfs has device numbers of its own: there the source tells. */
static bool is_of_device(const struct line *line, dev_t device)
{
	struct stat st;

	if (line->device == device)
		return true;
	return major(line->device) == 0 && strncmp(line->source, "/dev/", 5) == 0 &&
	       stat(line->source, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == device;
}

static int collect(
	const dev_t *device, const char *source, struct strv *points, struct caisson_error *err)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;

	if (file == NULL)
		return caisson_fail(err, errno, "read /proc/self/mountinfo");
	while (getline(&text, &size, file) > 0) {
		struct line line;

		if (parse(text, &line) && (device != NULL ? is_of_device(&line, *device)
							  : strcmp(line.source, source) == 0))
			strv_add(points, line.point);
	}
	return strv_ok(points) ? 0 : caisson_fail(err, ENOMEM, "list the mounts");
}

int mounts_of_device(const char *device, struct strv *points, struct caisson_error *err)
{
	struct stat st;

	if (stat(device, &st) < 0 || !S_ISBLK(st.st_mode))
		return 0;
	return collect(&st.st_rdev, NULL, points, err);
}

int mounts_of_source(const char *source, struct strv *points, struct caisson_error *err)
{
	return collect(NULL, source, points, err);
}
