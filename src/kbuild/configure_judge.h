/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What became of what was wanted. */
#pragma once

#include "kbuild/configure.h"
#include "kbuild/wanted.h"
#include "kconfig/kconfig.h"

/* Fills all of @result but its version and text from its text. */
int configure_judge(const struct configure_options *options, const struct kconfig *tree,
	const struct wanted *wanted, struct configure_result *result, struct caisson_error *err);
