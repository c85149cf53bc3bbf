/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"

#define LOCK_TRY_US 2000

int volume_layout(const struct state *state, const char *name, struct volume_layout *ret_layout,
	struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	int r = name_check("volume", name, err);

	if (r == 0)
		r = state_folder(state, "volumes", &layout.volumes, err);
	if (r < 0)
		return r;
	layout.folder = path_join(layout.volumes, name);
	layout.pending = format_string("%s/.pending-%s", layout.volumes, name);
	if (layout.folder != NULL) {
		layout.container = path_join(layout.folder, "container");
		layout.holder = path_join(layout.folder, "holder");
	}
	if (layout.container == NULL || layout.holder == NULL || layout.pending == NULL)
		return caisson_fail(err, ENOMEM, "find the volume %s", name);
	*ret_layout = layout;
	layout = VOLUME_LAYOUT_NONE;
	return 0;
}

void volume_layout_done(struct volume_layout *layout)
{
	free(layout->volumes);
	free(layout->folder);
	free(layout->container);
	free(layout->holder);
	free(layout->pending);
	*layout = VOLUME_LAYOUT_NONE;
}

bool volume_exists(const struct volume_layout *layout)
{
	struct stat st;

	return lstat(layout->folder, &st) == 0;
}

int volume_missing(const char *name, struct caisson_error *err)
{
	caisson_refuse(err, ENOENT, "there is no volume called '%s'", name);
	return caisson_hint(err, "create it: caisson volume create %s --size 1G", name);
}

int volumes_lock(const struct volume_layout *layout, int *ret_lock, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(layout->volumes, O_RDONLY | O_DIRECTORY, 0, err);
	uint64_t until = now_usec() + VOLUMES_LOCK_WAIT_S * UINT64_C(1000000);
	const struct timespec pause = {.tv_nsec = LOCK_TRY_US * 1000};

	if (fd < 0)
		return fd;
	/* A holder that was stopped must not stop us: flock() itself would wait for ever. */
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return caisson_fail(err, errno, "lock %s", layout->volumes);
		if (now_usec() > until)
			return caisson_refuse(err, EBUSY,
				"another command has held the lock on %s for %d seconds",
				layout->volumes, VOLUMES_LOCK_WAIT_S);
		(void)nanosleep(&pause, NULL);
	}
	*ret_lock = take_fd(&fd);
	return 0;
}

/* A file of the volume: never followed through a link, never waited for. */
static int open_container(const char *path, int flags, struct caisson_error *err)
{
	_cleanup_close_ int fd =
		open_file(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EBADMSG, "%s is not a regular file", path);
	return take_fd(&fd);
}

int volume_lock_container(const struct volume_layout *layout, const char *name, int flags,
	int *ret_fd, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_container(layout->container, flags, err);
	char holder[64];

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*ret_fd = take_fd(&fd);
		return 0;
	}
	if (errno != EWOULDBLOCK)
		return caisson_fail(err, errno, "lock %s", layout->container);
	volume_read_holder(layout, holder, sizeof(holder));
	if (holder[0] == '\0')
		return caisson_refuse(
			err, EBUSY, "the volume %s is in use by another command", name);
	caisson_refuse(err, EBUSY, "the volume %s is in use by the machine %s", name, holder);
	return caisson_hint(err, "stop %s first, or wait for it to end", holder);
}

void volume_read_holder(const struct volume_layout *layout, char *ret_holder, size_t size)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	ret_holder[0] = '\0';
	if (read_file(layout->holder, 64, &text, NULL) < 0 || text.data == NULL)
		return;
	text.data[strcspn(text.data, "\n")] = '\0';
	if (name_valid(text.data))
		snprintf(ret_holder, size, "%s", text.data);
}

int volume_recover(const struct volume_layout *layout, struct key_service *keys, const char *name,
	struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf uuid = STRBUF_INIT;
	struct key_record record;
	int r = read_file(layout->pending, 64, &uuid, err);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (!volume_exists(layout)) {
		r = key_service_find(keys, name, &record, err);
		if (r == 0 && uuid.data != NULL && strcmp(record.facts.uuid, uuid.data) == 0)
			r = key_service_remove(keys, name, err);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	if (unlink(layout->pending) < 0 && errno != ENOENT)
		return caisson_fail(err, errno, "remove %s", layout->pending);
	return 0;
}
