/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "attach/control.h"
#include "attach/loop.h"
#include "attach/start.h"
#include "base/io.h"
#include "base/path.h"
#include "base/process.h"
#include "base/staging.h"
#include "volume/opened.h"

#define CLOSE_SECONDS 30
#define CHECK_SECONDS 86400u
#define GROW_SECONDS  3600u

static int run_checker(
	const char *kind, const char *file, char *text, size_t size, struct caisson_error *err)
{
	const char *const xfs[] = {"xfs_repair", "-n", "-f", file, NULL};
	const char *const btrfs[] = {"btrfs", "check", "--readonly", file, NULL};
	bool is_xfs = strcmp(kind, "xfs") == 0;
	struct caisson_error failure = {0};
	int r = process_run_for(is_xfs ? xfs : btrfs, CHECK_SECONDS, &failure);

	if (r == -ENOENT)
		return caisson_refuse(err, EOPNOTSUPP, "%s: the package %s is not installed", kind,
			is_xfs ? "xfsprogs" : "btrfs-progs");
	if (r < 0)
		return caisson_refuse(err, EUCLEAN, "%s: %s", kind, failure.message);
	snprintf(text, size, "%s: %s found nothing wrong", kind,
		is_xfs ? "xfs_repair -n" : "btrfs check");
	return 0;
}

static int serve(struct volume_access *access, const char *folder, struct attach_started *started,
	struct caisson_error *err)
{
	const struct attach_options options = opened_server(access, folder, true);

	return attach_start(&options, started, err);
}

int tools_check(struct volume_access *access, const char *kind, char *text, size_t size,
	struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	struct attach_started started = {.file = false};
	_cleanup_free_ char *folder = NULL, *file = NULL;
	int r;

	if (strcmp(kind, "xfs") != 0 && strcmp(kind, "btrfs") != 0)
		return caisson_refuse(err, EOPNOTSUPP, "%s is not one that is checked here", kind);
	/* A folder of its own, in one that is swept when we are killed: the volume is not open. */
	r = staging_directory(&staging, access->layout.folder, err);
	if (r < 0)
		return r;
	folder = path_join(staging.path, "open");
	file = format_string("%s/%s/%s", folder, ATTACH_FILE_FOLDER, ATTACH_FILE_NAME);
	if (folder == NULL || file == NULL)
		return caisson_fail(err, ENOMEM, "check a filesystem");
	r = make_directories(folder, 0700, err);
	if (r == 0)
		r = serve(access, folder, &started, err);
	if (r == 0 && !started.file)
		r = caisson_refuse(err, EOPNOTSUPP, "%s: its checker reads files alone, and %s",
			kind, started.why_no_file);
	else if (r == 0)
		r = run_checker(kind, file, text, size, err);
	(void)attach_control(folder, "close force", CLOSE_SECONDS, NULL, NULL, NULL);
	(void)attach_sweep(folder, true, NULL);
	return r;
}

bool tools_can_grow(const char *kind)
{
	return strncmp(kind, "ext", 3) == 0 || strcmp(kind, "xfs") == 0 ||
	       strcmp(kind, "btrfs") == 0;
}

int tools_grow(const char *kind, const char *device, const char *point, struct caisson_error *err)
{
	const char *const ext[] = {"resize2fs", device, NULL};
	const char *const xfs[] = {"xfs_growfs", point, NULL};
	const char *const btrfs[] = {"btrfs", "filesystem", "resize", "max", point, NULL};
	const char *const *argv = strncmp(kind, "ext", 3) == 0 ? ext
				  : strcmp(kind, "xfs") == 0   ? xfs
				  : strcmp(kind, "btrfs") == 0 ? btrfs
							       : NULL;

	if (argv == NULL)
		return caisson_refuse(
			err, ENOTSUP, "'%s' is no filesystem that can grow here", kind);
	return process_run_for(argv, GROW_SECONDS, err);
}

/* What the child has to say, in the memory that both see. */
struct answer {
	int result;
	struct caisson_error err;
};

static int mount_and_grow(
	const char *kind, const char *device, const char *point, struct caisson_error *err)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return caisson_fail(err, errno, "make a mount namespace");
	if (mount(device, point, kind, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return caisson_fail(err, errno, "mount %s to grow it", device);
	return tools_grow(kind, device, point, err);
}

int tools_grow_privately(
	const char *kind, const char *device, const char *point, struct caisson_error *err)
{
	struct answer *answer = mmap(
		NULL, sizeof(*answer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0, r;
	pid_t pid;

	if (answer == MAP_FAILED)
		return caisson_fail(err, ENOMEM, "grow a filesystem");
	r = make_directories(point, 0700, err);
	pid = r == 0 ? fork() : -1;
	if (pid == 0) {
		answer->result = mount_and_grow(kind, device, point, &answer->err);
		_exit(0);
	}
	if (r == 0 && pid < 0)
		r = caisson_fail(err, errno, "start a process");
	if (pid > 0)
		r = process_wait(pid, &status, err);
	if (pid > 0 && r == 0 && status != 0)
		r = caisson_refuse(err, EIO, "growing the filesystem ended with status %d", status);
	if (pid > 0 && r == 0 && answer->result < 0) {
		r = answer->result;
		if (err != NULL)
			*err = answer->err;
	}
	(void)rmdir(point);
	munmap(answer, sizeof(*answer));
	return r;
}

int tools_open_loop(const char *file, struct caisson_error *err)
{
	const struct loop_options options = {.read_only = false};
	_cleanup_close_ int fd = open_file(file, O_RDWR, 0, err);
	_cleanup_free_ char *path = NULL;

	return fd < 0 ? fd : loop_attach(fd, &options, &path, err);
}
