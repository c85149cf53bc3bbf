/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "guest/guest.h"
#include "guest/programs.h"
#include "wire/message.h"

/* The status of `caisson run` when caisson itself failed, as podman has it. */
#define STATUS_CAISSON 125

static _Noreturn void power_off(void)
{
	sync();
	/* Without ACPI there is no power to switch off; then a reset ends QEMU (-no-reboot). */
	(void)reboot(RB_POWER_OFF);
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

/*
 * The last word. The host ends the machine when it has read it: a machine that switched itself off
 * would take along what its devices still hold of the output, whenever the host's reader is slow.
 */
static _Noreturn void send_last(struct guest *guest, uint8_t type, const void *payload, size_t size)
{
	struct pollfd polled = {.fd = guest->channel, .events = POLLIN};
	char ignored[256];

	guest_send(guest, type, payload, size);
	if (guest_flush(guest) == 0) {
		(void)set_nonblocking(guest->channel, true);
		while (!(polled.revents & (POLLHUP | POLLERR))) {
			if (poll(&polled, 1, -1) > 0 &&
				read(guest->channel, ignored, sizeof(ignored)) == 0)
				break;
		}
	}
	power_off();
}

/* The one way in which a machine gives up: the reason on the console and on the host's terminal. */
static _Noreturn void give_up(struct guest *guest, int status, const struct caisson_error *err)
{
	size_t length = strlen(err->message);
	_cleanup_strbuf_ struct strbuf payload = STRBUF_INIT;
	uint8_t head[3] = {(uint8_t)status, (uint8_t)(length & 0xff), (uint8_t)(length >> 8)};

	/* The host looks for this line when the channel said nothing. */
	fprintf(stderr, "caisson-init: fatal: %s\n", err->message);
	(void)guest_volumes_close(guest, NULL);
	if (guest->channel >= 0) {
		strbuf_add(&payload, head, sizeof(head));
		strbuf_add_string(&payload, err->message);
		strbuf_add_string(&payload, err->hint);
		send_last(guest, MESSAGE_FAILED, payload.data, payload.size);
	}
	power_off();
}

static int read_config(struct guest *guest, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r;

	/* At once, so that a buffer that grows leaves no copy of the secret behind. */
	(void)strbuf_reserve(&text, GUEST_CONFIG_MOST + 65536);
	r = read_file(GUEST_CONFIG_PATH, GUEST_CONFIG_MOST, &text, err);
	if (r < 0)
		return r;
	r = guest_config_read(text.data, text.size, &guest->config, err);
	explicit_bzero(text.data, text.size);
	/* The initramfs is memory: what is unlinked there is freed. */
	if (unlink(GUEST_CONFIG_PATH) < 0 && r == 0)
		return caisson_fail(err, errno, "remove %s", GUEST_CONFIG_PATH);
	return r;
}

/* What everything else, the reporting of failures included, stands on. */
static int reach_host(struct guest *guest, struct caisson_error *err)
{
	int r;

	r = guest_mount_early(err);
	if (r < 0)
		return r;
	guest->uevents = guest_open_uevents(err);
	if (guest->uevents < 0)
		return guest->uevents;
	r = guest_load_modules(err);
	if (r < 0)
		return r;
	r = read_config(guest, err);
	if (r < 0)
		return r;
	guest->channel = guest_channel_open(
		guest->uevents, CHANNEL_PORT_MACHINE, guest->config.vsock_port, err);
	if (guest->channel < 0)
		return guest->channel;
	guest_send(guest, MESSAGE_READY, NULL, 0);
	if (guest_flush(guest) < 0)
		return caisson_refuse(err, EPIPE, "the host closed the machine channel");
	return 0;
}

static int prepare(struct guest *guest, struct caisson_error *err)
{
	_cleanup_free_ char *layer = NULL;
	int r;

	if (sethostname(guest->config.machine, strlen(guest->config.machine)) < 0)
		return caisson_fail(err, errno, "set the host name");
	r = guest_network_up(guest->config.network, err);
	if (r == 0)
		r = guest_volumes_open(guest, err);
	if (r == 0)
		r = guest_volumes_mount_layer(guest, &layer, err);
	if (r == 0)
		r = guest_mount_root(guest, layer, err);
	if (r == 0)
		r = guest_mount_system(guest, err);
	if (r == 0)
		r = guest_network_files(&guest->config, err);
	if (r == 0)
		r = guest_volumes_mount(guest, err);
	return r;
}

/* Ends every process but this one and reaps them. */
static void end_processes(void)
{
	(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

int init_main(int argc _unused_, char **argv _unused_)
{
	struct guest guest = {.uevents = -1, .channel = -1, .out = STRBUF_INIT, .in = STRBUF_INIT};
	struct workload workload = {.pid = -1, .input = -1, .output = -1, .error = -1};
	struct caisson_error err = {0};
	int status = STATUS_CAISSON;
	sigset_t all;

	if (getpid() != 1) {
		fputs("caisson-init: this program is PID 1 of a caisson machine, and nothing else\n",
			stderr);
		return 2;
	}
	/* Signals are read from a descriptor; PID 1 must not die of one. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	umask(022);

	if (reach_host(&guest, &err) < 0)
		give_up(&guest, STATUS_CAISSON, &err);
	if (prepare(&guest, &err) < 0)
		give_up(&guest, STATUS_CAISSON, &err);
	if (workload_start(&guest, &workload, &status, &err) < 0)
		give_up(&guest, status, &err);

	guest_send(&guest, MESSAGE_STARTED, NULL, 0);
	status = relay_run(&guest, &workload, &err);
	end_processes();
	if (status < 0)
		give_up(&guest, STATUS_CAISSON, &err);
	if (guest_volumes_close(&guest, &err) < 0)
		give_up(&guest, STATUS_CAISSON, &err);

	send_last(&guest, MESSAGE_ENDED, &(uint8_t){(uint8_t)status}, 1);
}
