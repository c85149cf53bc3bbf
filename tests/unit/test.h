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

static inline int remove_test_folder(void **state)
{
	int r = remove_tree(*state, NULL);

	free(*state);
	return r;
}

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
