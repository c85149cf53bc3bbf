/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/strbuf.h"

static _printf_(3, 0) void log_line(const struct caisson_log *log, enum caisson_log_level level,
	const char *format, va_list args)
{
	char text[1024];

	if (log == NULL || log->line == NULL)
		return;
	vsnprintf(text, sizeof(text), format, args);
	text_flatten(text);
	log->line(level, text, log->userdata);
}

#define DEFINE_LOG(name, level) \
	void name(const struct caisson_log *log, const char *format, ...) \
	{ \
		va_list args; \
		va_start(args, format); \
		log_line(log, level, format, args); \
		va_end(args); \
	}

DEFINE_LOG(log_note, CAISSON_LOG_NOTE)
DEFINE_LOG(log_warning, CAISSON_LOG_WARNING)
DEFINE_LOG(log_debug, CAISSON_LOG_DEBUG)
