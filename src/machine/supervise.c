/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/supervise.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/process.h"
#include "key/protocol.h"
#include "machine/console.h"
#include "machine/vsock.h"
#include "wire/frame.h"
#include "wire/message.h"

#define STATUS_CAISSON 125
#define CHUNK          32768
/* What a guest may have written that the caller's descriptors have not taken yet. */
#define PENDING_MOST (8 * FRAME_PAYLOAD_MOST)
/* Only this much is written to a pipe that polls as writable without waiting (pipe(7)). */
#define PIPE_CHUNK 4096
/* After this many of SIGINT or SIGTERM the machine is killed. */
#define PATIENCE 3

struct output {
	int fd;
	size_t chunk;
	struct strbuf pending;
	bool closed; /* nobody reads it any more: what comes is dropped */
};

struct run {
	struct supervision *with;
	int signals, qemu; /* descriptors */
	struct console console;
	struct strbuf in, out, key_in, key_out;
	struct output output, error;
	uint32_t credit; /* of standard input */
	bool input_open, ready, started, qemu_gone, killed;
	int qemu_status; /* as a shell has it */
	int impatience;
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
	struct winsize size;
	uint16_t numbers[2];

	if (ioctl(run->with->options->output, TIOCGWINSZ, &size) < 0)
		return;
	numbers[0] = htole16(size.ws_row);
	numbers[1] = htole16(size.ws_col);
	send_guest(run, MESSAGE_WINDOW, numbers, sizeof(numbers));
}

static void kill_machine(struct run *run)
{
	run->killed = true;
	(void)kill(run->with->qemu, SIGKILL);
}

static void drop_output(struct output *output)
{
	output->closed = true;
	strbuf_clear(&output->pending);
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
		if (run->started && run->impatience < PATIENCE) {
			send_guest(run, MESSAGE_SIGNAL, &number, sizeof(number));
			continue;
		}
		/* There is no workload to tell, or it was told often enough. */
		run->ended = 128 + number;
		drop_output(&run->output);
		drop_output(&run->error);
		kill_machine(run);
	}
}

/* u8 status | u16 length | sentence | hint */
static void handle_failure(struct run *run, const struct frame *frame)
{
	const char *text = (const char *)frame->payload + 3;
	size_t length;

	if (frame->size < 3)
		return;
	length = (size_t)frame->payload[1] | (size_t)frame->payload[2] << 8;
	if (length > frame->size - 3)
		return;
	run->failed = frame->payload[0];
	/* A refusal by the key service was heard first, with more detail than the guest got. */
	if (run->failure.code == 0)
		caisson_refuse(&run->failure, run->failed == 127 ? ENOENT : EIO, "%.*s",
			(int)length, text);
	if (frame->size - 3 > length)
		caisson_hint(&run->failure, "%.*s", (int)(frame->size - 3 - length), text + length);
	kill_machine(run);
}

