/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a kernel, or a configuration alone, has of what is asked of it. */
#pragma once

#include <caisson/error.h>

#include "kernel/config.h"
#include "kernel/kernel.h"

/* A kernel with its papers: also one of which there is only the configuration. */
struct kernel_survey {
	struct kernel kernel; /* path NULL when there is a configuration alone */
	struct kernel_papers papers;
	unsigned int version; /* KERNEL_VERSION(), 0 when it is not known */
	char *origin;         /* where the configuration was found; NULL when there is none */
};

#define KERNEL_SURVEY_NONE ((struct kernel_survey){.kernel = KERNEL_NONE})

/*
 * @path: a kernel, or anything that holds a configuration (kernel_config_read()), or NULL for the
 * kernel that kernel_find() would take. @modules: a folder with modules.dep, or NULL for the one
 * of the kernel's release.
 */
int kernel_survey(const char *path, const char *modules, struct kernel_survey *ret_survey,
	struct caisson_error *err);
/* The running kernel. */
int kernel_survey_running(
	const char *modules, struct kernel_survey *ret_survey, struct caisson_error *err);
void kernel_survey_done(struct kernel_survey *survey);

#define _cleanup_kernel_survey_ _cleanup_(kernel_survey_done)
