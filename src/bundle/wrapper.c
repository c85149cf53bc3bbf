/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "base/strbuf.h"
#include "bundle/plan.h"

/* For a word of sh: in single quotes, which nothing but another single quote ends. */
static void add_quoted(struct strbuf *text, const char *word)
{
	strbuf_add_char(text, '\'');
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			strbuf_add_string(text, "'\\''");
		else
			strbuf_add_char(text, *word);
	}
	strbuf_add_char(text, '\'');
}

/* A kernel gives a script's own path in $0, with a slash; "sh NAME" does not. Links are read by
   readlink, or by ls where there is none: sh has no word of its own for it. The dot behind a
   command's output keeps newlines at the end of a name. */
static const char find_top[] =
	"self=$0\n"
	"case $self in\n"
	"*/*) ;;\n"
	"*) if [ -f \"$self\" ]; then self=./$self; else self=$(command -v -- \"$self\"); fi ;;\n"
	"esac\n"
	"while [ -h \"$self\" ]; do\n"
	"\tlink=$(readlink \"$self\" 2>/dev/null && echo .) || {\n"
	"\t\tlink=$(ls -ld \"$self\" && echo .) || exit 127\n"
	"\t\tlink=${link#*\" $self -> \"}\n"
	"\t}\n"
	"\tlink=${link%?.}\n"
	"\tcase $link in\n"
	"\t/*) self=$link ;;\n"
	"\t*) self=${self%/*}/$link ;;\n"
	"\tesac\n"
	"done\n"
	"top=$(unset CDPATH; cd -P \"${self%/*}/..\" && pwd -P && echo .) || exit 127\n"
	"top=${top%?.}\n"
	"top=${top%/}\n";

char *wrapper_script(const char *loader, const char *program, bool argv0)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	strbuf_add_string(&text,
		"#!/bin/sh\n"
		"# Made by caisson bundle: starts a program by the loader that is bundled with it.\n");
	strbuf_add_string(&text, find_top);
	strbuf_add_string(&text, "exec \"$top\"/lib/");
	add_quoted(&text, loader);
	strbuf_add_string(&text, " --library-path \"$top/lib\"");
	if (argv0)
		strbuf_add_string(&text, " --argv0 \"$0\"");
	strbuf_add_string(&text, " \"$top\"/libexec/");
	add_quoted(&text, program);
	strbuf_add_string(&text, " \"$@\"\n");
	return strbuf_take(&text);
}
