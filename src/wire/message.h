/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What host and guest say on the machine channel, in frames (wire/frame.h). Numbers are
 * little-endian.
 *
 * Output is held back by the stream itself: a host that does not read makes the guest stop reading
 * the workload's pipes. Input is held back by credit, because the host's signals must pass a
 * workload that does not read: the host sends no more standard input than the guest has asked for.
 */
#pragma once

#include <stdint.h>

/* Names of the virtio-serial ports. */
#define CHANNEL_PORT_MACHINE "org.caisson.machine"
#define CHANNEL_PORT_KEY     "org.caisson.key"

/* Standard input that the host may have under way. */
#define MESSAGE_CREDIT_MOST 65536u

enum message_type {
	/* guest -> host */
	MESSAGE_READY = 1,   /* nothing: PID 1 runs and this channel is open */
	MESSAGE_STARTED = 2, /* nothing: the workload was executed */
	MESSAGE_STDOUT = 3,  /* bytes */
	MESSAGE_STDERR = 4,  /* bytes */
	MESSAGE_CREDIT = 5,  /* u32: so many more bytes of standard input are welcome */
	/* u8 status for `run` (125 to 127) | u16 length of the sentence | sentence | hint: the
	   machine cannot go on, and waits to be switched off. */
	MESSAGE_FAILED = 6,
	/* u8 status as a shell gives it (128 + N for signal N): everything is unmounted and on
	   disk, the machine waits to be switched off. */
	MESSAGE_ENDED = 7,
	MESSAGE_WARNING = 8, /* a sentence for the user */

	/* host -> guest */
	MESSAGE_STDIN = 16,     /* bytes */
	MESSAGE_STDIN_END = 17, /* nothing: no more standard input */
	MESSAGE_SIGNAL = 18,    /* u8: signal number, for the workload */
	MESSAGE_WINDOW = 19,    /* u16 rows | u16 columns of the terminal */
	/* u8: STDOUT or STDERR above: nobody reads what comes there any more. */
	MESSAGE_CLOSED = 20,
};
