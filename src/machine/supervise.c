/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/supervise.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/process.h"
#include "key/protocol.h"
#include "machine/console.h"
#include "machine/sink.h"
#include "machine/terminal.h"
#include "machine/vsock.h"
#include "wire/frame.h"
#include "wire/message.h"

/* As a shell has them; the first is ours, as with container engines. */
#define STATUS_CAISSON        125
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND      127

#define CHUNK                 32768
/* What the guest has not taken yet before standard input is left alone. */
#define OUT_MOST (8 * FRAME_PAYLOAD_MOST)
/* After this many of SIGINT or SIGTERM the machine is killed. */
#define PATIENCE 3
/* Sentences that a guest may put on the user's terminal. */
#define WARNINGS_MOST 16

struct run {
	struct supervision *with;
	int signals, qemu; /* descriptors */
	struct console console;
	struct strbuf in, out, key_in, key_out;
	struct sink output, error;
	uint32_t credit; /* of standard input */
	struct terminal terminal;
	bool input_open, ready, started, qemu_gone, killed;
	bool asked;      /* for keys: a machine does that once */
	int qemu_status; /* as a shell has it */
	int impatience, warnings;
	int ended;                    /* the workload's status; -1 until it is known */
	int failed;                   /* the status that came with `failure`; -1 without */
	struct caisson_error failure; /* what the guest, or the exchange with it, said */
	uint64_t deadline;            /* for the guest's first word; 0 when it came */
};

static void send_guest(struct run *run, uint8_t type, const void *payload, size_t size)
{
	(void)frame_put(&run->out, type, payload, size);
}

static void send_window(struct run *run)
{
	uint16_t size[2];

	if (terminal_size(run->with->options->output, size))
		send_guest(run, MESSAGE_WINDOW, size, sizeof(size));
}

static void kill_machine(struct run *run)
{
	run->killed = true;
	(void)kill(run->with->qemu, SIGKILL);
}

static void handle_signal(struct run *run)
{
	struct signalfd_siginfo info;

	while (read(run->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		uint8_t number = (uint8_t)info.ssi_signo;

		if (number == SIGWINCH) {
			if (run->started)
				send_window(run);
			continue;
		}
		if (number == SIGINT || number == SIGTERM)
			run->impatience++;
		if (run->started && !run->killed && !run->qemu_gone && run->impatience < PATIENCE) {
			send_guest(run, MESSAGE_SIGNAL, &number, sizeof(number));
			continue;
		}
		/* There is no workload to tell, or it was told often enough. */
		run->ended = 128 + number;
		sink_drop(&run->output);
		sink_drop(&run->error);
		kill_machine(run);
	}
}

static int failure_code(int status)
{
	switch (status) {
	case STATUS_NOT_EXECUTABLE:
		return EACCES;
	case STATUS_NOT_FOUND:
		return ENOENT;
	default:
		return EIO;
	}
}

/* u8 status | u16 length | sentence | hint */
static void handle_failure(struct run *run, const struct frame *frame)
{
	const char *text = (const char *)frame->payload + 3;
	size_t length;

	kill_machine(run);
	if (frame->size < 3)
		return;
	length = (size_t)frame->payload[1] | (size_t)frame->payload[2] << 8;
	if (length > frame->size - 3)
		return;
	/* No other status means a failure, whatever a guest says. */
	run->failed = STATUS_CAISSON;
	if (frame->payload[0] == STATUS_NOT_EXECUTABLE || frame->payload[0] == STATUS_NOT_FOUND)
		run->failed = frame->payload[0];
	/* A refusal by the key service was heard first, with more detail than the guest got. */
	if (run->failure.code == 0)
		caisson_refuse(&run->failure, failure_code(run->failed), "%.*s", (int)length, text);
	if (frame->size - 3 > length)
		caisson_hint(&run->failure, "%.*s", (int)(frame->size - 3 - length), text + length);
}

static void handle_started(struct run *run)
{
	const struct caisson_machine_options *options = run->with->options;

	/* Once: each of these may put something on its way to the guest. */
	if (run->started)
		return;
	run->started = true;
	log_debug(run->with->log, "the workload was started");
	if (!options->terminal)
		return;
	send_window(run);
	/* Not before: until now, Ctrl-C was for us. */
	if (options->interactive)
		terminal_raw(&run->terminal, options->input);
}

/* A guest that grants too much gets no more than it could have. */
static void handle_credit(struct run *run, const struct frame *frame)
{
	uint32_t credit;

	if (frame->size != sizeof(credit))
		return;
	memcpy(&credit, frame->payload, sizeof(credit));
	run->credit += MIN(le32toh(credit), MESSAGE_CREDIT_MOST - run->credit);
}

static void handle_frame(struct run *run, const struct frame *frame)
{
	switch (frame->type) {
	case MESSAGE_READY:
		if (!run->ready)
			log_debug(run->with->log, "the guest is up");
		run->ready = true;
		run->deadline = 0;
		break;
	case MESSAGE_STARTED:
		handle_started(run);
		break;
	case MESSAGE_STDOUT:
		sink_add(&run->output, frame->payload, frame->size);
		break;
	case MESSAGE_STDERR:
		sink_add(&run->error, frame->payload, frame->size);
		break;
	case MESSAGE_CREDIT:
		handle_credit(run, frame);
		break;
	case MESSAGE_FAILED:
		handle_failure(run, frame);
		break;
	case MESSAGE_ENDED:
		/* All is on the disks and the guest waits for nothing: what its kernel would still
		   do costs time alone. */
		if (frame->size == 1 && run->ended < 0)
			run->ended = frame->payload[0];
		kill_machine(run);
		break;
	case MESSAGE_WARNING:
		if (run->warnings++ < WARNINGS_MOST)
			log_warning(run->with->log, "%.*s", (int)frame->size,
				(const char *)frame->payload);
		break;
	default:
		break; /* of a newer guest */
	}
}

/* Reads what is there; false when the other side is gone. */
static bool fill(int fd, struct strbuf *buffer)
{
	void *to = strbuf_reserve(buffer, CHUNK);
	ssize_t n;

	if (to == NULL)
		return false;
	n = read(fd, to, CHUNK);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n > 0)
		strbuf_commit(buffer, (size_t)n);
	return n > 0;
}

