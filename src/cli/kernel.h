/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the commands of "caisson kernel" share. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/strbuf.h"
#include "kernel/requirements.h"

#define KERNEL_FEATURE_WORDS \
	"base mmio pci volume integrity network vsock tpm verity xfs btrfs erofs fuse container " \
	"observe confidential"

#define KERNEL_PROFILE_WORDS "minimal container observe confidential"

/* Which requirements are meant. */
struct cli_kernel_choice {
	unsigned int features;
	const struct kernel_profile *profile; /* all of its fragments, whatever they are for */
	bool either_way;                      /* mmio or PCI will do: no machine was named */
};

/* @names: of features and machines, between commas; @profile: NULL when none was named. */
int cli_kernel_choose(const struct strv *names, const char *profile,
	struct cli_kernel_choice *ret_choice, struct caisson_error *err);
/* For a kernel of @version (0: not known). */
bool cli_kernel_chosen(const struct cli_kernel_choice *choice,
	const struct kernel_requirement *requirement, unsigned int version);
/* -ENOENT naming those that there are. */
int cli_kernel_profile(
	const char *name, const struct kernel_profile **ret_profile, struct caisson_error *err);

struct json_object;
/* NULL when memory runs out. */
struct json_object *cli_requirement_json(const struct kernel_requirement *requirement);
/* A stranger's text as JSON has it: UTF-8. Leaves the field out when @text is NULL. */
bool cli_json_text(struct json_object *object, const char *field, const char *text);
/* Prints what a stranger may have named, on one line. */
void cli_print_flat(const char *text);
