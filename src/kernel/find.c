/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/find.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "kernel/image.h"
#include "kernel/installed.h"
#include "kernel/release.h"

void kernel_done(struct kernel *kernel)
{
	free(kernel->path);
	free(kernel->release);
	free(kernel->modules);
	free(kernel->config);
	free(kernel->vmlinux);
	*kernel = KERNEL_NONE;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The folder of @release's modules, or NULL. */
static int find_modules(
	const char *root, const char *release, char **ret_modules, struct caisson_error *err)
{
	static const char *const parents[] = {"/lib/modules", "/usr/lib/modules"};

	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		_cleanup_free_ char *path = format_string("%s%s/%s", root, parents[i], release);

		if (path == NULL)
			return caisson_fail(err, ENOMEM, "look for kernel modules");
		if (is_folder(path)) {
			*ret_modules = take_ptr(path);
			return 0;
		}
	}
	return 0;
}

/* Takes @path as the configuration when it is a readable file. */
static int take_config(struct kernel *kernel, char *path, struct caisson_error *err)
{
	_cleanup_free_ char *owned = path;
	struct stat st;

	if (owned == NULL)
		return caisson_fail(err, ENOMEM, "look for the configuration of %s", kernel->path);
	if (kernel->config == NULL && stat(owned, &st) == 0 && S_ISREG(st.st_mode) &&
		access(owned, R_OK) == 0)
		kernel->config = take_ptr(owned);
	return 0;
}

/* Beside the image (/boot/config-RELEASE), or with the modules, as Fedora and Arch have it. */
static int find_config(const char *root, struct kernel *kernel, struct caisson_error *err)
{
	int folder = (int)(path_base(kernel->path) - kernel->path);
	int r;

	r = take_config(
		kernel, format_string("%.*sconfig-%s", folder, kernel->path, kernel->release), err);
	if (r == 0 && kernel->modules != NULL)
		r = take_config(kernel, path_join(kernel->modules, "config"), err);
	if (r == 0 && kernel->modules != NULL)
		r = take_config(kernel, path_join(kernel->modules, "build/.config"), err);
	if (r == 0)
		r = take_config(
			kernel, format_string("%s/boot/config-%s", root, kernel->release), err);
	return r;
}

int kernel_file_open(const char *path, struct caisson_error *err)
{
	int fd = open_file(path, O_RDONLY | O_NONBLOCK, 0, err);

	if (fd == -EACCES)
		caisson_hint(err,
			"kernels under /boot can be closed to users: copy it to where you "
			"can read it, or chmod a+r it");
	return fd;
}

static int read_release(const char *path, char **ret_release, struct caisson_error *err)
{
	_cleanup_close_ int fd = kernel_file_open(path, err);
	struct kernel_image image;
	char *release;
	int r;

	if (fd < 0)
		return fd;
	r = kernel_image_read(fd, path, &image, err);
	if (r == 0 && image.form == KERNEL_IMAGE_VMLINUX)
		r = kernel_image_find_release(fd, path, &image, err);
	if (r < 0)
		return r;
	release = strdup(image.release);
	if (release == NULL)
		return caisson_fail(err, ENOMEM, "read %s", path);
	*ret_release = release;
	return 0;
}

static int take_modules(struct kernel *kernel, const char *modules, struct caisson_error *err)
{
	struct stat st;
	bool there = stat(modules, &st) == 0;

	if (!there || !S_ISDIR(st.st_mode))
		return caisson_fail(
			err, there ? ENOTDIR : errno, "open the modules folder %s", modules);
	kernel->modules = strdup(modules);
	return kernel->modules != NULL ? 0 : caisson_fail(err, ENOMEM, "find a kernel");
}

/* A kernel with all that belongs to it: nothing is looked for elsewhere. */
static int describe_folder(const char *folder, const char *modules, struct kernel *ret_kernel,
	struct caisson_error *err)
{
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	_cleanup_free_ char *vmlinux = path_join(folder, KERNEL_VMLINUX);
	int r;

