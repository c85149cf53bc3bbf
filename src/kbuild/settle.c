/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/settle.h"

#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "kernel/config.h"
#include "kernel/config_read.h"

/* What the profile has for size alone is no reason to stop: with a base, much of it is lost. */
static bool is_needed(const struct kernel_profile *profile, const struct configure_fault *fault)
{
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	bool known = false;

	if (fault->optional)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(table[i].option, fault->option) != 0 ||
			strcmp(table[i].fragment, fault->from) != 0 ||
			kernel_profile_place(profile, &table[i]) < 0)
			continue;
		known = true;
		if (table[i].feature != 0 && !table[i].optional)
			return true;
	}
	/* Else it is from a file of the user's. */
	return !known;
}

static int judge(const struct settle_options *options, const struct configure_result *result,
	struct caisson_error *err)
{
	const struct configure_fault *first = NULL;
	size_t needed = 0;

	for (size_t i = 0; i < result->overridden.count; i++)
		log_warning(options->log, "%s is not as the profile has it: %s",
			result->overridden.items[i].option, result->overridden.items[i].why);
	for (size_t i = 0; i < result->lost.count; i++) {
		const struct configure_fault *fault = &result->lost.items[i];

		log_warning(options->log, "%s is lost: %s%s%s", fault->option, fault->why,
			fault->reason != NULL ? "; " : "",
			fault->reason != NULL ? fault->reason : "");
		if (!is_needed(options->profile, fault))
			continue;
		if (first == NULL)
			first = fault;
		needed++;
	}
	if (first == NULL)
		return 0;
	caisson_refuse(err, ENOTSUP,
		"%zu option%s cannot be had from this source, the first is %s: %s", needed,
		needed > 1 ? "s that are needed" : " that is needed", first->option, first->why);
	return caisson_hint(err, "'caisson kernel config' tells more of what got lost, and why");
}

int settle_config(const struct settle_options *options, struct caisson_error *err)
{
	_cleanup_configure_ struct configure_result result = CONFIGURE_RESULT_NONE;
	_cleanup_kernel_config_ struct kernel_config base = KERNEL_CONFIG_NONE;
	struct configure_options configuring = {.source = options->source,
		.tree = options->tree,
		.profile = options->profile,
		.fragments = options->fragments,
		.lock = options->lock};
	int r = 0;

	/* As "caisson kernel config" has it. */
	if (options->base != NULL && strcmp(options->base, "none") != 0) {
		r = kernel_config_read(options->base, &base, err);
		configuring.base = base.text.data;
		configuring.base_size = base.text.size;
	}
	if (r == 0)
		r = configure_run(&configuring, &result, err);
	return r == 0 ? judge(options, &result, err) : r;
}

int settled_config(const char *tree, struct strbuf *text, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(tree, ".config");

	return path != NULL ? read_file(path, KERNEL_CONFIG_MOST, text, err)
			    : caisson_fail(err, ENOMEM, "read the configuration");
}

int settle_look_again(const struct settle_options *options, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	int r = settled_config(options->tree, &text, err);
	char release[KERNEL_RELEASE_SIZE] = "";
	unsigned int version;

	if (r < 0)
		return r;
	version = kernel_config_release(text.data, text.size, release)
			  ? kernel_release_version(release)
			  : 0;
	for (size_t i = 0; i < count; i++) {
		if (kernel_profile_place(options->profile, &table[i]) >= 0 &&
			table[i].feature != 0 && kernel_requirement_applies(&table[i], version) &&
			!kernel_config_meets(text.data, text.size, &table[i]))
			log_warning(options->log, "%s is not as the profile has it: %s",
				table[i].option, table[i].reason);
	}
	return 0;
}
