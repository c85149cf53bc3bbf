/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Machines' folders: whose they are, and what a sweep takes. */
#include "test.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/machine.h"

static struct state open_state(const char *folder)
{
	struct state store = STATE_NONE;
	struct caisson_error err = {0};

	assert_ok(state_open(&store, folder, folder, &err), &err);
	return store;
}

static void test_life(void **state)
{
	_cleanup_state_ struct state store = open_state(*state);
	_cleanup_machine_folder_ struct machine_folder first = MACHINE_FOLDER_NONE;
	_cleanup_machine_folder_ struct machine_folder second = MACHINE_FOLDER_NONE;
	struct caisson_error err = {0};

	assert_ok(machine_folder_new(&store, "web", NULL, &first, &err), &err);
	machine_sweep(&store);
	assert_int_equal(access(first.path, F_OK), 0);
	assert_refused(machine_folder_new(&store, "web", NULL, &second, &err), &err, EEXIST);
	assert_ok(machine_folder_end(&first, 0, false, &err), &err);
	machine_folder_done(&first);
	machine_sweep(&store);

	/* One that has ended gives its name away; one that was killed leaves nothing. */
	assert_ok(machine_folder_new(&store, "web", NULL, &second, &err), &err);
	machine_sweep(&store);
	assert_int_equal(access(second.path, F_OK), 0);
	close(second.lock);
	second.lock = -1;
	machine_sweep(&store);
	assert_int_equal(access(second.path, F_OK), -1);
}

/* Sweepers and machines at once: nobody's folder goes while it has it. */
static void run_machines(const struct state *store)
{
	for (int i = 0; i < 200; i++) {
		_cleanup_machine_folder_ struct machine_folder folder = MACHINE_FOLDER_NONE;

		if (machine_folder_new(store, NULL, "m", &folder, NULL) < 0)
			_exit(1);
		machine_sweep(store);
		if (access(folder.path, F_OK) < 0)
			_exit(2);
		/* Every other one is killed. */
		if (i % 2 == 0 && machine_folder_end(&folder, 0, false, NULL) < 0)
			_exit(3);
	}
	_exit(0);
}

static void test_race(void **state)
{
	_cleanup_state_ struct state store = open_state(*state);
	int status;

	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			run_machines(&store);
	}
	for (int i = 0; i < 4; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_race),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
