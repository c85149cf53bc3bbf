/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/error.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"

#ifdef __clang_analyzer__
#undef caisson_fail
#undef caisson_refuse
#undef caisson_wrap
#undef caisson_hint
#endif

static int code_of(int code)
{
	if (code == 0)
		return EIO;
	return abs(code);
}

int caisson_fail(struct caisson_error *err, int code, const char *format, ...)
{
	va_list args;
	size_t used;

	code = code_of(code);
	if (err == NULL)
		return -code;

	err->code = code;
	err->hint[0] = '\0';
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);

	used = strlen(err->message);
	snprintf(err->message + used, sizeof(err->message) - used, ": %s", strerror(code));
	text_flatten(err->message);
	return -code;
}

int caisson_refuse(struct caisson_error *err, int code, const char *format, ...)
{
	va_list args;

	code = code_of(code);
	if (err == NULL)
		return -code;

	err->code = code;
	err->hint[0] = '\0';
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	text_flatten(err->message);
	return -code;
}

int caisson_wrap(struct caisson_error *err, const char *format, ...)
{
	char context[CAISSON_ERROR_MESSAGE_MAX];
	char message[CAISSON_ERROR_MESSAGE_MAX];
	va_list args;

	if (err == NULL)
		return -EIO;

	va_start(args, format);
	vsnprintf(context, sizeof(context), format, args);
	va_end(args);

	/* The cause matters more than the context: cut the latter when both do not fit. */
	memcpy(message, err->message, sizeof(message));
	int room = (int)(sizeof(err->message) - strlen(message)) - 3;
	if (room > 0)
		snprintf(err->message, sizeof(err->message), "%.*s: %s", room, context, message);
	text_flatten(err->message);
	return -code_of(err->code);
}

int caisson_hint(struct caisson_error *err, const char *format, ...)
{
	va_list args;

	if (err == NULL)
		return -EIO;

	va_start(args, format);
	vsnprintf(err->hint, sizeof(err->hint), format, args);
	va_end(args);
	text_flatten(err->hint);
	return -code_of(err->code);
}
