/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where caisson's own programs and preloaded libraries are. */
#pragma once

#include <caisson/error.h>

#define ATTACH_SERVER "caisson-attach"
#define ATTACH_E2IO   "caisson-e2io.so"

/* In @folder; NULL: beside the program that runs (as in a build folder), else where caisson was
   installed. -ENOENT with a sentence. */
int attach_program(
	const char *folder, const char *name, char **ret_path, struct caisson_error *err);
