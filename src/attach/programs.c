/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/programs.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/path.h"

/* NULL when it is not there. */
static char *look_in(const char *folder, const char *name)
{
	_cleanup_free_ char *path = path_join(folder, name);

	return path != NULL && access(path, R_OK) == 0 ? take_ptr(path) : NULL;
}

static char *look_beside_us(const char *name)
{
	char self[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (size <= 0)
		return NULL;
	self[size] = '\0';
	slash = strrchr(self, '/');
	if (slash == NULL)
		return NULL;
	*slash = '\0';
	return look_in(self, name);
}

int attach_program(const char *folder, const char *name, char **ret_path, struct caisson_error *err)
{
	_cleanup_free_ char *path = folder != NULL ? look_in(folder, name) : look_beside_us(name);

	if (path == NULL && folder == NULL)
		path = look_in(CAISSON_LIBEXECDIR, name);
	if (path == NULL) {
		caisson_refuse(err, ENOENT, "%s is not in %s", name,
			folder != NULL ? folder : CAISSON_LIBEXECDIR);
		return caisson_hint(err, "caisson is not installed whole");
	}
	*ret_path = take_ptr(path);
	return 0;
}