static void handle_frame(struct run *run, const struct frame *frame)
{
	uint32_t credit;

	switch (frame->type) {
	case MESSAGE_READY:
		run->ready = true;
		run->deadline = 0;
		log_debug(run->with->log, "the guest is up");
		break;
	case MESSAGE_STARTED:
		run->started = true;
		if (run->with->options->terminal)
			send_window(run);
		log_debug(run->with->log, "the workload was started");
		break;
	case MESSAGE_STDOUT:
	case MESSAGE_STDERR: {
		struct output *to = frame->type == MESSAGE_STDOUT ? &run->output : &run->error;

		if (!to->closed)
			strbuf_add(&to->pending, frame->payload, frame->size);
		break;
	}
	case MESSAGE_CREDIT:
		if (frame->size == sizeof(credit)) {
			memcpy(&credit, frame->payload, sizeof(credit));
			credit = le32toh(credit);
			/* A guest that grants too much gets no more than it could have. */
			if (credit > MESSAGE_CREDIT_MOST - run->credit)
				credit = MESSAGE_CREDIT_MOST - run->credit;
			run->credit += credit;
		}
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
		log_warning(run->with->log, "%.*s", (int)frame->size, (const char *)frame->payload);
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
			if (frame.type == KEY_FRAME_HELLO)
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
static void write_output(struct run *run, struct output *output)
{
	uint8_t type = output == &run->output ? MESSAGE_STDOUT : MESSAGE_STDERR;
	ssize_t n =
		write(output->fd, output->pending.data, MIN(output->pending.size, output->chunk));

	if (n >= 0) {
		strbuf_consume(&output->pending, (size_t)n);
		return;
	}
	if (errno == EAGAIN || errno == EINTR)
		return;
	drop_output(output);
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
	bool room =
		run->output.pending.size < PENDING_MOST && run->error.pending.size < PENDING_MOST;
	bool input = run->input_open && run->credit > 0 && run->out.size < PENDING_MOST;
	bool write_out = run->output.pending.size > 0, write_error = run->error.pending.size > 0;

	polled[SIGNALS] = (struct pollfd){.fd = run->signals, .events = POLLIN};
	polled[QEMU] = (struct pollfd){.fd = run->qemu_gone ? -1 : run->qemu, .events = POLLIN};
	polled[CONSOLE] = (struct pollfd){.fd = with->console, .events = POLLIN};
	polled[CHANNEL] = (struct pollfd){.fd = room || run->out.size > 0 ? with->channel : -1,
		.events = wants(room, run->out.size > 0)};
	polled[KEY_CHANNEL] = (struct pollfd){
		.fd = with->key_channel, .events = wants(true, run->key_out.size > 0)};
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
	if (polled[CONSOLE].revents != 0 && !console_read(&run->console, with->console)) {
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
	return now >= run->deadline ? 0 : (int)((run->deadline - now) / 1000) + 1;
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

static int open_signals(sigset_t *ret_before, struct caisson_error *err)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&set, numbers[i]);
	if (sigprocmask(SIG_BLOCK, &set, ret_before) < 0)
		return caisson_fail(err, errno, "block signals");
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return caisson_fail(err, errno, "listen for signals");
	return fd;
}

static void open_output(struct output *output, int fd)
{
	struct stat st;

	output->fd = fd;
	output->chunk = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? CHUNK : PIPE_CHUNK;
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

static int conclude(struct run *run, int *ret_status, struct caisson_error *err)
{
	*ret_status = run->ended >= 0 ? run->ended : STATUS_CAISSON;
	if (run->failed >= 0)
		*ret_status = run->failed;
	if (run->failure.code != 0 && run->ended < 0) {
		*err = run->failure;
		return -err->code;
	}
	if (run->ended >= 0)
		return run->ended;
	if (!run->ready &&
		quote_qemu(run->with->qemu_log, run->killed ? 0 : run->qemu_status, err) < 0)
		return -err->code;
	return console_explain(&run->console, run->ready, err);
}

int supervise(struct supervision *supervision, int *ret_status, struct caisson_error *err)
{
	const struct caisson_machine_options *options = supervision->options;
	unsigned int timeout = options->boot_timeout > 0 ? options->boot_timeout : 120;
	struct run run = {.with = supervision,
		.ended = -1,
		.failed = -1,
		.input_open = options->interactive,
		.deadline = now_usec() + timeout * 1000000ull};
	_cleanup_close_ int signals = -1, qemu = -1;
	sigset_t before;
	int r;

	signals = open_signals(&before, err);
	if (signals < 0)
		return signals;
	qemu = (int)syscall(SYS_pidfd_open, supervision->qemu, 0);
	if (qemu < 0)
		return caisson_fail(err, errno, "watch QEMU");
	run.signals = signals;
	run.qemu = qemu;
	console_init(
		&run.console, supervision->console_log, options->console ? options->error : -1);
	open_output(&run.output, options->output);
	open_output(&run.error, options->error);
	if (supervision->channel >= 0)
		(void)set_nonblocking(supervision->channel, true);
	if (supervision->key_channel >= 0)
		(void)set_nonblocking(supervision->key_channel, true);

	r = loop(&run, err);
	(void)kill(supervision->qemu, SIGKILL);
	(void)process_wait(supervision->qemu, &run.qemu_status, NULL);
	if (r == 0)
		r = conclude(&run, ret_status, err);

	console_done(&run.console);
	strbuf_done(&run.in);
	strbuf_done(&run.out);
	strbuf_done(&run.key_in);
	strbuf_done(&run.key_out);
	strbuf_done(&run.output.pending);
	strbuf_done(&run.error.pending);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}
