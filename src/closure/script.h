/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first line of a script, as the kernel reads it (fs/binfmt_script.c). */
#pragma once

#include "closure/library.h"

/* The interpreter's path, a text of the set's. @shebang: what stands behind "#!". */
int script_interpreter(struct library_set *set, const char *shebang, const char **ret_path,
	struct caisson_error *err);
/*
 * The program that "env" would start in turn, searched for in the folders that programs stand in;
 * a text of the set's. NULL when the interpreter is another one, or names none. -ENOENT.
 */
int script_env_program(struct library_set *set, const char *shebang, const char **ret_path,
	struct caisson_error *err);
