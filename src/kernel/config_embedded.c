/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/config_embedded.h"

#include <errno.h>
#include <string.h>

#include "kernel/config_read.h"
#include "kernel/uncompress.h"

/* The whole of a distribution's takes 60 KiB. */
enum { STREAM_MOST = 4 << 20 };

/* The start mark and the head of a gzip stream: the mark alone may stand in a text. */
static const char start_mark[] = "IKCFG_ST\x1f\x8b\x08";
static const char end_mark[] = "IKCFG_ED";
enum { START_MARK = 8, START = sizeof(start_mark) - 1, END_MARK = sizeof(end_mark) - 1 };

/* Drops what can be no part of the stream. */
static void find_start(struct embedded_search *search)
{
	struct strbuf *window = &search->window;
	const char *found = memmem(window->data, window->size, start_mark, START);

	if (found != NULL) {
		search->found = true;
		strbuf_consume(window, (size_t)(found - window->data) + START_MARK);
	} else if (window->size >= START) {
		strbuf_consume(window, window->size - (START - 1));
	}
}

int embedded_feed(struct embedded_search *search, const void *data, size_t size, const char *what,
	struct caisson_error *err)
{
	struct strbuf *window = &search->window;
	const char *end;

	if (search->whole)
		return 1;
	strbuf_add(window, data, size);
	if (!strbuf_ok(window))
		return caisson_fail(err, ENOMEM, "read %s", what);
	if (!search->found)
		find_start(search);
	if (!search->found)
		return 0;
	end = memmem(window->data + search->searched, window->size - search->searched, end_mark,
		END_MARK);
	if (end != NULL) {
		window->size = (size_t)(end - window->data);
		search->whole = true;
		return 1;
	}
	if (window->size > STREAM_MOST)
		return caisson_refuse(err, EBADMSG,
			"%s holds a configuration that has no end within %d MiB", what,
			STREAM_MOST >> 20);
	search->searched = window->size >= END_MARK ? window->size - (END_MARK - 1) : 0;
	return 0;
}

int embedded_take(const struct embedded_search *search, const char *what, struct strbuf *text,
	struct caisson_error *err)
{
	int r;

	if (!search->found)
		return caisson_refuse(err, ENOMSG, "%s holds no kernel configuration", what);
	if (!search->whole)
		return caisson_refuse(err, EBADMSG,
			"%s holds a configuration that is not whole: it is cut, or was packed once more",
			what);
	r = uncompress_data(search->window.data, search->window.size, KERNEL_CONFIG_MOST, what,
		text, NULL, err);
	return r < 0 ? caisson_wrap(err, "the configuration inside") : 0;
}

void embedded_done(struct embedded_search *search)
{
	strbuf_done(&search->window);
}
