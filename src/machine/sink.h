/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One of the caller's descriptors that a machine writes to, and what it has not taken yet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"

struct sink {
	int fd;
	size_t chunk; /* the most that is written at once */
	struct strbuf pending;
	bool closed; /* nobody reads it any more: what comes is dropped */
	int code;    /* the errno that closed it; 0 as long as none did */
};

void sink_init(struct sink *sink, int fd);
void sink_add(struct sink *sink, const void *data, size_t size);
/* Whether more may be read for it. */
bool sink_has_room(const struct sink *sink);
/* Forgets what is pending and what will come. */
void sink_drop(struct sink *sink);
/* Writes what the descriptor takes without waiting; false when it was closed by that. */
bool sink_write(struct sink *sink);
void sink_done(struct sink *sink);
