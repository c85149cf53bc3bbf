/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guest kernels: finding one, what it can do, and the form that starts fastest. */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <stdbool.h>

#include "base/state.h"
#include "kernel/requirements.h"

struct kernel {
	char *path;    /* of the image: bzImage or vmlinux */
	char *release; /* "6.1.0-56-cloud-amd64" */
	char *modules; /* folder with modules.dep; NULL when the kernel has none */
	char *config;  /* its .config; NULL when no file was found */
	bool bare;     /* the image was searched, and holds no configuration either */
	char *vmlinux; /* the same kernel for PVH, where it was built with it; else NULL */
};

#define KERNEL_NONE ((struct kernel){NULL, NULL, NULL, NULL, false, NULL})

/*
 * @path: NULL for the newest /boot/vmlinuz-* that has a modules folder (by version number, not by
 * name). @modules: NULL for /lib/modules/RELEASE (or /usr/lib/modules/RELEASE). The release of a
 * given path is read from the image itself (bzImage setup header, or "Linux version" in a vmlinux).
 * A folder is one that "caisson kernel build" has made: bzImage, vmlinux and config.
 */
int kernel_find(const char *path, const char *modules, struct kernel *ret_kernel,
	struct caisson_error *err);
/*
 * The kernel of a machine. @name: NULL for the default one of those that are installed in @state
 * (kernel/installed.h), else as kernel_find() has it; the name of an installed one; or a path.
 * Modules belong to a kernel in /boot: whoever names them without a kernel gets one from there.
 */
int kernel_choose(const struct state *state, const char *name, const char *modules,
	struct kernel *ret_kernel, struct caisson_error *err);
void kernel_done(struct kernel *kernel);

/* -ENOTSUP naming the first option that is missing and what for. A kernel whose modules folder and
   config are both unknown passes: the guest will say what is missing. */
int kernel_check(const struct kernel *kernel, unsigned int features, struct caisson_error *err);

/*
 * For a kernel that has no file with its configuration: takes the one in its image (IKCONFIG),
 * which is kept in the state directory so that the image is searched once. Without this,
 * kernel_check() and kernel_papers_read() search it each time, which takes 0.2 s.
 */
int kernel_keep_config(const struct state *state, struct kernel *kernel,
	const struct caisson_log *log, struct caisson_error *err);

/*
 * The uncompressed vmlinux inside a bzImage, when it can be started through PVH (it carries the
 * XEN_ELFNOTE_PHYS32_ENTRY note): a guest skips decompression. Kept in the state directory by
 * content. *ret_path is NULL when the kernel has no such form. A vmlinux with the note is returned
 * as it is.
 */
int kernel_pvh_image(const struct state *state, const struct kernel *kernel,
	const struct caisson_log *log, char **ret_path, struct caisson_error *err);

#define _cleanup_kernel_ _cleanup_(kernel_done)
