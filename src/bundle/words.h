/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of a manifest, by the values that they stand for. */
#pragma once

#include "bundle/bundle.h"

static const char *const words_layout[] = {
	[CAISSON_BUNDLE_SAME] = "same",
	[CAISSON_BUNDLE_FLAT] = "flat",
};

static const char *const words_kind[] = {
	[CAISSON_BUNDLE_FILE] = "file",
	[CAISSON_BUNDLE_SYMLINK] = "symlink",
	[CAISSON_BUNDLE_FOLDER] = "folder",
};

static const char *const words_dlopen[] = {
	[CLOSURE_DLOPEN_NONE] = "none",
	[CLOSURE_DLOPEN_REQUIRED] = "required",
	[CLOSURE_DLOPEN_RECOMMENDED] = "recommended",
	[CLOSURE_DLOPEN_ALL] = "all",
};
