/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How libraries speak: through a callback that the program set. They never print by themselves. */
#pragma once

#include <caisson/log.h>

#include "base/macros.h"

/* Both are silent when @log, or its callback, is NULL. */
void log_note(const struct caisson_log *log, const char *format, ...) _printf_(2, 3);
void log_warning(const struct caisson_log *log, const char *format, ...) _printf_(2, 3);
void log_debug(const struct caisson_log *log, const char *format, ...) _printf_(2, 3);
