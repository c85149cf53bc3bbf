/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_LOG_H
#define CAISSON_LOG_H

/** How much a line matters. */
enum caisson_log_level {
	CAISSON_LOG_WARNING, /* something that the user should know even when all goes well */
	CAISSON_LOG_NOTE,    /* a step begins or ended */
	CAISSON_LOG_DEBUG,   /* for whoever looks into a fault */
};

/**
 * struct caisson_log - where a library's lines go.
 * @line: called with one line, without a line feed; never with key material. May be NULL: silence.
 * @userdata: handed to @line as it is.
 *
 * Passed by pointer, which may be NULL; it must live as long as the call that it is given to.
 */
struct caisson_log {
	void (*line)(enum caisson_log_level level, const char *text, void *userdata);
	void *userdata;
};

#endif
