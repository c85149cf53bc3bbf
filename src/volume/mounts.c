/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/process.h"
#include "base/strbuf.h"

#define HELPER_SECONDS 60

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

/* proc_pid_mountinfo(5):
   "36 35 98:0 /root /mount/point options optional... - type source options" */
struct line {
	uint64_t id;
	dev_t device;
	char *point, *type, *source, *options;
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
	line->id = strtoull(fields[0], NULL, 10);
	line->device = makedev(major, minor);
	line->point = fields[4];
	line->type = strtok_r(separator + 3, " ", &save);
	line->source = strtok_r(NULL, " ", &save);
	line->options = strtok_r(NULL, " \n", &save);
	if (line->options == NULL)
		return false;
	unescape(line->point);
	unescape(line->source);
	return true;
}

/* The kernel says which device it is. btrfs has numbers of its own: there the source tells, which
   the kernel writes; that of other filesystems without a device (FUSE) anybody can choose. */
static bool is_of_device(const struct line *line, dev_t device)
{
	struct stat st;

	if (line->device == device)
		return true;
	return strcmp(line->type, "btrfs") == 0 && stat(line->source, &st) == 0 &&
	       S_ISBLK(st.st_mode) && st.st_rdev == device;
}

static bool is_of_file(const struct line *line, const char *file)
{
	char user[32];
	const char *at = line->options;

	if (strncmp(line->type, "fuse", 4) != 0 || strcmp(line->source, file) != 0)
		return false;
	/* The kernel puts it there, and says who mounted it. */
	snprintf(user, sizeof(user), "user_id=%u", geteuid());
	for (; at != NULL; at = strchr(at, ',')) {
		size_t length;

		at += *at == ',';
		length = strcspn(at, ",");
		if (length == strlen(user) && strncmp(at, user, length) == 0)
			return true;
	}
	return false;
}

static int add(struct mount_points *points, const struct line *line, struct caisson_error *err)
{
	struct mount_point *grown =
		reallocarray(points->items, points->count + 1, sizeof(*points->items));

	if (grown == NULL)
		return caisson_fail(err, ENOMEM, "list the mounts");
	points->items = grown;
	grown[points->count] = (struct mount_point){.path = strdup(line->point),
		.id = line->id,
		.fuse = strncmp(line->type, "fuse", 4) == 0};
	if (grown[points->count].path == NULL)
		return caisson_fail(err, ENOMEM, "list the mounts");
	points->count++;
	return 0;
}

static int collect(const dev_t *device, const char *file, struct mount_points *points,
	struct caisson_error *err)
{
	_cleanup_fclose_ FILE *mounts = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r = 0;

	if (mounts == NULL)
		return caisson_fail(err, errno, "read /proc/self/mountinfo");
	while (r == 0 && getline(&text, &size, mounts) > 0) {
		struct line line;

		if (parse(text, &line) &&
			(device != NULL ? is_of_device(&line, *device) : is_of_file(&line, file)))
			r = add(points, &line, err);
	}
	return r;
}

int mounts_of_device(const char *device, struct mount_points *points, struct caisson_error *err)
{
	struct stat st;

	if (stat(device, &st) < 0 || !S_ISBLK(st.st_mode))
		return 0;
	return collect(&st.st_rdev, NULL, points, err);
}

int mounts_of_file(const char *file, struct mount_points *points, struct caisson_error *err)
{
	return collect(NULL, file, points, err);
}

/* A folder above may have been replaced since by whoever may write there. */
static bool is_there(const struct mount_point *point)
{
	struct statx st;

	if (statx(AT_FDCWD, point->path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		    STATX_MNT_ID, &st) < 0)
		return errno == ENOTCONN || errno == EIO; /* its server is gone */
	return (st.stx_mask & STATX_MNT_ID) == 0 || st.stx_mnt_id == point->id;
}

static int unmount_by_helper(const char *path, bool lazy, struct caisson_error *err)
{
	const char *const argv[] = {"fusermount3", "-u", lazy ? "-z" : "-q", "--", path, NULL};

	return process_run_for(argv, HELPER_SECONDS, err);
}

int mount_point_unmount(const struct mount_point *point, bool lazy, struct caisson_error *err)
{
	if (!is_there(point))
		return 0;
	if (point->fuse && geteuid() != 0)
		return unmount_by_helper(point->path, lazy, err);
	if (umount2(point->path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0 ||
		errno == EINVAL || errno == ENOENT)
		return 0;
	if (errno != EBUSY)
		return caisson_fail(err, errno, "unmount %s", point->path);
	caisson_refuse(err, EBUSY, "%s cannot be unmounted: files are open in it", point->path);
	return caisson_hint(err, "find who has them: fuser -vm %s", point->path);
}

void mount_points_done(struct mount_points *points)
{
	for (size_t i = 0; i < points->count; i++)
		free(points->items[i].path);
	free(points->items);
	*points = MOUNT_POINTS_NONE;
}
