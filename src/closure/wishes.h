/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an object says itself that it dlopens, out of its notes' JSON
   (systemd.io/ELF_DLOPEN_METADATA). */
#pragma once

#include <stddef.h>

#include "closure/library.h"

/* Adds what one note says. Advice that cannot be read is no advice: -ENOMEM alone. */
int wishes_add(const char *json, struct library_wish **wishes, size_t *count);
void wishes_free(struct library_wish *wishes, size_t count);
