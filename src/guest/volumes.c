/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The volumes of a machine, as PID 1 sees them: opened by caisson-unlock, checked, mounted. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/secret.h"
#include "guest/guest.h"
#include "guest/unlock.h"
#include "volume/ext4.h"
#include "wire/message.h"

#define VOLUMES_FOLDER "/run/volume"
#define OUTPUT_MOST    16384

/* A program of the initramfs with its three streams on pipes (or, with @quiet, on nothing). */
struct helper {
	pid_t pid;
	int input, output, error;
};

static void helper_child(const char *const argv[], const int ends[3])
{
	for (int i = 0; i < 3; i++) {
		if (dup2(ends[i], i) < 0)
			_exit(127);
	}
	execv(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int helper_start(
	const char *const argv[], struct helper *ret_helper, struct caisson_error *err)
{
	int pipes[3][2];
	int ends[3];
	pid_t pid;

	for (int i = 0; i < 3; i++) {
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			return caisson_fail(err, errno, "make a pipe");
		ends[i] = pipes[i][i == 0 ? 0 : 1];
	}
	pid = fork();
	if (pid < 0)
		return caisson_fail(err, errno, "start %s", argv[0]);
	if (pid == 0)
		helper_child(argv, ends);
	for (int i = 0; i < 3; i++)
		close(ends[i]);
	*ret_helper = (struct helper){pid, pipes[0][1], pipes[1][0], pipes[2][0]};
	return 0;
}

/* Both outputs to their ends; what is beyond the bound is dropped, so that the program never waits.
 */
static void helper_collect(struct helper *helper, struct strbuf *output, struct strbuf *errors)
{
	struct pollfd polled[2] = {
		{.fd = helper->output, .events = POLLIN}, {.fd = helper->error, .events = POLLIN}};
	struct strbuf *buffers[2] = {output, errors};

	while (polled[0].fd >= 0 || polled[1].fd >= 0) {
		(void)poll(polled, 2, -1);
		for (int i = 0; i < 2; i++) {
			char chunk[1024];
			ssize_t n;

			if (polled[i].fd < 0 || polled[i].revents == 0)
				continue;
			n = read(polled[i].fd, chunk, sizeof(chunk));
			if (n > 0 && buffers[i]->size < OUTPUT_MOST)
				strbuf_add(buffers[i], chunk, (size_t)n);
			if (n == 0 || (n < 0 && errno != EINTR))
				polled[i].fd = -1;
		}
	}
}

/* Returns the exit status (128 + N for signal N). */
static int helper_finish(struct helper *helper, struct strbuf *output, struct strbuf *errors)
{
	int status = 0;

	closep(&helper->input);
	helper_collect(helper, output, errors);
	closep(&helper->output);
	closep(&helper->error);
	while (waitpid(helper->pid, &status, 0) < 0 && errno == EINTR)
		;
	strbuf_add(output, "", 0);
	strbuf_add(errors, "", 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What caisson-unlock wants to know; it holds the start's secret. */
static int write_order(struct guest *guest, struct secret *order, struct caisson_error *err)
{
	const struct guest_config *config = &guest->config;
	size_t used;
	int r = secret_new(order, UNLOCK_ORDER_MOST, err);

	if (r < 0)
		return r;
	used = (size_t)snprintf((char *)order->data, order->size, "%s\n%u\n%s\n", config->machine,
		config->vsock_key_port, config->secret);
	for (size_t i = 0; i < config->volume_count; i++) {
		const struct guest_volume *volume = &config->volumes[i];
		_cleanup_free_ char *disk = NULL;
		int n;

		r = guest_wait_disk(guest->uevents, volume->serial, &disk, err);
		if (r < 0)
			return caisson_wrap(err, "volume %s", volume->name);
		n = snprintf((char *)order->data + used, order->size - used, "%s %s %d\n",
			volume->name, disk, volume->read_only);
		if (n < 0 || (size_t)n >= order->size - used)
			return caisson_refuse(err, EFBIG, "there are too many volumes");
		used += (size_t)n;
	}
	order->size = used;
	return 0;
}

/* "sentence\nhint\n" on its standard error, as unlock.c writes it. */
static int explain_unlock(int status, struct strbuf *errors, struct caisson_error *err)
{
	char *hint = strchr(errors->data, '\n');

	if (hint != NULL)
		*hint++ = '\0';
	if (errors->data[0] == '\0')
		return caisson_refuse(err, EIO, "opening the volumes ended with status %d", status);
	caisson_refuse(err, EACCES, "%s", errors->data);
	if (hint != NULL) {
		hint[strcspn(hint, "\n")] = '\0';
		return caisson_hint(err, "%s", hint);
	}
	return -EACCES;
}

int guest_volumes_open(struct guest *guest, struct caisson_error *err)
{
	static const char *const argv[] = {UNLOCK_PROGRAM, NULL};
	_cleanup_secret_ struct secret order = SECRET_NONE;
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT, errors = STRBUF_INIT;
	struct helper helper;
	int status, r;

	if (guest->config.volume_count == 0)
		return 0;
	r = write_order(guest, &order, err);
	if (r == 0)
		r = helper_start(argv, &helper, err);
	if (r < 0)
		return r;
	/* It works once: whether this succeeds or not, nothing here needs it again. */
	r = write_all(helper.input, order.data, order.size, UNLOCK_PROGRAM, err);
	explicit_bzero(guest->config.secret, strlen(guest->config.secret));
	status = helper_finish(&helper, &output, &errors);
	/* Its own reason is better than "broken pipe". */
	if (status != 0)
		return explain_unlock(status, &errors, err);
	return r;
}

/* e2fsck only when the filesystem asks for it: the superblock says so, as e2fsck itself would read
 * it. */
static int check_filesystem(const char *device, const char *name, struct caisson_error *err)
{
	const char *const argv[] = {"/sbin/e2fsck", "-p", device, NULL};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT, errors = STRBUF_INIT;
	_cleanup_close_ int fd = open_file(device, O_RDONLY, 0, err);
	uint8_t superblock[EXT4_SUPERBLOCK_SIZE];
	struct helper helper;
	bool wanted = true;
	int status, r;

	if (fd < 0)
		return fd;
	r = pread_all(fd, superblock, sizeof(superblock), EXT4_SUPERBLOCK_OFFSET, device, err);
	if (r == 0)
		r = ext4_needs_check(superblock, sizeof(superblock), &wanted, err);
	if (r < 0)
		return caisson_wrap(err, "the filesystem on the volume %s", name);
	if (!wanted)
		return 0;
	closep(&fd);
	fd = -1;
	r = helper_start(argv, &helper, err);
	if (r < 0)
		return r;
	status = helper_finish(&helper, &output, &errors);
	/* e2fsck(8): 1 and 2 mean that errors were corrected. */
	if (status >= 4) {
		caisson_refuse(err, EUCLEAN,
			"the filesystem on the volume %s has errors that are not safe to repair "
			"unattended (e2fsck ended with status %d)",
			name, status);
		return caisson_hint(err, "copy the volume before you repair it");
	}
	return 0;
}

static int mount_volume(
	const struct guest_volume *volume, const char *target, struct caisson_error *err)
{
	_cleanup_free_ char *device =
		format_string("/dev/mapper/" UNLOCK_PREFIX "%s", volume->name);
	unsigned long flags = MS_NODEV | MS_NOATIME | (volume->read_only ? MS_RDONLY : 0);
	/* A read-only disk cannot have its journal replayed. */
	const char *options = volume->read_only ? "noload" : NULL;
	int r = 0;

	if (device == NULL)
		return caisson_fail(err, ENOMEM, "mount %s", volume->name);
	if (!volume->read_only)
		r = check_filesystem(device, volume->name, err);
	if (r < 0)
		return r;
	if (mount(device, target, "ext4", flags, options) < 0)
		return caisson_fail(err, errno, "mount the volume %s", volume->name);
	return 0;
}

/* A layer belongs to the image that it was made over: above another one it would show a mixture. */
static int check_layer(
	const char *layer, const char *image, const char *volume, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(layer, "image");
	_cleanup_strbuf_ struct strbuf made_over = STRBUF_INIT;
	int r;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "mount the root");
	if (access(path, F_OK) < 0)
		return write_file_atomic(path, image, strlen(image), 0600, err);
	r = read_file(path, 256, &made_over, err);
	if (r < 0)
		return r;
	if (strcmp(made_over.data, image) == 0)
		return 0;
	caisson_refuse(err, ESTALE,
		"the writable layer on the volume %s was made over another image (%.12s)", volume,
		made_over.data);
	return caisson_hint(err, "run that image, or give this one a volume of its own");
}

int guest_volumes_mount_layer(struct guest *guest, char **ret_layer, struct caisson_error *err)
{
	for (size_t i = 0; i < guest->config.volume_count; i++) {
		const struct guest_volume *volume = &guest->config.volumes[i];
		_cleanup_free_ char *target = path_join(VOLUMES_FOLDER, volume->name);
		_cleanup_free_ char *layer = NULL;
		int r;

		if (strcmp(volume->mount, "/") != 0)
			continue;
		layer = target != NULL ? path_join(target, "layer") : NULL;
		if (layer == NULL)
			return caisson_fail(err, ENOMEM, "mount the root");
		r = make_directories(target, 0755, err);
		if (r == 0)
			r = mount_volume(volume, target, err);
		if (r == 0)
			r = make_directories(layer, 0755, err);
		if (r == 0)
			r = check_layer(layer, guest->config.image, volume->name, err);
		if (r < 0)
			return r;
		*ret_layer = take_ptr(layer);
		return 0;
	}
	return 0;
}

static int mount_in_root(const struct guest_volume *volume, struct caisson_error *err)
{
	_cleanup_close_ int fd = guest_root_directory(volume->mount, 0755, err);
	char target[32];

	if (fd < 0)
		return fd;
	snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
	return mount_volume(volume, target, err);
}

/* A folder sorts before what is in it: "/data" before "/data/log". */
static int compare_mounts(const void *a, const void *b)
{
	const struct guest_volume *x = a, *y = b;

	return strcmp(x->mount, y->mount);
}

int guest_volumes_mount(struct guest *guest, struct caisson_error *err)
{
	struct guest_config *config = &guest->config;

	if (config->volume_count > 1)
		qsort(config->volumes, config->volume_count, sizeof(*config->volumes),
			compare_mounts);
	for (size_t i = 0; i < config->volume_count; i++) {
		int r = 0;

		if (strcmp(config->volumes[i].mount, "/") != 0)
			r = mount_in_root(&config->volumes[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Mount points are escaped in mountinfo: "\040" for a space, and so on (proc(5)). */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
			from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

static int list_mounts(struct strv *points, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	char *line, *rest;
	int r = read_file("/proc/self/mountinfo", 4 << 20, &text, err);

	if (r < 0)
		return r;
	for (line = strtok_r(text.data, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		char point[4096];

		if (sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1)
			continue;
		unescape(point);
		if (strncmp(point, GUEST_ROOT, strlen(GUEST_ROOT)) == 0 ||
			strncmp(point, VOLUMES_FOLDER, strlen(VOLUMES_FOLDER)) == 0)
			strv_add(points, point);
	}
	return strv_ok(points) ? 0 : caisson_fail(err, ENOMEM, "unmount");
}

/* sync(2) says nothing of a disk that refused to write. An error that nobody has been told of yet
   is told even to a descriptor that is younger (errseq_sample() in the kernel). */
static int sync_point(const char *point, struct caisson_error *err)
{
	const char *name = point;
	_cleanup_close_ int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) == 0)
		return 0;
	if (strncmp(point, GUEST_ROOT "/", sizeof(GUEST_ROOT)) == 0)
		name += sizeof(GUEST_ROOT) - 1;
	caisson_fail(err, errno, "not all that was written to %s is on its disk", name);
	return caisson_hint(err, "is the disk that holds the volume full, on the host?");
}

int guest_volumes_close(struct guest *guest, struct caisson_error *err)
{
	_cleanup_strv_ struct strv points = STRV_INIT;
	int r;

	sync();
	if (guest->config.volume_count == 0)
		return 0;
	r = list_mounts(&points, err);
	if (r < 0)
		return r;
	/* Unmounting is what flushes the disk's cache and marks the filesystem clean. Last come,
	   first gone; a volume that stays busy is on disk all the same after sync(). */
	for (size_t i = points.count; i-- > 0;) {
		if (r == 0)
			r = sync_point(points.items[i], err);
		if (umount2(points.items[i], 0) < 0 && errno == EBUSY)
			(void)mount(NULL, points.items[i], NULL, MS_REMOUNT | MS_RDONLY, NULL);
	}
	sync();
	return r;
}
