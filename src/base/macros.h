/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ownership: every owner is a variable with a _cleanup_ attribute; ownership leaves by take_ptr()
 * or take_fd(). Outputs are called ret_... and written only on success.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _unused_            __attribute__((unused))
#define _printf_(f, a)      __attribute__((format(printf, f, a)))

#define ARRAY_SIZE(array)   (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) \
	({ \
		__typeof__(a) a_ = (a); \
		__typeof__(b) b_ = (b); \
		a_ < b_ ? a_ : b_; \
	})
#define MAX(a, b) \
	({ \
		__typeof__(a) a_ = (a); \
		__typeof__(b) b_ = (b); \
		a_ > b_ ? a_ : b_; \
	})

#define take_ptr(pointer) \
	({ \
		__typeof__(pointer) taken_ = (pointer); \
		(pointer) = NULL; \
		taken_; \
	})

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Defines `void function##p(type *)` for _cleanup_ from a function that frees one object. */
#define DEFINE_CLEANUP(type, function) \
	static inline void function##p(type *object) \
	{ \
		if (*object) \
			function(*object); \
	} \
	struct define_cleanup_semicolon_##function

static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

/* Closes and keeps errno: a cleanup must not hide why its function failed. */
static inline void closep(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

DEFINE_CLEANUP(FILE *, fclose);
DEFINE_CLEANUP(DIR *, closedir);

#define _cleanup_free_     _cleanup_(freep)
#define _cleanup_close_    _cleanup_(closep)
#define _cleanup_fclose_   _cleanup_(fclosep)
#define _cleanup_closedir_ _cleanup_(closedirp)
