/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/secret.h"

/* From the terminal, without an echo, after @prompt (and once more, to be the same, when @twice);
   or a line of standard input, where that is no terminal. Without the newline. */
int cli_read_passphrase(
	const char *prompt, bool twice, struct secret *ret_passphrase, struct caisson_error *err);
