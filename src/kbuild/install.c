/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/install.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/staging.h"
#include "kernel/installed.h"
#include "kernel/keep.h"

/* The manifest comes last: where it is, all is. */
static const char *const parts[] = {KERNEL_BZIMAGE, KERNEL_VMLINUX, KERNEL_CONFIG, KERNEL_MANIFEST};

static int copy_part(
	const char *folder, const char *to, const char *name, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_free_ char *path = path_join(folder, name), *target = path_join(to, name);
	_cleanup_close_ int fd = path != NULL ? open_file(path, O_RDONLY, 0, err) : -1;
	int64_t copied;
	int r;

	if (path == NULL || target == NULL)
		return caisson_fail(err, ENOMEM, "copy %s", name);
	if (fd < 0)
		return fd;
	r = staging_unnamed(&staging, to, err);
	if (r < 0)
		return r;
	copied = copy_fd(fd, staging.fd, target, err);
	if (copied < 0)
		return (int)copied;
	if (fchmod(staging.fd, 0644) < 0)
		return caisson_fail(err, errno, "set the mode of %s", name);
	return staging_replace(&staging, name, err);
}

static int copy_parts(const char *folder, const char *to, struct caisson_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = copy_part(folder, to, parts[i], err);
	return r;
}

int install_copy(const char *folder, const char *to, struct caisson_error *err)
{
	int r = make_directories(to, 0755, err);

	return r == 0 ? copy_parts(folder, to, err) : r;
}

static int publish(
	const char *kernels, const char *folder, const char *name, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	int r = staging_directory(&staging, kernels, err);

	if (r == 0)
		r = copy_parts(folder, staging.path, err);
	if (r < 0)
		return r;
	/* A kernel is no secret; the state directory around it is closed anyway. */
	if (fchmod(staging.fd, 0755) < 0)
		return caisson_fail(err, errno, "set the mode of %s", name);
	return staging_publish(&staging, name, err);
}

/* One that cannot be used any more makes room for the same, whole. */
static int look_for(const char *path, bool *ret_known, struct caisson_error *err)
{
	_cleanup_kernel_installed_ struct kernel_installed there = {.arguments = STRV_INIT};

	*ret_known = kernel_installed_read(path, &there, NULL) == 0;
	return *ret_known ? 0 : remove_tree(path, err);
}

int install_kernel(const struct state *state, const char *folder, const char *name,
	char **ret_folder, bool *ret_known, struct caisson_error *err)
{
	_cleanup_free_ char *kernels = NULL, *path = NULL;
	_cleanup_close_ int lock = -1;
	int r = state_folder(state, KERNEL_INSTALLED_FOLDER, &kernels, err);

	if (r == 0)
		r = keep_lock(kernels, &lock, err);
	if (r < 0)
		return r;
	path = path_join(kernels, name);
	if (path == NULL)
		return caisson_fail(err, ENOMEM, "install %s", name);
	r = look_for(path, ret_known, err);
	if (r == 0 && !*ret_known)
		r = publish(kernels, folder, name, err);
	if (r == 0)
		r = kernel_installed_set_default(state, name, err);
	if (r == 0)
		*ret_folder = take_ptr(path);
	return r;
}
