/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A kernel's configuration, from whatever holds one. What a file is, its content tells. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "kernel/image.h"

/* Bytes of a configuration; a distribution's has 250 KiB. */
enum { KERNEL_CONFIG_MOST = 16 << 20 };

enum kernel_config_where {
	KERNEL_CONFIG_FILE,     /* the file is one: a .config, /proc/config.gz, /boot/config-* */
	KERNEL_CONFIG_EMBEDDED, /* in a kernel's image, or in its module configs.ko */
	KERNEL_CONFIG_BESIDE,   /* the image holds none, and a file beside it is one */
};

struct kernel_config {
	struct strbuf text; /* with no NUL in it, and at least one option */
	enum kernel_config_where where;
	char *path; /* the file that holds it */
};

#define KERNEL_CONFIG_NONE ((struct kernel_config){STRBUF_INIT, KERNEL_CONFIG_FILE, NULL})

/*
 * From a configuration, packed or not; a bzImage, a vmlinux (ELF or raw, packed or not) or
 * configs.ko that hold theirs (CONFIG_IKCONFIG); or else from the file beside such a kernel, where
 * kernel_find() sees it. gzip, bzip2, lzma, xz, lzo, lz4 and zstd are read. A pipe is read to its
 * end.
 * -ENOMSG for a kernel with none, -EBADMSG for what is damaged or no configuration, -EFBIG for what
 * is too large.
 */
int kernel_config_read(
	const char *path, struct kernel_config *ret_config, struct caisson_error *err);
/* That of the running kernel: /proc/config.gz, the files that its package has, the module
   configs.ko, its image. -ENOENT with all of the places when there is none. */
int kernel_config_read_running(struct kernel_config *ret_config, struct caisson_error *err);
/* The same of the system in the folder @root ("" for this one), which runs @release. */
int kernel_config_read_running_below(const char *root, const char *release,
	struct kernel_config *ret_config, struct caisson_error *err);
void kernel_config_done(struct kernel_config *config);

/* From an open file, and nothing beside it. Appends to @text. */
int kernel_config_read_fd(int fd, const char *what, struct strbuf *text,
	enum kernel_config_where *ret_where, struct caisson_error *err);
/* The release in a configuration's first lines ("# Linux/x86 6.1.192 Kernel Configuration");
   false when it has none. */
bool kernel_config_release(const char *text, size_t size, char ret_release[KERNEL_RELEASE_SIZE]);

#define _cleanup_kernel_config_ _cleanup_(kernel_config_done)
