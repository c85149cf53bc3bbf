/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the console log of a boot says went wrong, and what mends it. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>

#include "base/macros.h"

/* Bytes of a log; caisson keeps 16 MiB of a machine's. */
enum { EXPLAIN_LOG_MOST = 32 << 20 };

enum explain_verdict {
	EXPLAIN_FINE,        /* nothing wrong was found */
	EXPLAIN_EXPLAINED,   /* the boot failed, and a rule says why */
	EXPLAIN_UNEXPLAINED, /* it failed, and no rule knows how */
};

enum explain_sure {
	EXPLAIN_CERTAIN,
	EXPLAIN_LIKELY,
	EXPLAIN_POSSIBLE,
};

struct explain_mend {
	enum explain_mend_kind {
		EXPLAIN_NOTHING, /* ends a list */
		EXPLAIN_OPTION,  /* of the kernel's configuration */
		EXPLAIN_ARGUMENT,
		EXPLAIN_DO, /* anything else: a sentence */
	} kind;
	const char *what;   /* "CONFIG_RD_ZSTD", "console=ttyS0" */
	const char *reason; /* of an option, what is lost without it; NULL when nothing is to say */
};

#define EXPLAIN_MENDS_MOST 6

struct explain_finding {
	const char *rule; /* "initramfs-damaged" */
	enum explain_sure sure;
	unsigned long line; /* of the log, from 1; 0: no line says it */
	char *text;         /* that line, for a terminal; NULL without one */
	char *means;
	struct explain_mend mends[EXPLAIN_MENDS_MOST];
	size_t mend_count;
};

struct explanation {
	enum explain_verdict verdict;
	unsigned int boots; /* the last one is what was looked at */
	/* The best explanation first. With EXPLAIN_FINE, what is worth knowing all the same. */
	struct explain_finding *findings;
	size_t count;
	unsigned long panic_line; /* 0: the kernel did not panic */
	char *panic_text;
};

#define EXPLANATION_NONE ((struct explanation){EXPLAIN_FINE, 0, NULL, 0, 0, NULL})

/*
 * @text: a serial console's log, whatever is in it: escape sequences, NULs, lines without end, what
 * the firmware and QEMU say. Of several boots in it the last one counts.
 */
int explain_log(const char *text, size_t size, struct explanation *ret_explanation,
	struct caisson_error *err);
void explanation_done(struct explanation *explanation);

#define _cleanup_explanation_ _cleanup_(explanation_done)
