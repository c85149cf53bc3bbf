/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has a volume: locks that go with their holder, and the holder's name for those it keeps out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "volume/kernel.h"
#include "volume/layout.h"

#define LOCK_TRY_US  2000
#define SWEPT_WAIT_S 5

/* A holder that was stopped must not stop us: flock() itself would wait for ever. */
static int wait_for_lock(int fd, const char *path, unsigned int seconds, struct caisson_error *err)
{
	uint64_t until = now_usec() + seconds * UINT64_C(1000000);
	const struct timespec pause = {.tv_nsec = LOCK_TRY_US * 1000};

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return caisson_fail(err, errno, "lock %s", path);
		if (now_usec() > until)
			return caisson_refuse(err, EBUSY,
				"another command has held the lock on %s for %u seconds", path,
				seconds);
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

int volumes_lock(const struct volume_layout *layout, int *ret_lock, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(layout->volumes, O_RDONLY | O_DIRECTORY, 0, err);
	int r = fd < 0 ? fd : wait_for_lock(fd, layout->volumes, VOLUMES_LOCK_WAIT_S, err);

	if (r == 0)
		*ret_lock = take_fd(&fd);
	return r;
}

/* While we waited, it may have been destroyed, and another one made. */
static bool still_there(int fd, const char *path)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 && lstat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino &&
	       ours.st_dev == theirs.st_dev;
}

int volume_lock_name(const struct volume_layout *layout, const char *name, int *ret_lock,
	struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!volume_exists(layout))
		return volume_missing(name, err);
	fd = open_file(layout->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	r = fd < 0 ? fd : wait_for_lock(fd, layout->folder, VOLUME_LOCK_WAIT_S, err);
	if (r < 0)
		return r;
	if (!still_there(fd, layout->folder))
		return volume_missing(name, err);
	r = kernel_sweep_open(name, err);
	if (r < 0)
		return r;
	*ret_lock = take_fd(&fd);
	return 0;
}

int volume_layout_locked(const struct state *state, const char *name,
	struct volume_layout *ret_layout, int *ret_lock, struct caisson_error *err)
{
	_cleanup_volume_layout_ struct volume_layout layout = VOLUME_LAYOUT_NONE;
	int r = volume_layout(state, name, &layout, err);

	if (r == 0)
		r = volume_lock_name(&layout, name, ret_lock, err);
	if (r < 0)
		return r;
	*ret_layout = layout;
	layout = VOLUME_LAYOUT_NONE;
	return 0;
}

/* A device's path may be a link (/dev/disk/by-id); a file of the volume is never followed through
   one. Neither is waited for. O_EXCL on a device: not while the kernel has it mounted or mapped. */
static int open_container(const struct volume_layout *layout, int flags, struct caisson_error *err)
{
	int more = layout->on_device ? O_EXCL : O_NOFOLLOW;
	_cleanup_close_ int fd =
		open_file(layout->container, flags | more | O_NONBLOCK | O_NOCTTY, 0, err);
	int read_only = 0;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", layout->container);
	if (layout->on_device ? !S_ISBLK(st.st_mode) : !S_ISREG(st.st_mode))
		return caisson_refuse(err, EBADMSG, "%s is not a %s", layout->container,
			layout->on_device ? "block device" : "regular file");
	/* The kernel opens a device that refuses writes, and refuses them one by one. */
	if (layout->on_device && (flags & O_ACCMODE) != O_RDONLY &&
		ioctl(fd, BLKROGET, &read_only) == 0 && read_only != 0)
		return caisson_fail(err, EROFS, "open %s for writing", layout->container);
	return take_fd(&fd);
}

static int refuse_held(
	const struct volume_layout *layout, const char *name, struct caisson_error *err)
{
	struct volume_holder holder;

	volume_read_holder(layout, &holder);
	if (holder.text[0] == '\0')
		return caisson_refuse(
			err, EBUSY, "the volume %s is in use by another command", name);
	if (!holder.machine)
		return caisson_refuse(
			err, EBUSY, "the volume %s is in use by %s", name, holder.text);
	caisson_refuse(err, EBUSY, "the volume %s is in use by the machine %s", name, holder.text);
	return caisson_hint(err, "stop %s first, or wait for it to end", holder.text);
}

/* An open that was killed half-way may have left the container to a mapping that is none yet: true
   when it did, and that is gone now. Whoever opens it has the lock on the name. */
static bool sweep_killed(const struct volume_layout *layout, const char *name)
{
	_cleanup_close_ int lock =
		open_file(layout->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);

	return lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0 &&
	       kernel_sweep_open(name, NULL) == 1;
}

int volume_lock_container(const struct volume_layout *layout, const char *name, int flags,
	int *ret_fd, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_container(layout, flags, err);

	if (fd == -EBUSY && layout->on_device && sweep_killed(layout, name))
		fd = open_container(layout, flags, err);
	if (fd == -EBUSY && layout->on_device)
		return refuse_held(layout, name, err);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return caisson_fail(err, errno, "lock %s", layout->container);
		/* Its loop device goes a moment after it. */
		if (!sweep_killed(layout, name) ||
			wait_for_lock(fd, layout->container, SWEPT_WAIT_S, NULL) < 0)
			return refuse_held(layout, name, err);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

void volume_read_holder(const struct volume_layout *layout, struct volume_holder *ret_holder)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	*ret_holder = (struct volume_holder){.machine = false};
	if (read_file(layout->holder, sizeof(ret_holder->text), &text, NULL) < 0 ||
		text.data == NULL)
		return;
	text.data[strcspn(text.data, "\n")] = '\0';
	text_flatten(text.data);
	snprintf(ret_holder->text, sizeof(ret_holder->text), "%s", text.data);
	ret_holder->machine = name_valid(text.data);
}

/* Whoever reads it holds the lock on the volumes as we do, so plain writing will do; nor need it
   survive what it names. */
int volume_write_holder(
	const struct volume_layout *layout, const char *text, struct caisson_error *err)
{
	_cleanup_close_ int fd =
		open_file(layout->holder, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, err);

	return fd < 0 ? fd : write_all(fd, text, strlen(text), layout->holder, err);
}
