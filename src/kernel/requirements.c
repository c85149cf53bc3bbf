/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/requirements.h"

#include <string.h>

#include "base/macros.h"
#include "kernel-tables.h"

const struct kernel_requirement *kernel_requirements(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(requirements);
	return requirements;
}

const struct kernel_profile *kernel_profiles(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(profiles);
	return profiles;
}

const struct kernel_profile *kernel_profile(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	}
	return NULL;
}

int kernel_profile_place(
	const struct kernel_profile *profile, const struct kernel_requirement *requirement)
{
	for (size_t i = 0; i < profile->fragment_count; i++) {
		if (strcmp(profile->fragments[i], requirement->fragment) == 0)
			return (int)i;
	}
	return -1;
}

bool kernel_profile_overrides(const struct kernel_profile *profile,
	const struct kernel_requirement *requirement, unsigned int version)
{
	int place = kernel_profile_place(profile, requirement);

	for (size_t i = 0; i < ARRAY_SIZE(requirements); i++) {
		const struct kernel_requirement *other = &requirements[i];
		int behind = kernel_profile_place(profile, other);

		if ((behind > place || (behind == place && other > requirement)) &&
			strcmp(other->option, requirement->option) == 0 &&
			strcmp(other->value, requirement->value) != 0 &&
			kernel_requirement_applies(other, version))
			return true;
	}
	return false;
}

bool kernel_requirement_applies(const struct kernel_requirement *requirement, unsigned int version)
{
	return version == 0 || ((requirement->since == 0 || version >= requirement->since) &&
				       (requirement->until == 0 || version < requirement->until));
}