static bool drain(int fd, struct strbuf *buffer)
{
	ssize_t n = write(fd, buffer->data, MIN(buffer->size, (size_t)CHUNK));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	strbuf_consume(buffer, (size_t)n);
	return true;
}

static void read_channel(struct run *run)
{
	struct caisson_error err = {0};
	struct frame frame;
	int r;

	if (!fill(run->with->channel, &run->in)) {
		closep(&run->with->channel);
		run->with->channel = -1;
		return;
	}
	while ((r = frame_peek(&run->in, &frame, &err)) == 1) {
		handle_frame(run, &frame);
		frame_drop(&run->in, &frame);
	}
	if (r < 0) {
		run->failure = err;
		kill_machine(run);
	}
}

static void answer_keys(struct run *run, const struct frame *frame)
{
	_cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
	struct caisson_error err = {0};
	int r = key_service_answer(
		run->with->keys, run->with->name, frame->payload, frame->size, &reply, &err);

	run->asked = true;
	if (r < 0 && run->failure.code == 0) {
		run->failure = err;
		caisson_wrap(&run->failure, "the key service refused the machine");
	}
	if (reply.size > 0)
		(void)frame_put(&run->key_out, KEY_FRAME_REPLY, reply.data, reply.size);
}

static void read_key_channel(struct run *run)
{
	struct caisson_error err = {0};
	struct frame frame;
	int r = 0;

	if (fill(run->with->key_channel, &run->key_in)) {
		while ((r = frame_peek(&run->key_in, &frame, &err)) == 1) {
			/* Each costs a write to the databases: a workload that opens the port
			   again gets none. */
			if (frame.type == KEY_FRAME_HELLO && !run->asked)
				answer_keys(run, &frame);
			frame_drop(&run->key_in, &frame);
		}
		if (r == 0)
			return;
	}
	closep(&run->with->key_channel);
	run->with->key_channel = -1;
}

static void read_input(struct run *run)
{
	char chunk[CHUNK];
	ssize_t n = read(run->with->options->input, chunk, MIN((size_t)run->credit, sizeof(chunk)));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		run->input_open = false;
		send_guest(run, MESSAGE_STDIN_END, NULL, 0);
		return;
	}
	run->credit -= (uint32_t)n;
	send_guest(run, MESSAGE_STDIN, chunk, (size_t)n);
}

/* A reader that went away is for the workload what it would be for a local program. */
static void write_output(struct run *run, struct sink *sink)
{
	uint8_t type = sink == &run->output ? MESSAGE_STDOUT : MESSAGE_STDERR;

	if (!sink_write(sink))
		send_guest(run, MESSAGE_CLOSED, &type, sizeof(type));
}

static void accept_guest(struct run *run, int *listener, int *channel)
{
	struct caisson_error err = {0};
	int fd = vsock_accept(*listener, run->with->cid, &err);

	if (fd == -EAGAIN)
		return;
	if (fd >= 0) {
		*channel = fd;
		(void)set_nonblocking(fd, true);
	}
	closep(listener);
	*listener = -1;
}

