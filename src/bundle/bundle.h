/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bundles: programs with their closures, in a folder or an archive, that run there and need nothing
 * else. A bundle is planned, placed among what stands in the folder already, and written: nothing
 * is changed before it is known that all of it can be. The format is in docs/bundle.md.
 */
#pragma once

#include <caisson/bundle.h>

#include "closure/closure.h"

struct bundle_options {
	struct closure_options closure;
	const char *into;
	const char *const *programs;
	size_t program_count;
	enum caisson_bundle_layout layout;
	bool strip, wrapper, verify, replace, no_manifest;
	int64_t time;
};

int bundle_make(const struct bundle_options *options, const struct caisson_bundle_watcher *watcher,
	struct caisson_bundle_report *ret_report, struct caisson_error *err);
int bundle_check(const char *folder, const char *root,
	int (*each)(const struct caisson_bundle_finding *finding, void *userdata), void *userdata,
	struct caisson_bundle_checked *ret_checked, struct caisson_error *err);
