/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "cli/commands.h"

/* build/guest/static, beside this program in a build folder. */
static int beside_self(char **ret_folder, struct caisson_error *err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return caisson_fail(err, errno, "find this program");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	*ret_folder = path_join(self, "guest/" CAISSON_GUEST);
	return *ret_folder != NULL ? 0 : caisson_fail(err, ENOMEM, "find caisson-init");
}

static bool has_init(const char *folder)
{
	_cleanup_free_ char *path = path_join(folder, "caisson-init");

	return path != NULL && access(path, R_OK) == 0;
}

int cli_guest_programs(char **ret_folder, struct caisson_error *err)
{
	const char *named = getenv("CAISSON_GUEST");
	_cleanup_free_ char *beside = NULL;
	const char *folder = CAISSON_LIBEXECDIR "/" CAISSON_GUEST;

	if (named != NULL && named[0] != '\0') {
		folder = named;
	} else {
		int r = beside_self(&beside, err);

		if (r < 0)
			return r;
		if (has_init(beside))
			folder = beside;
	}
	if (!has_init(folder)) {
		caisson_refuse(err, ENOENT, "caisson-init is not in %s", folder);
		return caisson_hint(err, folder == named ? "CAISSON_GUEST names that folder"
							 : "caisson is not installed whole");
	}
	*ret_folder = strdup(folder);
	return *ret_folder != NULL ? 0 : caisson_fail(err, ENOMEM, "find caisson-init");
}
