/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcaisson: encrypted storage for virtual machines.
 *
 * Every call takes a context, which knows where the state is and where log lines go. A context is
 * not for two threads at once; two contexts, also of two processes, may work on one state
 * directory.
 */
#ifndef CAISSON_CAISSON_H
#define CAISSON_CAISSON_H

#include <caisson/error.h>
#include <caisson/log.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct caisson;

/**
 * caisson_open() - open a state directory, making it when it is missing.
 * @ret_caisson: the context, owned by the caller: caisson_close().
 * @state: the directory of volumes, images, machines and wrapped keys (mode 0700 when made).
 * @config: the directory of the key-encryption key; keep it out of backups of @state.
 * @log: where lines go; NULL for silence. Copied.
 *
 * Returns: 0 or a negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_open(struct caisson **ret_caisson, const char *state, const char *config,
	const struct caisson_log *log, struct caisson_error *err);

/** caisson_close() - free a context; NULL is fine. Since: 0.1. */
CAISSON_EXPORT void caisson_close(struct caisson *caisson);

/** caisson_version() - "MAJOR.MINOR.PATCH" of the library; static. Since: 0.1. */
CAISSON_EXPORT const char *caisson_version(void);

#ifdef __cplusplus
}
#endif

#endif
