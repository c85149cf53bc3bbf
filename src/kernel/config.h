/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a kernel has, by its own papers: its .config and its modules folder. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "kernel/config_text.h"
#include "kernel/kernel.h"

/* Whether @name is among the paths at the starts of the lines of modules.dep or modules.builtin.
   '-' and '_' are the same, as everywhere in the kernel, and any ".ko.XX" is fine. */
bool kernel_modules_contain(const char *text, size_t size, const char *name);

/* The papers of one kernel, read once. */
struct kernel_papers {
	struct strbuf config;
	struct strbuf dep;
	struct strbuf builtin;
	bool has_config;
	bool has_modules;
};

int kernel_papers_read(
	const struct kernel *kernel, struct kernel_papers *ret_papers, struct caisson_error *err);
void kernel_papers_done(struct kernel_papers *papers);
enum kernel_state {
	KERNEL_NOT_KNOWN,     /* the papers do not say */
	KERNEL_BUILT_IN,      /* or, of what is to be off: off */
	KERNEL_AS_MODULE,     /* and the modules folder has it */
	KERNEL_MODULE_ABSENT, /* built as a module that is in no folder */
	KERNEL_MISSING,
	KERNEL_NOT_THERE_YET, /* this version does not have the option, and does without */
};

/* What the papers say of @requirement in a kernel of @version (KERNEL_VERSION(); 0: not known). */
enum kernel_state kernel_examine(const struct kernel_papers *papers, unsigned int version,
	const struct kernel_requirement *requirement);
/* Whether @text, a .config, has @requirement as it is wanted, or an option that stands for it. */
bool kernel_config_meets(
	const char *text, size_t size, const struct kernel_requirement *requirement);
/* Whether @requirement is met; what nobody knows of counts as met. */
bool kernel_meets(const struct kernel *kernel, const struct kernel_papers *papers,
	const struct kernel_requirement *requirement);
/* Records the refusal for one that is not met: -ENOTSUP. */
int kernel_refuse(const struct kernel *kernel, const struct kernel_papers *papers,
	const struct kernel_requirement *requirement, struct caisson_error *err);

#define _cleanup_kernel_papers_ _cleanup_(kernel_papers_done)
