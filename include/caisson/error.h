/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors: a code for the program, a sentence for the person, and what to do.
 *
 * An error object lives on the caller's stack and never allocates, so that it works when memory is
 * gone and in PID 1. A function that can fail returns 0 (or a count) or a negative errno, and the
 * place that first saw the failure says why, once, with caisson_fail(). Callers on the way up add
 * only what they alone know (caisson_wrap()), or nothing.
 */
#ifndef CAISSON_ERROR_H
#define CAISSON_ERROR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && __GNUC__ >= 4
#define CAISSON_EXPORT __attribute__((visibility("default")))
#else
#define CAISSON_EXPORT
#endif

/** Longest sentence that an error carries, in bytes with its NUL; longer ones are cut. */
#define CAISSON_ERROR_MESSAGE_MAX 768
/** Longest hint, in bytes with its NUL. */
#define CAISSON_ERROR_HINT_MAX 384

/**
 * struct caisson_error - why a call failed.
 * @code: positive errno value of the first failure; 0 while nothing failed.
 * @message: one line, no full stop, no key material; empty while nothing failed.
 * @hint: what the user can do about it; empty when there is nothing to say.
 *
 * Initialise with `struct caisson_error err = {0};`. Owns no memory; copy it freely.
 */
struct caisson_error {
	int code;
	char message[CAISSON_ERROR_MESSAGE_MAX];
	char hint[CAISSON_ERROR_HINT_MAX];
};

/**
 * caisson_fail() - record a failure.
 * @err: where to; NULL is allowed.
 * @code: an errno value, positive or negative; 0 is taken as EIO.
 * @format: printf format of the sentence. `: strerror(code)` is appended.
 *
 * An error that is already recorded is replaced, hint included.
 * Returns: -@code. Since: 0.1.
 */
CAISSON_EXPORT int caisson_fail(struct caisson_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * caisson_refuse() - record a failure whose sentence says it all (nothing is appended).
 *
 * For what strerror() cannot say: bad input, a policy, a missing feature.
 * Returns: -@code. Since: 0.1.
 */
CAISSON_EXPORT int caisson_refuse(struct caisson_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * caisson_wrap() - put context in front of the recorded sentence: "context: sentence".
 *
 * Returns: the negative code that is recorded, so that `return caisson_wrap(...)` reads well.
 * Since: 0.1.
 */
CAISSON_EXPORT int caisson_wrap(struct caisson_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * caisson_hint() - say what the user can do; replaces an earlier hint.
 *
 * Returns: the negative code that is recorded. Since: 0.1.
 */
CAISSON_EXPORT int caisson_hint(struct caisson_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* The static analyzer cannot see that these never return 0. */
#define caisson_fail(...)   ((caisson_fail)(__VA_ARGS__), -5)
#define caisson_refuse(...) ((caisson_refuse)(__VA_ARGS__), -5)
#define caisson_wrap(...)   ((caisson_wrap)(__VA_ARGS__), -5)
#define caisson_hint(...)   ((caisson_hint)(__VA_ARGS__), -5)
#endif

#ifdef __cplusplus
}
#endif

#endif
