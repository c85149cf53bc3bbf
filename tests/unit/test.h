/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every unit test includes: cmocka with the headers it wants, and a private folder. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "base/path.h"

/* For group fixtures: makes a folder under $TMPDIR or /tmp; *state is its path. */
static inline int make_test_folder(void **state)
{
	const char *parent = getenv("TMPDIR");
	char *path = path_join(parent != NULL ? parent : "/tmp", "caisson-test-XXXXXX");

	if (path == NULL || mkdtemp(path) == NULL)
		return -1;
	*state = path;
	return 0;
}

/* In memory, where there is room: for what wants no disk, of which a busy one makes thousands of
   syncs slow. */
static inline int make_test_folder_in_memory(void **state)
{
	struct statvfs room;

	if (getenv("TMPDIR") == NULL && statvfs("/dev/shm", &room) == 0 &&
		room.f_bavail * room.f_bsize > 2ull << 30)
		(void)setenv("TMPDIR", "/dev/shm", 1);
	return make_test_folder(state);
}

static inline int remove_test_folder(void **state)
{
	int r = remove_tree(*state, NULL);

	free(*state);
	return r;
}

/* Ends the test without a verdict, and says why (a format and its arguments). */
#define leave_out(...) \
	do { \
		print_message("# left out: " __VA_ARGS__); \
		print_message("\n"); \
		skip(); \
	} while (0)

/* The call succeeds, or the test fails and shows why. */
#define assert_ok(call, error) \
	do { \
		if ((call) < 0) \
			fail_msg("%s: %s", #call, (error)->message); \
	} while (0)
/* The call fails with this errno, and says something. */
#define assert_refused(call, error, wanted) \
	do { \
		assert_int_equal((call), -(wanted)); \
		assert_int_not_equal((error)->message[0], '\0'); \
	} while (0)
