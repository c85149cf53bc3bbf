/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Growing byte and string buffers. Running out of memory is sticky: append freely, then ask once
 * with strbuf_ok() (or let strbuf_take() return NULL). Not for key material: see base/secret.h.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

struct strbuf {
	char *data; /* NUL-terminated when not NULL; the NUL is not counted */
	size_t size;
	size_t capacity;
	bool failed;
};

#define STRBUF_INIT ((struct strbuf){NULL, 0, 0, false})

void strbuf_add(struct strbuf *buffer, const void *data, size_t size);
void strbuf_add_string(struct strbuf *buffer, const char *text);
void strbuf_add_char(struct strbuf *buffer, char c);
void strbuf_add_format(struct strbuf *buffer, const char *format, ...) _printf_(2, 3);
void strbuf_add_formatv(struct strbuf *buffer, const char *format, va_list args) _printf_(2, 0);
/* Makes room for @size more bytes and returns where they go, or NULL; see strbuf_commit(). */
void *strbuf_reserve(struct strbuf *buffer, size_t size);
void strbuf_commit(struct strbuf *buffer, size_t size);
/* Drops @size bytes from the front. */
void strbuf_consume(struct strbuf *buffer, size_t size);
/* Makes the buffer empty and keeps its memory. */
void strbuf_clear(struct strbuf *buffer);
void strbuf_done(struct strbuf *buffer);
/* The text, owned by the caller, never NULL unless memory ran out. */
char *strbuf_take(struct strbuf *buffer);

static inline bool strbuf_ok(const struct strbuf *buffer)
{
	return !buffer->failed;
}

#define _cleanup_strbuf_ _cleanup_(strbuf_done)

/* Makes one line of @text that a terminal only shows, whatever a stranger put into it: control
   characters become '?'. */
void text_flatten(char *text);
/* asprintf() that returns the text or NULL. */
char *format_string(const char *format, ...) _printf_(1, 2);

/* A growing, NULL-terminated array of owned strings. */
struct strv {
	char **items;
	size_t count;
	size_t capacity;
	bool failed;
};

#define STRV_INIT ((struct strv){NULL, 0, 0, false})

void strv_add(struct strv *list, const char *text);
void strv_add_format(struct strv *list, const char *format, ...) _printf_(2, 3);
/* Takes ownership of @text, which may be NULL when memory ran out. */
void strv_add_owned(struct strv *list, char *text);
bool strv_contains(const struct strv *list, const char *text);
/* Sorts by bytes (strcmp), the order of every listing and archive. */
void strv_sort(struct strv *list);
void strv_done(struct strv *list);

static inline bool strv_ok(const struct strv *list)
{
	return !list->failed;
}

#define _cleanup_strv_ _cleanup_(strv_done)
