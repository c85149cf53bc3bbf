/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "kernel/config.h"
#include "kernel/difference.h"

/* The same option may stand in several fragments: the last line counts, in both texts. */
static void add_beside(struct strbuf *text, const struct kernel_requirement *requirement,
	const struct strbuf *beside)
{
	size_t length = 0;
	const char *value =
		kernel_config_text(beside->data, beside->size, requirement->option, &length);

	if (value == NULL && kernel_config_meets(beside->data, beside->size, requirement)) {
		value = requirement->value;
		length = strlen(value);
	}
	if (value != NULL)
		strbuf_add_format(text, "%s=%.*s\n", requirement->option, (int)length, value);
}

int kernel_profile_config(const struct kernel_profile *profile, unsigned int version,
	const struct strbuf *beside, struct strbuf *ret_text, struct strbuf *ret_beside,
	struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, other = STRBUF_INIT;
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);

	for (size_t i = 0; i < count; i++) {
		if (kernel_profile_place(profile, &table[i]) < 0 ||
			!kernel_requirement_applies(&table[i], version))
			continue;
		strbuf_add_format(&text, "%s=%s\n", table[i].option, table[i].value);
		if (beside != NULL)
			add_beside(&other, &table[i], beside);
	}
	if (!strbuf_ok(&text) || !strbuf_ok(&other))
		return caisson_fail(err, ENOMEM, "read the profile %s", profile->name);
	*ret_text = text;
	text = STRBUF_INIT;
	if (beside != NULL) {
		*ret_beside = other;
		other = STRBUF_INIT;
	}
	return 0;
}
