/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who builds a kernel is told how far it is. */
#pragma once

#include <stdint.h>

/* Each may be NULL. */
struct kbuild_watch {
	/* What begins now: "unpacking the source". */
	void (*stage)(const char *what, void *userdata);
	/* Of what is read in one go; @total is 0 when it is not known. */
	void (*bytes)(uint64_t done, uint64_t total, void *userdata);
	/* Of the build: how many files were made, of how many the last time (0: it is the first),
	   and the last of them ("CC      fs/ext4/super.o"). */
	void (*step)(unsigned int done, unsigned int total, const char *what, void *userdata);
	void *userdata;
};

static inline void kbuild_stage(const struct kbuild_watch *watch, const char *what)
{
	if (watch != NULL && watch->stage != NULL)
		watch->stage(what, watch->userdata);
}

static inline void kbuild_bytes(const struct kbuild_watch *watch, uint64_t done, uint64_t total)
{
	if (watch != NULL && watch->bytes != NULL)
		watch->bytes(done, total, watch->userdata);
}
