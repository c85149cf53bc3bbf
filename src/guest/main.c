/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main() of every guest program: GUEST_INIT, GUEST_UNLOCK and GUEST_FILESYSTEM say what is linked
   in. */
#include <string.h>

#include "base/macros.h"
#include "guest/programs.h"

/* By the name that it is started under; the first one under any other name, as the kernel names
   PID 1 by where it stands. */
static const struct program {
	const char *name;
	int (*main)(int argc, char **argv);
} programs[] = {
#ifdef GUEST_INIT
	{"init", init_main},
#endif
#ifdef GUEST_UNLOCK
	{"caisson-unlock", unlock_main},
	{"caisson-format", format_main},
#endif
#ifdef GUEST_FILESYSTEM
	{"e2fsck", e2fsck_main},
	{"mke2fs", mke2fs_main},
#endif
};

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? argv[0] : "";
	const char *slash = strrchr(name, '/');

	if (slash != NULL)
		name = slash + 1;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		if (strcmp(programs[i].name, name) == 0)
			return programs[i].main(argc, argv);
	}
	return programs[0].main(argc, argv);
}
