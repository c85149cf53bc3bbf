/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a closure reports of one program: texts are borrowed from the library set. */
#pragma once

#include "closure/load.h"

/* Of a program that was loaded. @named: as it was asked for. */
int program_of_load(const struct load *load, const struct location *named,
	const struct location *wanted_by, struct closure_program *ret_program,
	struct caisson_error *err);
/* Of one that was not: static, a script, or without its interpreter (whose @failure is a problem
   then; else NULL). */
int program_alone(struct library_set *set, const struct location *named,
	const struct location *program, const struct location *wanted_by,
	const struct caisson_error *failure, struct closure_program *ret_program,
	struct caisson_error *err);
/* Adds what @load found wrong and @program has not got yet. */
int program_add_problems(
	struct closure_program *program, const struct load *load, struct caisson_error *err);
void program_done(struct closure_program *program);
