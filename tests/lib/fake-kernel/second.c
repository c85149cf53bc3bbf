/* SPDX-License-Identifier: LGPL-2.1-or-later */
const char *where(void);

/* Where it was compiled must not show. */
const char *where(void)
{
	return __FILE__;
}