	kernel.path = path_join(folder, KERNEL_BZIMAGE);
	if (kernel.path == NULL || vmlinux == NULL)
		return caisson_fail(err, ENOMEM, "find a kernel");
	r = read_release(kernel.path, &kernel.release, err);
	if (r == -ENOENT) {
		caisson_refuse(err, ENOENT, "there is no kernel in %s: it has no %s", folder,
			KERNEL_BZIMAGE);
		caisson_hint(err, "'caisson kernel build' makes folders with kernels");
	}
	if (r == 0)
		r = take_config(&kernel, path_join(folder, KERNEL_CONFIG), err);
	if (r == 0 && modules != NULL)
		r = take_modules(&kernel, modules, err);
	if (r < 0)
		return r;
	if (access(vmlinux, F_OK) == 0)
		kernel.vmlinux = take_ptr(vmlinux);
	*ret_kernel = kernel;
	kernel = KERNEL_NONE;
	return 0;
}

static int describe(const char *root, const char *path, const char *modules,
	struct kernel *ret_kernel, struct caisson_error *err)
{
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	int r;

	if (is_folder(path))
		return describe_folder(path, modules, ret_kernel, err);
	kernel.path = strdup(path);
	if (kernel.path == NULL)
		return caisson_fail(err, ENOMEM, "find a kernel");
	r = read_release(path, &kernel.release, err);
	if (r < 0)
		return r;
	if (modules != NULL)
		r = take_modules(&kernel, modules, err);
	else
		r = find_modules(root, kernel.release, &kernel.modules, err);
	if (r == 0)
		r = find_config(root, &kernel, err);
	if (r < 0)
		return r;
	*ret_kernel = kernel;
	kernel = KERNEL_NONE;
	return 0;
}

/* The newest release in ROOT/boot that has modules; *ret_path stays as it is when there is none. */
static int find_newest(const char *root, char **ret_path, struct caisson_error *err)
{
	static const char prefix[] = "vmlinuz-";
	_cleanup_free_ char *boot = format_string("%s/boot", root);
	_cleanup_free_ char *newest = NULL;
	_cleanup_closedir_ DIR *folder = NULL;
	struct dirent *entry;

	if (boot == NULL)
		return caisson_fail(err, ENOMEM, "find a kernel");
	folder = opendir(boot);
	if (folder == NULL)
		return errno == ENOENT ? 0 : caisson_fail(err, errno, "open %s", boot);
	while ((entry = readdir(folder)) != NULL) {
		const char *release = entry->d_name + strlen(prefix);
		_cleanup_free_ char *modules = NULL;
		int r;

		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
			!kernel_release_valid(release))
			continue;
		if (newest != NULL && kernel_release_compare(release, newest) <= 0)
			continue;
		r = find_modules(root, release, &modules, err);
		if (r < 0)
			return r;
		if (modules == NULL)
			continue;
		free(newest);
		newest = strdup(release);
		if (newest == NULL)
			return caisson_fail(err, ENOMEM, "find a kernel");
	}
	if (newest == NULL)
		return 0;
	*ret_path = format_string("%s/%s%s", boot, prefix, newest);
	return *ret_path != NULL ? 0 : caisson_fail(err, ENOMEM, "find a kernel");
}

int kernel_find_below(const char *root, const char *path, const char *modules,
	struct kernel *ret_kernel, struct caisson_error *err)
{
	_cleanup_free_ char *newest = NULL;
	int r;

	if (path != NULL)
		return describe(root, path, modules, ret_kernel, err);
	r = find_newest(root, &newest, err);
	if (r < 0)
		return r;
	if (newest == NULL) {
		caisson_refuse(err, ENOENT, "there is no kernel with its modules in %s/boot", root);
		caisson_hint(err, "build one ('caisson kernel build'), install one (Debian: "
				  "linux-image-cloud-amd64), or name one");
		return -ENOENT;
	}
	return describe(root, newest, modules, ret_kernel, err);
}

int kernel_find(
	const char *path, const char *modules, struct kernel *ret_kernel, struct caisson_error *err)
{
	int r = kernel_find_below("", path, modules, ret_kernel, err);

	if (r == -ENOENT && path != NULL && strchr(path, '/') == NULL && access(path, F_OK) < 0)
		return caisson_hint(
			err, "'caisson kernel list' shows the kernels that were built here");
	return r;
}

int kernel_choose(const struct state *state, const char *name, const char *modules,
	struct kernel *ret_kernel, struct caisson_error *err)
{
	_cleanup_free_ char *folder = NULL;
	int r = 0;

	if (name != NULL ? strchr(name, '/') == NULL : modules == NULL)
		r = kernel_installed_folder(state, name, &folder, err);
	return r < 0 ? r : kernel_find(folder != NULL ? folder : name, modules, ret_kernel, err);
}
