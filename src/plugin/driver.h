/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls of Docker's volume plug-in protocol (https://docs.docker.com/engine/extend/plugin_api/
 * and plugins_volume/), which Podman speaks, too: JSON in, JSON out. All that is done to volumes is
 * done by the public API, in a context of each call's own.
 */
#pragma once

#include <caisson/log.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

struct driver {
	const char *state, *config; /* as for caisson_open() */
	uint64_t default_size;      /* of a volume for which none is asked, bytes */
	const struct caisson_log *log;
};

/* Answers the call @path ("/VolumeDriver.Create") with JSON; the HTTP status. */
unsigned int driver_answer(const struct driver *driver, const char *path, const char *body,
	size_t size, struct strbuf *answer);
/* {"Err": SENTENCE}, which every failure is answered with. */
void driver_refusal(const char *sentence, struct strbuf *answer);