enum {
	SIGNALS,
	QEMU,
	CONSOLE,
	CHANNEL,
	KEY_CHANNEL,
	INPUT,
	OUTPUT,
	ERROR,
	LISTENER,
	KEY_LISTENER,
	POLLED
};

static short wants(bool read, bool write)
{
	return (short)((read ? POLLIN : 0) | (write ? POLLOUT : 0));
}

static void arm(struct run *run, struct pollfd polled[static POLLED])
{
	const struct supervision *with = run->with;
	bool room = sink_has_room(&run->output) && sink_has_room(&run->error);
	bool input = run->input_open && run->credit > 0 && run->out.size < OUT_MOST;
	bool write_out = run->output.pending.size > 0, write_error = run->error.pending.size > 0;

	polled[SIGNALS] = (struct pollfd){.fd = run->signals, .events = POLLIN};
	polled[QEMU] = (struct pollfd){.fd = run->qemu_gone ? -1 : run->qemu, .events = POLLIN};
	polled[CONSOLE] = (struct pollfd){
		.fd = room || !with->options->console ? with->console : -1, .events = POLLIN};
	polled[CHANNEL] = (struct pollfd){.fd = room || run->out.size > 0 ? with->channel : -1,
		.events = wants(room, run->out.size > 0)};
	polled[KEY_CHANNEL] = (struct pollfd){
		.fd = with->key_channel, .events = wants(!run->asked, run->key_out.size > 0)};
	polled[INPUT] = (struct pollfd){.fd = input ? with->options->input : -1, .events = POLLIN};
	polled[OUTPUT] = (struct pollfd){.fd = write_out ? run->output.fd : -1, .events = POLLOUT};
	polled[ERROR] = (struct pollfd){.fd = write_error ? run->error.fd : -1, .events = POLLOUT};
	polled[LISTENER] = (struct pollfd){.fd = with->listener, .events = POLLIN};
	polled[KEY_LISTENER] = (struct pollfd){.fd = with->key_listener, .events = POLLIN};
}

static void dispatch_guest(struct run *run, const struct pollfd polled[static POLLED])
{
	struct supervision *with = run->with;

	if (polled[LISTENER].revents != 0)
		accept_guest(run, &with->listener, &with->channel);
	if (polled[KEY_LISTENER].revents != 0)
		accept_guest(run, &with->key_listener, &with->key_channel);
	if (polled[KEY_CHANNEL].revents & (POLLIN | POLLHUP | POLLERR))
		read_key_channel(run);
	if (with->key_channel >= 0 && polled[KEY_CHANNEL].revents & POLLOUT &&
		!drain(with->key_channel, &run->key_out))
		strbuf_clear(&run->key_out);
	if (polled[CHANNEL].revents & (POLLIN | POLLHUP | POLLERR))
		read_channel(run);
	if (with->channel >= 0 && polled[CHANNEL].revents & POLLOUT &&
		!drain(with->channel, &run->out))
		strbuf_clear(&run->out);
	if (polled[CONSOLE].revents != 0 && !console_read(&run->console, with->console,
						    with->options->console ? &run->error : NULL)) {
		closep(&with->console);
		with->console = -1;
	}
}

static void dispatch(struct run *run, const struct pollfd polled[static POLLED])
{
	if (polled[SIGNALS].revents != 0)
		handle_signal(run);
	dispatch_guest(run, polled);
	if (polled[INPUT].revents != 0)
		read_input(run);
	if (polled[OUTPUT].revents != 0)
		write_output(run, &run->output);
	if (polled[ERROR].revents != 0)
		write_output(run, &run->error);
	if (polled[QEMU].revents != 0)
		run->qemu_gone = true;
}

static int time_left(const struct run *run)
{
	uint64_t now = now_usec();

	if (run->deadline == 0)
		return -1;
	return now >= run->deadline ? 0
				    : (int)MIN((run->deadline - now) / 1000 + 1, (uint64_t)INT_MAX);
}

/* Until QEMU has ended, what it had written has been read, and what was read has been passed on. */
static int loop(struct run *run, struct caisson_error *err)
{
	struct pollfd polled[POLLED];

	while (!run->qemu_gone || run->with->channel >= 0 || run->with->console >= 0 ||
		run->output.pending.size > 0 || run->error.pending.size > 0) {
		arm(run, polled);
		if (poll(polled, POLLED, time_left(run)) < 0) {
			if (errno == EINTR)
				continue;
			return caisson_fail(err, errno, "wait for the machine");
		}
		if (time_left(run) == 0) {
			run->deadline = 0;
			caisson_refuse(&run->failure, ETIMEDOUT,
				"the guest did not answer in time after its start");
			caisson_hint(&run->failure,
				"look at the console (--console), or allow more "
				"time with --boot-timeout");
			kill_machine(run);
			continue;
		}
		dispatch(run, polled);
	}
	return 0;
}

