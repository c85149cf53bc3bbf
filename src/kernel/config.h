/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a kernel has, by its own papers: its .config and its modules folder. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "kernel/kernel.h"

/* The value of @option ("CONFIG_EXT4_FS") in the text of a .config: 'y', 'm', 'n' for one that is
   not set or not mentioned, or 's' for any other value. Of repeated lines the last counts. */
char kernel_config_value(const char *text, size_t size, const char *option);
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
/* Whether the papers say that @requirement is met; what nobody knows of counts as met. */
bool kernel_meets(const struct kernel_papers *papers, const struct kernel_requirement *requirement);
/* Records the refusal for one that is not met: -ENOTSUP. */
int kernel_refuse(const struct kernel *kernel, const struct kernel_papers *papers,
	const struct kernel_requirement *requirement, struct caisson_error *err);

#define _cleanup_kernel_papers_ _cleanup_(kernel_papers_done)
