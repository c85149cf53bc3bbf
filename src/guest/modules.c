/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "boot/modules_list.h"
#include "guest/guest.h"

#define LIST_MOST (1 << 20)

static int load_module(const char *path, const char *parameters, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDONLY, 0, err);

	if (fd < 0)
		return fd;
	/* ENODEV: a driver of something that this processor lacks (aesni_intel without AES). */
	if (syscall(SYS_finit_module, fd, parameters, 0) < 0 && errno != EEXIST && errno != ENODEV)
		return caisson_fail(err, errno, "load the kernel module %s", path);
	/* It has been copied into the kernel: give the initramfs's memory back. */
	(void)unlink(path);
	return 0;
}

/* The host has put the list in load order: nothing is computed here. */
int guest_load_modules(struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf list = STRBUF_INIT;
	char *line, *rest;
	int r;

	r = read_file(INITRAMFS_MODULES_LIST, LIST_MOST, &list, err);
	if (r < 0)
		return r;
	for (line = strtok_r(list.data, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		char *parameters = strchr(line, ' ');

		if (line[0] == '#')
			continue;
		if (parameters != NULL)
			*parameters++ = '\0';
		r = load_module(line, parameters != NULL ? parameters : "", err);
		if (r < 0)
			return r;
	}
	return 0;
}
