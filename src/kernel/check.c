/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "kernel/config.h"
#include "kernel/kernel.h"

/* Whether @options, a set of them between spaces up to @end, are all set. */
static bool all_set(const char *text, size_t size, const char *options, const char *end)
{
	while (options < end) {
		size_t length = MIN(strcspn(options, " "), (size_t)(end - options));
		char name[128];

		if (length >= sizeof(name))
			return false;
		memcpy(name, options, length);
		name[length] = '\0';
		if (kernel_config_value(text, size, name) == 'n')
			return false;
		options += length;
		options += strspn(options, " ");
	}
	return true;
}

static bool alternative_met(const char *text, size_t size, const char *alternatives)
{
	while (alternatives != NULL) {
		const char *stop = strchr(alternatives, '|');

		if (all_set(text, size, alternatives,
			    stop != NULL ? stop : alternatives + strlen(alternatives)))
			return true;
		alternatives = stop != NULL ? stop + 1 : NULL;
	}
	return false;
}

bool kernel_config_meets(
	const char *text, size_t size, const struct kernel_requirement *requirement)
{
	size_t length = 0;
	const char *value = kernel_config_text(text, size, requirement->option, &length);

	if (strcmp(requirement->value, "n") == 0)
		return value == NULL || (length == 1 && *value == 'n');
	if (value != NULL && length == strlen(requirement->value) &&
		memcmp(value, requirement->value, length) == 0)
		return true;
	return alternative_met(text, size, requirement->alternatives);
}

enum kernel_state kernel_examine(const struct kernel_papers *papers, unsigned int version,
	const struct kernel_requirement *requirement)
{
	const char *module = strcmp(requirement->value, "y") == 0 ? requirement->module : NULL;
	bool folder = module != NULL && papers->has_modules;

	if (!kernel_requirement_applies(requirement, version))
		return KERNEL_NOT_THERE_YET;
	/* Without a .config, only the modules folder speaks, and only of modules. */
	if (!papers->has_config && !folder)
		return KERNEL_NOT_KNOWN;
	if (papers->has_config &&
		kernel_config_meets(papers->config.data, papers->config.size, requirement))
		return KERNEL_BUILT_IN;
	/* The folder is what will be loaded from: it counts for more than the .config. */
	if (folder && kernel_modules_contain(papers->builtin.data, papers->builtin.size, module))
		return KERNEL_BUILT_IN;
	if (folder && kernel_modules_contain(papers->dep.data, papers->dep.size, module))
		return KERNEL_AS_MODULE;
	if (module != NULL && papers->has_config &&
		kernel_config_value(
			papers->config.data, papers->config.size, requirement->option) == 'm')
		return KERNEL_MODULE_ABSENT;
	return KERNEL_MISSING;
}

bool kernel_meets(const struct kernel *kernel, const struct kernel_papers *papers,
	const struct kernel_requirement *requirement)
{
	enum kernel_state state =
		kernel_examine(papers, kernel_release_version(kernel->release), requirement);

	return state != KERNEL_MISSING && state != KERNEL_MODULE_ABSENT;
}

int kernel_refuse(const struct kernel *kernel, const struct kernel_papers *papers,
	const struct kernel_requirement *requirement, struct caisson_error *err)
{
	unsigned int version = kernel_release_version(kernel->release);
	bool module_only = kernel_examine(papers, version, requirement) == KERNEL_MODULE_ABSENT;
	int r;

	if (module_only)
		r = caisson_refuse(err, ENOTSUP,
			"the kernel %s has %s as the module %s, which is not in %s: %s",
			kernel->release, requirement->option, requirement->module,
			papers->has_modules ? kernel->modules : "any folder that was given",
			requirement->reason);
	else if (requirement->module != NULL)
		r = caisson_refuse(err, ENOTSUP, "the kernel %s has no %s (module %s): %s",
			kernel->release, requirement->option, requirement->module,
			requirement->reason);
	else
		r = caisson_refuse(err, ENOTSUP, "the kernel %s has no %s: %s", kernel->release,
			requirement->option, requirement->reason);
	(void)caisson_hint(err, "use another kernel (Debian: linux-image-cloud-amd64), or build "
				"this one with the option set: caisson kernel build");
	return r;
}

int kernel_check(const struct kernel *kernel, unsigned int features, struct caisson_error *err)
{
	_cleanup_kernel_papers_ struct kernel_papers papers = {0};
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	int r;

	r = kernel_papers_read(kernel, &papers, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		if ((table[i].feature & features) != 0 && !table[i].optional &&
			!kernel_meets(kernel, &papers, &table[i]))
			return kernel_refuse(kernel, &papers, &table[i], err);
	}
	return 0;
}
