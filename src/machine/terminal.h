/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The caller's terminal while a workload has it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

struct terminal {
	int fd;
	bool raw;
	struct termios before;
};

/* Hands the keys on as they are, Ctrl-C too; nothing when @fd is no terminal. */
void terminal_raw(struct terminal *terminal, int fd);
/* Puts back what was before; harmless when nothing was changed. */
void terminal_restore(struct terminal *terminal);
/* Rows and columns, little-endian, as MESSAGE_WINDOW has them; false when @fd is no terminal. */
bool terminal_size(int fd, uint16_t ret_size[static 2]);
