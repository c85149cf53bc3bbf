/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>

#include "guest/guest.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "broken line\n"
			     "noid:x::5::/n:/bin/sh\n"
			     "app:x:1000:1001::/srv/app:/bin/sh\n"
			     "nohome:x:1002:1002";
static const char group[] = "root:x:0:\n"
			    "web:x:33:nobody,app\n"
			    "apps:x:1001:app\n"
			    "audio:x:29:application,xapp,app";

static int resolve(const char *user, struct account *account, struct caisson_error *err)
{
	return account_resolve(
		user, passwd, sizeof(passwd) - 1, group, sizeof(group) - 1, account, err);
}

static void test_names_and_numbers(void **state _unused_)
{
	static const struct {
		const char *user;
		unsigned int uid, gid;
		size_t groups;
		const char *home;
	} cases[] = {
		{"", 0, 0, 1, "/root"},
		{"root", 0, 0, 1, "/root"},
		{"app", 1000, 1001, 3, "/srv/app"},
		{"1000", 1000, 1001, 3, "/srv/app"},
		{"app:web", 1000, 33, 3, "/srv/app"},
		{"app:5", 1000, 5, 4, "/srv/app"},
		{"4242", 4242, 0, 1, "/"},
		{"4242:17", 4242, 17, 1, "/"},
		{"nohome", 1002, 1002, 1, "/"},
		{":web", 0, 33, 1, "/root"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_account_ struct account account = {0};
		struct caisson_error err = {0};

		assert_ok(resolve(cases[i].user, &account, &err), &err);
		assert_int_equal(account.uid, cases[i].uid);
		assert_int_equal(account.gid, cases[i].gid);
		assert_int_equal(account.group_count, cases[i].groups);
		assert_int_equal(account.groups[0], account.gid);
		assert_string_equal(account.home, cases[i].home);
	}
}

static void test_refusals(void **state _unused_)
{
	static const char *const bad[] = {
		"nobody-here", "app:nogroup", "4294967295", "99999999999", "-1", "noid", "x:y:z"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_account_ struct account account = {0};
		struct caisson_error err = {0};

		assert_refused(resolve(bad[i], &account, &err), &err, ENOENT);
	}
}

static void test_image_without_accounts(void **state _unused_)
{
	_cleanup_account_ struct account account = {0}, other = {0};
	struct caisson_error err = {0};

	assert_ok(account_resolve("7:8", "", 0, "", 0, &account, &err), &err);
	assert_int_equal(account.uid, 7);
	assert_refused(account_resolve("app", "", 0, "", 0, &other, &err), &err, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_numbers),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_image_without_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
