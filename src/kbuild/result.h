/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a build leaves: checked, stripped, described. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/strbuf.h"
#include "kbuild/source.h"

struct result_options {
	const char *tree;
	const char *profile;
	const struct strv *arguments; /* of the profile, for the kernel command line */
	const struct kernel_source *source;
	int64_t date;
};

/* Whether what was built has the configuration that was asked for, and the same release in all its
   parts. *ret_release is owned by the caller. */
int result_check(const char *tree, char **ret_release, bool *ret_pvh, struct caisson_error *err);
/* Fills the empty folder @folder: bzImage, vmlinux without symbols, config, manifest.json, all on
   the disk. *ret_name is RELEASE-PROFILE-HASH, of what they hold. */
int result_write(const struct result_options *options, const char *release, const char *folder,
	char **ret_name, struct caisson_error *err);
