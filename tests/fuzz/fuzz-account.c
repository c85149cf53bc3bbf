/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fuzz.h"
#include "guest/guest.h"

/* user NUL passwd NUL group */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *user = (const char *)data, *passwd, *group;
	const char *end = user + size;
	_cleanup_account_ struct account account = {0};
	struct caisson_error err = {0};

	passwd = memchr(user, '\0', size);
	if (passwd == NULL)
		return 0;
	passwd++;
	group = memchr(passwd, '\0', (size_t)(end - passwd));
	if (group == NULL)
		return 0;
	group++;
	(void)account_resolve(user, passwd, (size_t)(group - passwd - 1), group,
		(size_t)(end - group), &account, &err);
	return 0;
}
