/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's side against a guest that says what it likes: all of it is in the channel beforehand.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "key/protocol.h"
#include "machine/supervise.h"
#include "wire/frame.h"
#include "wire/message.h"

struct scene {
	struct strbuf said, asked; /* by the guest, on either channel */
	struct key_service *keys;
	struct caisson_machine_options options;
	struct caisson_log log;
	struct strbuf logged, received, answered;
	int guest, status;
	struct caisson_error err;
};

static void keep_line(enum caisson_log_level level, const char *text, void *userdata)
{
	struct scene *scene = userdata;

	if (level == CAISSON_LOG_WARNING)
		strbuf_add_format(&scene->logged, "%s\n", text);
}

static struct scene scene_new(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_true(null >= 0);
	return (struct scene){.options = {.input = null, .output = null, .error = null}};
}

static void say(struct scene *scene, uint8_t type, const char *payload, size_t size)
{
	assert_int_equal(frame_put(&scene->said, type, payload, size), 0);
}

/* A process that does nothing until it is killed. */
static pid_t start_nothing(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

/* All that the guest says is in it, and then its end. */
static void open_channel(int pair[2], const struct strbuf *said)
{
	int size = 4 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(write_all(pair[1], said->data, said->size, "frames", NULL), 0);
	assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
}

static int play(struct scene *scene)
{
	int pair[2], keys[2], r;
	struct supervision supervision = {.name = "test",
		.console = -1,
		.key_channel = -1,
		.listener = -1,
		.key_listener = -1,
		.console_log = -1,
		.qemu_log = -1,
		.options = &scene->options,
		.log = &scene->log};

	scene->log = (struct caisson_log){keep_line, scene};
	open_channel(pair, &scene->said);
	open_channel(keys, &scene->asked);
	supervision.key_channel = keys[0];
	supervision.keys = scene->keys;
	supervision.channel = pair[0];
	supervision.qemu = start_nothing();
	scene->status = -1;
	r = supervise(&supervision, &scene->status, &scene->err);
	assert_int_equal(kill(supervision.qemu, 0), -1);
	assert_int_equal(supervision.channel, -1);
	assert_int_equal(read_to_end(pair[1], 4 << 20, "frames", &scene->received, NULL), 0);
	if (supervision.key_channel >= 0)
		close(supervision.key_channel);
	assert_int_equal(read_to_end(keys[1], 4 << 20, "frames", &scene->answered, NULL), 0);
	close(pair[1]);
	close(keys[1]);
	return r;
}

static void scene_done(struct scene *scene)
{
	close(scene->options.input);
	strbuf_done(&scene->said);
	strbuf_done(&scene->asked);
	strbuf_done(&scene->answered);
	strbuf_done(&scene->logged);
	strbuf_done(&scene->received);
}

static void test_output_and_status(void **state _unused_)
{
	struct scene scene = scene_new();
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	/* Both on one pipe, and more than it takes at once beside the other. */
	scene.options.output = scene.options.error = pipes[1];
	say(&scene, MESSAGE_READY, NULL, 0);
	say(&scene, MESSAGE_STARTED, NULL, 0);
	say(&scene, MESSAGE_STDOUT, "hello", 5);
	say(&scene, MESSAGE_STDERR, " there", 6);
	say(&scene, 200, "of a newer guest", 16);
	say(&scene, MESSAGE_ENDED, "\x07", 1);
	assert_int_equal(play(&scene), 7);
	close(pipes[1]);
	assert_int_equal(read_to_end(pipes[0], 100, "output", &text, NULL), 0);
	assert_string_equal(text.data, "hello there");
	close(pipes[0]);
	scene_done(&scene);
}

static void test_failures(void **state _unused_)
{
	static const struct {
		const char *payload;
		size_t size;
		int code, status;
		const char *message, *hint;
	} cases[] = {
		{"\x7f\x02\x00nohint", 9, ENOENT, 127, "no", "hint"},
		{"\x7e\x02\x00no", 5, EACCES, 126, "no", ""},
		/* A guest cannot make a failure look like the workload's own end. */
		{"\x00\x02\x00no", 5, EIO, 125, "no", ""},
		{"\x03\x02\x00no", 5, EIO, 125, "no", ""},
		{"\x7d\x0b\x00\x1b[2J\xc2\x9b"
		 "a\r\n\xc3\xa9",
			14, EIO, 125, "?[2J??a??\xc3\xa9", ""},
		{"\x7d\xff\xffno", 5, EIO, 125, "the guest ended without reporting a status", ""},
		{"\x7d", 1, EIO, 125, "the guest ended without reporting a status", ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene scene = scene_new();

		say(&scene, MESSAGE_READY, NULL, 0);
		say(&scene, MESSAGE_FAILED, cases[i].payload, cases[i].size);
		assert_int_equal(play(&scene), -cases[i].code);
		assert_int_equal(scene.status, cases[i].status);
		assert_string_equal(scene.err.message, cases[i].message);
		assert_string_equal(scene.err.hint, cases[i].hint);
		scene_done(&scene);
	}
}

static void test_output_that_cannot_be_written(void **state _unused_)
{
	struct scene scene = scene_new();
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), pipes[2];

	assert_true(full >= 0);
	scene.options.output = full;
	say(&scene, MESSAGE_STARTED, NULL, 0);
	say(&scene, MESSAGE_STDOUT, "lost", 4);
	say(&scene, MESSAGE_ENDED, "\0", 1);
	assert_refused(play(&scene), &scene.err, ENOSPC);
	assert_int_equal(scene.status, 125);
	close(full);

	/* A reader that had enough is none. */
	strbuf_clear(&scene.received);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	close(pipes[0]);
	signal(SIGPIPE, SIG_IGN);
	scene.options.output = pipes[1];
	assert_int_equal(play(&scene), 0);
	close(pipes[1]);
	scene_done(&scene);
}

static void test_nonsense(void **state _unused_)
{
	struct scene scene = scene_new();

	strbuf_add(&scene.said, "\xff\xff\xff\xff\x03", 5);
	assert_refused(play(&scene), &scene.err, EMSGSIZE);
	assert_int_equal(scene.status, 125);
	scene_done(&scene);
}

/* Nothing that a guest repeats may pile up on the host, or on the user's terminal. */
static void test_floods(void **state _unused_)
{
	struct scene scene = scene_new();
	int master, slave;
	size_t lines = 0;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	scene.options.terminal = true;
	scene.options.output = slave;
	for (int i = 0; i < 4000; i++) {
		say(&scene, MESSAGE_READY, NULL, 0);
		say(&scene, MESSAGE_STARTED, NULL, 0);
		say(&scene, MESSAGE_WARNING, "\x1b]0;x\n", 6);
		say(&scene, MESSAGE_CREDIT, "\xff\xff\xff\xff", 4);
	}
	say(&scene, MESSAGE_ENDED, "\0", 1);
	assert_int_equal(play(&scene), 0);
	assert_int_equal(scene.received.size, FRAME_HEADER_SIZE + 4);
	for (size_t i = 0; i < scene.logged.size; i++)
		lines += scene.logged.data[i] == '\n';
	assert_int_equal(lines, 16);
	assert_memory_equal(scene.logged.data, "?]0;x?\n", 7);
	close(master);
	close(slave);
	scene_done(&scene);
}

/* Each question costs a write to the databases: a machine has one. */
static void test_keys_are_asked_for_once(void **state)
{
	_cleanup_state_ struct state store = STATE_NONE;
	struct scene scene = scene_new();
	struct frame frame;

	assert_ok(state_open(&store, *state, *state, &scene.err), &scene.err);
	assert_ok(key_service_open(&store, &scene.keys, &scene.err), &scene.err);
	for (int i = 0; i < 100; i++)
		assert_int_equal(frame_put(&scene.asked, KEY_FRAME_HELLO, "x", 1), 0);
	say(&scene, MESSAGE_READY, NULL, 0);
	say(&scene, MESSAGE_FAILED, "\x7d\x02\x00no", 5);
	assert_refused(play(&scene), &scene.err, EACCES);
	assert_int_equal(frame_peek(&scene.answered, &frame, NULL), 1);
	assert_int_equal(frame.type, KEY_FRAME_REPLY);
	frame_drop(&scene.answered, &frame);
	assert_int_equal(scene.answered.size, 0);
	key_service_close(scene.keys);
	scene_done(&scene);
}

static void test_terminal_is_put_back(void **state _unused_)
{
	struct scene scene = scene_new();
	struct termios before, after;
	int master, slave, null = scene.options.input;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	scene.options.terminal = scene.options.interactive = true;
	scene.options.input = slave;
	say(&scene, MESSAGE_STARTED, NULL, 0);
	strbuf_add(&scene.said, "\xff\xff\xff\xff\x03", 5);
	assert_refused(play(&scene), &scene.err, EMSGSIZE);
	assert_int_equal(tcgetattr(slave, &after), 0);
	assert_int_equal(before.c_lflag, after.c_lflag);
	assert_int_equal(before.c_oflag, after.c_oflag);
	close(master);
	close(slave);
	scene.options.input = null;
	scene_done(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output_and_status),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_output_that_cannot_be_written),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_floods),
		cmocka_unit_test(test_keys_are_asked_for_once),
		cmocka_unit_test(test_terminal_is_put_back),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