int supervise_block_signals(sigset_t *ret_set, sigset_t *ret_before, struct caisson_error *err)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
	struct sigaction hangup;

	sigemptyset(ret_set);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(ret_set, numbers[i]);
	/* What is blocked is delivered even when it is ignored: nohup(1) would do nothing. */
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler == SIG_IGN)
		sigdelset(ret_set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, ret_set, ret_before) < 0)
		return caisson_fail(err, errno, "block signals");
	return 0;
}

static int open_signals(struct caisson_error *err)
{
	sigset_t set, before;
	int fd, r = supervise_block_signals(&set, &before, err);

	if (r < 0)
		return r;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return caisson_fail(err, errno, "listen for signals");
	return fd;
}

/* QEMU's own last words, when it had any: no memory, no such device. 0 when it said nothing. */
static int quote_qemu(int log, int status, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	char *line, *rest, *last = NULL;

	if (log < 0 || lseek(log, 0, SEEK_SET) < 0 ||
		read_to_end(log, 1 << 20, "QEMU's messages", &text, NULL) < 0)
		return 0;
	for (line = strtok_r(text.data, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		if (strstr(line, "warning:") == NULL)
			last = line;
	}
	if (last == NULL && status > 128)
		return caisson_refuse(err, EIO, "QEMU was ended by signal %d", status - 128);
	if (last == NULL)
		return 0;
	caisson_refuse(err, EIO, "QEMU ended: %s", last);
	if (strstr(last, "allocate memory") != NULL)
		return caisson_hint(err, "give the machine less memory (--memory), or free some");
	return -EIO;
}

/* A workload that had written all before the disk was full has ended well: its output has not. */
static int check_output(const struct sink *sink, const char *name, struct caisson_error *err)
{
	if (sink->code == 0 || sink->code == EPIPE)
		return 0;
	return caisson_fail(err, sink->code, "write the workload's standard %s", name);
}

static int conclude(struct run *run, int *ret_status, struct caisson_error *err)
{
	int r;

	*ret_status = run->failed >= 0 ? run->failed : STATUS_CAISSON;
	if (run->failure.code != 0 && run->ended < 0) {
		if (err != NULL)
			*err = run->failure;
		return -run->failure.code;
	}
	if (run->ended >= 0) {
		r = check_output(&run->output, "output", err);
		if (r == 0)
			r = check_output(&run->error, "error", err);
		return r < 0 ? r : run->ended;
	}
	r = run->ready ? 0
		       : quote_qemu(run->with->qemu_log, run->killed ? 0 : run->qemu_status, err);
	return r < 0 ? r : console_explain(&run->console, run->ready, err);
}

static int watch(struct run *run, struct caisson_error *err)
{
	run->qemu = (int)syscall(SYS_pidfd_open, run->with->qemu, 0);
	if (run->qemu < 0)
		return caisson_fail(err, errno, "watch QEMU");
	run->signals = open_signals(err);
	return run->signals < 0 ? run->signals : 0;
}

static void run_done(struct run *run)
{
	terminal_restore(&run->terminal);
	console_done(&run->console);
	strbuf_done(&run->in);
	strbuf_done(&run->out);
	strbuf_done(&run->key_in);
	strbuf_done(&run->key_out);
	sink_done(&run->output);
	sink_done(&run->error);
	closep(&run->signals);
	closep(&run->qemu);
}

int supervise(struct supervision *supervision, int *ret_status, struct caisson_error *err)
{
	const struct caisson_machine_options *options = supervision->options;
	unsigned int timeout = options->boot_timeout > 0 ? options->boot_timeout : 120;
	struct run run = {.with = supervision,
		.signals = -1,
		.qemu = -1,
		.ended = -1,
		.failed = -1,
		.input_open = options->interactive,
		.deadline = now_usec() + timeout * 1000000ull};
	sigset_t before;
	int r;

	(void)sigprocmask(SIG_SETMASK, NULL, &before);
	console_init(&run.console, supervision->console_log);
	sink_init(&run.output, options->output);
	sink_init(&run.error, options->error);
	if (supervision->channel >= 0)
		(void)set_nonblocking(supervision->channel, true);
	if (supervision->key_channel >= 0)
		(void)set_nonblocking(supervision->key_channel, true);

	r = watch(&run, err);
	if (r == 0)
		r = loop(&run, err);
	(void)kill(supervision->qemu, SIGKILL);
	(void)process_wait(supervision->qemu, &run.qemu_status, NULL);
	if (r == 0)
		r = conclude(&run, ret_status, err);
	run_done(&run);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}
