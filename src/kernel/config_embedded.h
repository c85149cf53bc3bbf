/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The configuration that a kernel, or its module configs.ko, carries (CONFIG_IKCONFIG). */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>

#include "base/strbuf.h"

/* A search through bytes that come in pieces: what kernel/configs.c of the kernel puts there is a
   gzip stream between "IKCFG_ST" and "IKCFG_ED". */
struct embedded_search {
	struct strbuf window; /* the end of what was seen; from the stream's start on, once found */
	size_t searched;      /* how much of the window has no end mark */
	bool found, whole;
};

#define EMBEDDED_SEARCH_INIT ((struct embedded_search){STRBUF_INIT, 0, false, false})

/* 1 when all of the stream is there and nothing more is needed, 0 to go on. */
int embedded_feed(struct embedded_search *search, const void *data, size_t size, const char *what,
	struct caisson_error *err);
/* Appends the configuration to @text. -ENOMSG when none was seen, -EBADMSG for a damaged one. */
int embedded_take(const struct embedded_search *search, const char *what, struct strbuf *text,
	struct caisson_error *err);
void embedded_done(struct embedded_search *search);
