/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/state.h"

/* Copies the result in @folder to STATE/kernels/@name, and makes it the default. What is there
   under that name already is the same, and stays. *ret_folder is owned by the caller. */
int install_kernel(const struct state *state, const char *folder, const char *name,
	char **ret_folder, bool *ret_known, struct caisson_error *err);
/* Copies it into @to, which is made when it is missing; each file is replaced as a whole, the
   manifest last. */
int install_copy(const char *folder, const char *to, struct caisson_error *err);
