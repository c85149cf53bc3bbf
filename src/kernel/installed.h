/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Kernels that were built here: STATE/kernels/NAME/ with bzImage, vmlinux (stripped, for PVH),
 * config and manifest.json. A folder is whole from the moment it has its name and never changes.
 * The link STATE/kernels/default leads to the one that machines get when none is named.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/state.h"
#include "base/strbuf.h"
#include "kernel/kernel.h"

#define KERNEL_INSTALLED_FOLDER "kernels"
#define KERNEL_DEFAULT_LINK     "default"
#define KERNEL_BZIMAGE          "bzImage"
#define KERNEL_VMLINUX          "vmlinux"
#define KERNEL_CONFIG           "config"
#define KERNEL_MANIFEST         "manifest.json"

struct kernel_installed {
	char *name;
	char *folder;
	char *release, *profile;
	char *source;          /* what it was built from; NULL: not known */
	struct strv arguments; /* what its profile puts on the kernel command line */
	uint64_t bzimage_size, vmlinux_size;
	struct timespec when;
	bool is_default;
};

struct kernel_installed_list {
	struct kernel_installed *items; /* the newest first */
	size_t count;
};

#define KERNEL_INSTALLED_LIST_NONE ((struct kernel_installed_list){NULL, 0})

/* RELEASE-PROFILE-HASH: can be a folder's name, and no option. */
bool kernel_installed_name_valid(const char *name);
/* The folder of the one called @name, or of the default one when @name is NULL. 1, or 0 when there
   is none. */
int kernel_installed_folder(
	const struct state *state, const char *name, char **ret_folder, struct caisson_error *err);
/* What cannot be read is left out, with a warning. */
int kernel_installed_list(const struct state *state, const struct caisson_log *log,
	struct kernel_installed_list *ret_list, struct caisson_error *err);
void kernel_installed_list_done(struct kernel_installed_list *list);
/* The manifest of the kernel in @folder. */
int kernel_installed_read(
	const char *folder, struct kernel_installed *ret_installed, struct caisson_error *err);
void kernel_installed_done(struct kernel_installed *installed);
/* With the lock on the folder of kernels. */
int kernel_installed_set_default(
	const struct state *state, const char *name, struct caisson_error *err);
/* The same for one that is there: -ENOENT. */
int kernel_installed_choose(const struct state *state, const char *name, struct caisson_error *err);
/* Machines that run have it open and keep it. The newest that is left is the default, if this one
   was. -ENOENT. */
int kernel_installed_remove(const struct state *state, const char *name, struct caisson_error *err);

#define _cleanup_kernel_installed_list_ _cleanup_(kernel_installed_list_done)
#define _cleanup_kernel_installed_      _cleanup_(kernel_installed_done)
