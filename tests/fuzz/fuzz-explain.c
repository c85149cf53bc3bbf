/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A console's log, as hostile as a guest may write it. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "kernel/explain.h"

/* For a terminal: no control characters, and UTF-8. */
static void check_text(const char *text)
{
	if (text == NULL)
		return;
	if (!utf8_valid(text) || strlen(text) > 4096)
		abort();
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_explanation_ struct explanation explanation = EXPLANATION_NONE;

	if (explain_log((const char *)data, size, &explanation, NULL) < 0)
		return 0;
	if (explanation.verdict == EXPLAIN_EXPLAINED && explanation.count == 0)
		abort();
	check_text(explanation.panic_text);
	for (size_t i = 0; i < explanation.count; i++) {
		if (explanation.findings[i].line > size || explanation.findings[i].means == NULL)
			abort();
		check_text(explanation.findings[i].text);
		check_text(explanation.findings[i].means);
	}
	return 0;
}
