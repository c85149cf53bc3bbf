/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of a planned file, read twice: to know what they are, and to write them. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "bundle/plan.h"

/* Takes size, source size and digests of every file. Without @strip, both are the source's. */
int content_measure(struct plan *plan, bool strip, struct caisson_error *err);
int content_measure_file(struct plan_file *file, bool strip, struct caisson_error *err);
/* Hands the bytes to @write, in order; -EAGAIN when they are no longer those that were measured. */
int content_copy(const struct plan_file *file, bool strip,
	int (*write)(void *userdata, const void *data, size_t size, struct caisson_error *err),
	void *userdata, struct caisson_error *err);
