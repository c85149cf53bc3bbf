/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the configuration of a kernel is: in it, beside it, or with the system that runs it. */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/io.h"
#include "kernel/config_read.h"
#include "kernel/find.h"

void kernel_config_done(struct kernel_config *config)
{
	strbuf_done(&config->text);
	free(config->path);
	*config = KERNEL_CONFIG_NONE;
}

static int read_path(const char *path, struct kernel_config *config, struct caisson_error *err)
{
	_cleanup_close_ int fd = kernel_file_open(path, err);
	int r;

	if (fd < 0)
		return fd;
	r = kernel_config_read_fd(fd, path, &config->text, &config->where, err);
	if (r < 0)
		return r;
	config->path = strdup(path);
	return config->path != NULL ? 0 : caisson_fail(err, ENOMEM, "read %s", path);
}

static void give(struct kernel_config *ret_config, struct kernel_config *config)
{
	*ret_config = *config;
	*config = KERNEL_CONFIG_NONE;
}

/* -ENOMSG when there is nothing beside it, or @path is no kernel that says its release. */
static int read_beside(const char *path, struct kernel_config *config, struct caisson_error *err)
{
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	int r;

	if (kernel_find(path, NULL, &kernel, NULL) < 0)
		return -ENOMSG;
	if (kernel.config == NULL) {
		caisson_refuse(err, ENOMSG,
			"the kernel %s holds no configuration, and no file config-%s is beside it, "
			"in /boot or with its modules",
			path, kernel.release);
		return caisson_hint(err, "name its .config, or build it with CONFIG_IKCONFIG");
	}
	r = read_path(kernel.config, config, err);
	config->where = KERNEL_CONFIG_BESIDE;
	return r;
}

int kernel_config_read(
	const char *path, struct kernel_config *ret_config, struct caisson_error *err)
{
	_cleanup_kernel_config_ struct kernel_config config = KERNEL_CONFIG_NONE;
	int r = read_path(path, &config, err);

	if (r == -ENOMSG)
		r = read_beside(path, &config, err);
	if (r < 0)
		return r;
	give(ret_config, &config);
	return 0;
}

/* ROOT PLACE RELEASE END. The module is what CONFIG_IKCONFIG=m makes; the last ones are images. */
static const struct {
	const char *place, *end;
	bool release;
} places[] = {
	{"/proc/config.gz", "", false},
	{"/boot/config-", "", true},
	{"/lib/modules/", "/config", true},
	{"/usr/lib/modules/", "/config", true},
	{"/lib/modules/", "/build/.config", true},
	{"/lib/modules/", "/kernel/kernel/configs.ko", true},
	{"/lib/modules/", "/kernel/kernel/configs.ko.gz", true},
	{"/lib/modules/", "/kernel/kernel/configs.ko.xz", true},
	{"/lib/modules/", "/kernel/kernel/configs.ko.zst", true},
	{"/boot/vmlinuz-", "", true},
	{"/lib/modules/", "/vmlinuz", true},
	{"/usr/lib/modules/", "/vmlinuz", true},
};

int kernel_config_read_running_below(const char *root, const char *release,
	struct kernel_config *ret_config, struct caisson_error *err)
{
	struct caisson_error closed = {0};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_kernel_config_ struct kernel_config config = KERNEL_CONFIG_NONE;
		_cleanup_free_ char *path = format_string("%s%s%s%s", root, places[i].place,
			places[i].release ? release : "", places[i].end);
		struct caisson_error why = {0};
		int r;

		if (path == NULL)
			return caisson_fail(err, ENOMEM, "find the configuration");
		r = read_path(path, &config, &why);
		if (r == 0) {
			give(ret_config, &config);
			return 0;
		}
		if (r == -EACCES || r == -EPERM)
			closed = why;
		else if (r != -ENOENT && r != -ENOTDIR && r != -ENOMSG) {
			if (err != NULL)
				*err = why;
			return r;
		}
	}
	if (closed.code != 0) {
		if (err != NULL)
			*err = closed;
		return -closed.code;
	}
	caisson_refuse(err, ENOENT,
		"the configuration of the running kernel %s is not to be had: there is no "
		"/proc/config.gz, no /boot/config-%s, none with its modules, and none in its image",
		release, release);
	return caisson_hint(err, "name its .config");
}

int kernel_config_read_running(struct kernel_config *ret_config, struct caisson_error *err)
{
	struct utsname name;

	if (uname(&name) < 0)
		return caisson_fail(err, errno, "ask which kernel runs");
	return kernel_config_read_running_below("", name.release, ret_config, err);
}
