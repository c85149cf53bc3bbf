/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Building a kernel from its source:
 *
 *   STATE/kernel-builds/PROFILE-HASH/tree/     what make makes (O=), kept for the next build
 *   STATE/kernel-builds/PROFILE-HASH/make.log  what it said
 *   STATE/kernel-builds/PROFILE-HASH/result/   bzImage, vmlinux (stripped), config, manifest.json
 *
 * HASH is of the source's folder. PROFILE-HASH is locked by who builds there, and by every process
 * of the build: what a killed one has left running ends before the next begins.
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <stdbool.h>
#include <stdint.h>

#include "kbuild/source.h"
#include "kbuild/watch.h"
#include "kernel/installed.h"

struct kbuild_options {
	const char *source, *version, *sha256; /* see struct source_options */
	const char *profile;                   /* NULL: "minimal" */
	const char *base;                      /* a .config to begin with; NULL: none */
	const struct strv *fragments;          /* files on top of the profile; may be NULL */
	unsigned int jobs;                     /* 0: as many as there are processors */
	bool clean;                            /* nothing of an earlier build is used */
	bool menuconfig;
	bool no_install;
	const char *output; /* folder that gets the result, too; NULL: none */
	int64_t date;       /* SOURCE_DATE_EPOCH; 0: that of the source */
	/* "NAME=value" that make and apt get: HOME, CCACHE_DIR, proxies. NULL-terminated, may be
	   NULL. */
	const char *const *environment;
	const struct caisson_log *log;
	const struct kbuild_watch *watch;
};

struct kbuild_result {
	struct kernel_installed kernel; /* its folder: where it is installed, or the result's */
	bool installed;                 /* false with no_install */
	bool known;                     /* the very same one was installed already */
	bool pvh;                       /* vmlinux can be started through PVH */
	uint64_t bzimage_before,
		vmlinux_before; /* of the last build of the profile; 0: none is known */
	char *symbols;          /* the vmlinux that has its symbols */
};

int kbuild_run(const struct state *state, const struct kbuild_options *options,
	struct kbuild_result *ret_result, struct caisson_error *err);
void kbuild_result_done(struct kbuild_result *result);
