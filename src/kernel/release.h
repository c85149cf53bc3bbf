/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Releases ("6.1.0-56-cloud-amd64") and versions (6.1) of Linux. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#define KERNEL_RELEASE_SIZE 65 /* __NEW_UTS_LEN and its NUL */

/* Versions as one number that can be compared: major and minor. */
#define KERNEL_VERSION(major, minor)  ((major)*1000u + (minor))
#define KERNEL_VERSION_MAJOR(version) ((version) / 1000u)
#define KERNEL_VERSION_MINOR(version) ((version) % 1000u)

/* A release that can be part of a path: it starts with a digit and has no slash. */
bool kernel_release_valid(const char *release);
/* Orders releases by their numbers: 6.1.9 before 6.1.10, 6.2.0-rc1 before 6.2.0. As strcmp(). */
int kernel_release_compare(const char *a, const char *b);
/* KERNEL_VERSION() of a release or 0. */
unsigned int kernel_release_version(const char *release);
/* The "6.1" at the start of @text, as KERNEL_VERSION(), and what stands behind it; NULL when there
   is none. */
const char *kernel_version_parse(const char *text, unsigned int *ret_version);
/* The release that a source's Makefile gives in VERSION, PATCHLEVEL, SUBLEVEL and EXTRAVERSION:
   "6.1.192", "6.12.0-rc3", shorter than KERNEL_RELEASE_SIZE. -EINVAL when it gives none. */
int kernel_makefile_release(
	const char *makefile, size_t size, char **ret_release, struct caisson_error *err);
