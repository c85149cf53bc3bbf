/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a program gives up before it starts that reads what a stranger wrote. */
#pragma once

#include <stdint.h>

struct confinement {
	uint64_t memory_most;     /* bytes of address space; 0: as many as its starter may have */
	unsigned int cpu_seconds; /* 0: as many as its starter may have */
};

/*
 * No capability and none to be had, no core, no more than the limits; no sockets but those that it
 * inherited, no signals to others nor a look into them, no mounts, no namespaces, no keys, and
 * none of the calls that are known for what was wrong with them. Which other files it may open is
 * up to its user. Lasts over execve(2). Calls only what may be called between fork(2) and that.
 * Returns 0 or -1 and errno.
 */
int confine(const struct confinement *confinement);
