/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strbuf.h"
#include "kbuild/make.h"

/* How the kernel's make is called: its words, and what is in its environment. Whatever could make
   two builds differ (user, host, time, language, folders) has a fixed value. */
struct make_command {
	struct strv words, environment;
};

/* Whether make, and the shells that it starts, take the folder's path for one word: -EINVAL. */
int make_path_check(const char *path, struct caisson_error *err);
int make_command_init(struct make_command *command, const struct make *make,
	const char *const targets[], struct caisson_error *err);
void make_command_done(struct make_command *command);

#define _cleanup_make_command_ _cleanup_(make_command_done)
