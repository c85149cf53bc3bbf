/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "cli/commands.h"

int cli_guest_programs(char **ret_folder, struct caisson_error *err)
{
	char self[PATH_MAX];
	_cleanup_free_ char *beside = NULL, *installed = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		*strrchr(self, '/') = '\0';
		beside = path_join(self, "caisson-init");
		if (beside != NULL && access(beside, R_OK) == 0) {
			*ret_folder = strdup(self);
			return *ret_folder != NULL ? 0 : caisson_fail(err, ENOMEM, "find it");
		}
	}
	installed = path_join(CAISSON_LIBEXECDIR, "caisson-init");
	if (installed == NULL || access(installed, R_OK) < 0) {
		caisson_refuse(err, ENOENT, "caisson-init is not in %s", CAISSON_LIBEXECDIR);
		return caisson_hint(err, "caisson is not installed whole");
	}
	*ret_folder = strdup(CAISSON_LIBEXECDIR);
	return *ret_folder != NULL ? 0 : caisson_fail(err, ENOMEM, "find caisson-init");
}
