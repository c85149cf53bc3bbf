/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Libraries that are opened by name at run time, where no header tells: a table. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "closure/closure.h"
#include "elf/reader.h"

enum { DLOPEN_PATTERNS_MOST = 5 };

/*
 * In every path, "{lib}" is the folder that the caller stands in, once as it is and once below
 * /usr; the last part may hold wildcards (fnmatch(3)).
 */
struct dlopen_rule {
	const char *feature; /* what is served, as the report has it */
	const char *caller;  /* pattern of the soname (or file name) of the library that opens it */
	uint32_t imports;    /* when any object refers to one of these (bits of dlopen_watch); 0:
				always */
	enum closure_dlopen priority;
	/* A soname, or a pattern of paths; "%s" in it is each word that @words says. */
	const char *library;
	/* Where the words are: the files, what lines must begin with (behind it a colon; several
	   keys with spaces between; NULL: any line), the pattern of a word. */
	struct {
		const char *files, *keys, *pattern;
	} words;
	const char *data[DLOPEN_PATTERNS_MOST];   /* files that the libraries do not work without */
	const char *config[DLOPEN_PATTERNS_MOST]; /* the user's and the administrator's */
	const char *reason; /* "needs it REASON"; NULL where priority is not required */
};

extern const struct elf_watch dlopen_watch;
extern const struct dlopen_rule dlopen_rules[];
extern const size_t dlopen_rule_count; /* at most 64 */

/* Bit N: the library is the caller of rule N. */
uint64_t dlopen_rules_of(const char *soname);
