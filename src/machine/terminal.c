/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine/terminal.h"

#include <endian.h>
#include <sys/ioctl.h>

/* Nothing here waits for the terminal's output: a user may have stopped it (Ctrl-S). */
void terminal_raw(struct terminal *terminal, int fd)
{
	struct termios raw;

	if (terminal->raw || tcgetattr(fd, &terminal->before) < 0)
		return;
	raw = terminal->before;
	cfmakeraw(&raw);
	terminal->fd = fd;
	terminal->raw = tcsetattr(fd, TCSANOW, &raw) == 0;
}

void terminal_restore(struct terminal *terminal)
{
	if (terminal->raw)
		(void)tcsetattr(terminal->fd, TCSANOW, &terminal->before);
	terminal->raw = false;
}

bool terminal_size(int fd, uint16_t ret_size[static 2])
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		return false;
	ret_size[0] = htole16(size.ws_row);
	ret_size[1] = htole16(size.ws_col);
	return true;
}
