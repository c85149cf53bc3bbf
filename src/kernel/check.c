/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "kernel/config.h"
#include "kernel/kernel.h"

static bool in_modules(const struct kernel_papers *papers, const char *module)
{
	return kernel_modules_contain(papers->dep.data, papers->dep.size, module) ||
	       kernel_modules_contain(papers->builtin.data, papers->builtin.size, module);
}

bool kernel_meets(const struct kernel_papers *papers, const struct kernel_requirement *requirement)
{
	char value;

	if (!papers->has_config) {
		/* Without a .config, only the modules folder speaks, and only of modules. */
		if (requirement->module == NULL || !papers->has_modules)
			return true;
		return in_modules(papers, requirement->module);
	}
	value = kernel_config_value(papers->config.data, papers->config.size, requirement->option);
	if (value == 'y')
		return true;
	/* The folder is what will be loaded from: it counts for more than the .config. */
	return requirement->module != NULL && papers->has_modules &&
	       in_modules(papers, requirement->module);
}

int kernel_refuse(const struct kernel *kernel, const struct kernel_papers *papers,
	const struct kernel_requirement *requirement, struct caisson_error *err)
{
	bool module_only = papers->has_config && requirement->module != NULL &&
			   kernel_config_value(papers->config.data, papers->config.size,
				   requirement->option) == 'm';
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
				"this one with the option set");
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
			!kernel_meets(&papers, &table[i]))
			return kernel_refuse(kernel, &papers, &table[i], err);
	}
	return 0;
}
