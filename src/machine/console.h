/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's serial console: kept in a bounded file, shown on request, and read for why it died.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"
#include "machine/sink.h"

struct console {
	int log;
	size_t logged;
	struct strbuf tail; /* the last of what it said */
};

void console_init(struct console *console, int log);
/* Takes what is there, to @show too unless that is NULL; false when the guest is gone. */
bool console_read(struct console *console, int fd, struct sink *show);
/* Says why a guest ended without a word on its channel; always a negative errno. */
int console_explain(struct console *console, bool ready, struct caisson_error *err);
void console_done(struct console *console);
