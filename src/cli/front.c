/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program "caisson". It has those commands itself that are done before the libraries of the
 * others would be loaded (half a hundred, 5 ms): what reads ELF files. All others are in
 * caisson-commands, which takes its place.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/strbuf.h"
#include "cli/commands.h"
#include "cli/runner.h"

#define OTHER_PROGRAM "caisson-commands"

/* Nothing here opens a state. */
void caisson_close(struct caisson *caisson _unused_)
{
}

/* Beside this program in a build folder, else where it was installed. */
static char *find_other(void)
{
	char self[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	_cleanup_free_ char *beside = NULL;

	if (size > 0) {
		self[size] = '\0';
		*strrchr(self, '/') = '\0';
		beside = path_join(self, OTHER_PROGRAM);
		if (beside != NULL && access(beside, X_OK) == 0)
			return take_ptr(beside);
	}
	return path_join(CAISSON_LIBEXECDIR, OTHER_PROGRAM);
}

static int start_other(char **argv)
{
	_cleanup_free_ char *other = find_other();

	if (other != NULL)
		execv(other, argv);
	fprintf(stderr, "caisson: start %s: %s\n  hint: caisson is not installed whole\n",
		other != NULL ? other : OTHER_PROGRAM, strerror(errno));
	return STATUS_FAILED;
}

static char **started_as;

/* Takes digests: a library's work. */
int cli_bundle_check(const char *folder _unused_, const char *root _unused_, bool json _unused_,
	struct caisson_error *err _unused_)
{
	return start_other(started_as);
}

int main(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], command_closure.name) != 0)
		return start_other(argv);
	/* Short-lived: memory is not given back in between. */
	mallopt(M_TOP_PAD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	cli_begin();
	started_as = argv;
	return cli_run(&command_closure, NULL, argc - 2, argv + 2);
}
