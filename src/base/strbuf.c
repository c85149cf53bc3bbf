/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/strbuf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *strbuf_reserve(struct strbuf *buffer, size_t size)
{
	size_t wanted, capacity;
	char *data;

	if (buffer->failed || size > SIZE_MAX / 2 - buffer->size - 1) {
		buffer->failed = true;
		return NULL;
	}
	wanted = buffer->size + size + 1;
	if (wanted > buffer->capacity) {
		capacity = MAX(wanted + 64, buffer->capacity * 2);
		data = realloc(buffer->data, capacity);
		if (data == NULL) {
			buffer->failed = true;
			return NULL;
		}
		buffer->data = data;
		buffer->capacity = capacity;
	}
	return buffer->data + buffer->size;
}

void strbuf_commit(struct strbuf *buffer, size_t size)
{
	buffer->size += size;
	buffer->data[buffer->size] = '\0';
}

void strbuf_add(struct strbuf *buffer, const void *data, size_t size)
{
	void *to = strbuf_reserve(buffer, size);

	if (to == NULL)
		return;
	if (size > 0)
		memcpy(to, data, size);
	strbuf_commit(buffer, size);
}

void strbuf_add_string(struct strbuf *buffer, const char *text)
{
	strbuf_add(buffer, text, strlen(text));
}

void strbuf_add_char(struct strbuf *buffer, char c)
{
	strbuf_add(buffer, &c, 1);
}

void strbuf_add_formatv(struct strbuf *buffer, const char *format, va_list args)
{
	va_list again;
	int size;
	char *to;

	va_copy(again, args);
	size = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (size < 0) {
		buffer->failed = true;
		return;
	}
	to = strbuf_reserve(buffer, (size_t)size);
	if (to == NULL)
		return;
	vsnprintf(to, (size_t)size + 1, format, args);
	strbuf_commit(buffer, (size_t)size);
}

void strbuf_add_format(struct strbuf *buffer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	strbuf_add_formatv(buffer, format, args);
	va_end(args);
}

void strbuf_consume(struct strbuf *buffer, size_t size)
{
	if (size == 0)
		return;
	memmove(buffer->data, buffer->data + size, buffer->size - size);
	buffer->size -= size;
	buffer->data[buffer->size] = '\0';
}

void strbuf_clear(struct strbuf *buffer)
{
	buffer->size = 0;
	if (buffer->data != NULL)
		buffer->data[0] = '\0';
}

void strbuf_done(struct strbuf *buffer)
{
	free(buffer->data);
	*buffer = STRBUF_INIT;
}

char *strbuf_take(struct strbuf *buffer)
{
	char *data;

	strbuf_add(buffer, "", 0);
	if (buffer->failed) {
		strbuf_done(buffer);
		return NULL;
	}
	data = buffer->data;
	*buffer = STRBUF_INIT;
	return data;
}

void text_flatten(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++) {
		/* U+0080 to U+009F in UTF-8: terminals obey them, too. */
		if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			p[0] = p[1] = '?';
		else if (*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
}

char *format_string(const char *format, ...)
{
	struct strbuf buffer = STRBUF_INIT;
	va_list args;

	va_start(args, format);
	strbuf_add_formatv(&buffer, format, args);
	va_end(args);
	return strbuf_take(&buffer);
}

void strv_add_owned(struct strv *list, char *text)
{
	char **items;
	size_t capacity;

	if (text == NULL || list->failed) {
		free(text);
		list->failed = true;
		return;
	}
	if (list->count + 2 > list->capacity) {
		capacity = MAX((size_t)8, list->capacity * 2);
		items = reallocarray(list->items, capacity, sizeof(*items));
		if (items == NULL) {
			free(text);
			list->failed = true;
			return;
		}
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = text;
	list->items[list->count] = NULL;
}

void strv_add(struct strv *list, const char *text)
{
	strv_add_owned(list, strdup(text));
}

void strv_add_format(struct strv *list, const char *format, ...)
{
	struct strbuf buffer = STRBUF_INIT;
	va_list args;

	va_start(args, format);
	strbuf_add_formatv(&buffer, format, args);
	va_end(args);
	strv_add_owned(list, strbuf_take(&buffer));
}

bool strv_contains(const struct strv *list, const char *text)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->items[i], text) == 0)
			return true;
	}
	return false;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *list)
{
	if (list->count > 1)
		qsort(list->items, list->count, sizeof(*list->items), compare_strings);
}

void strv_done(struct strv *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = STRV_INIT;
}
