/* SPDX-License-Identifier: LGPL-2.1-or-later */
const char banner[] = "Linux version " RELEASE " (" USER "@" HOST ") (gcc) " WHEN "\n";
const char *where(void);

const char *start(void)
{
	return banner[0] == 'L' ? where() : banner;
}
