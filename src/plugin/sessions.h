/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the plug-in has to remember of a volume, in STATE/plugin/NAME.json (docs/state.md): what it
 * was made with, and who uses it.
 *
 * What is on disk is the truth, and only as far as the volume agrees: the record is of a container
 * with one UUID; the users are of one boot of the host and of one mount. session_settle() forgets
 * what does not hold any more.
 */
#pragma once

#include <caisson/error.h>
#include <caisson/log.h>
#include <caisson/volume.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/macros.h"

/* Who mounted it, by the ID that the engine sent. One ID comes more than once: "docker cp" uses a
   running container's. */
struct session_user {
	char *id;
	uint64_t count;
};

struct session {
	char uuid[40];
	struct json_object *options; /* as they were given when it was made; NULL: not by us */
	char boot[40];
	uint64_t mount; /* the kernel's ID of the mount; 0: not known (yet) */
	uint64_t disk;  /* the sequence number of the disk in it; 0: none, or not known (yet) */
	bool mounted;   /* by us: ours to unmount when the last user has gone */
	struct session_user *users;
	size_t user_count;
};

#define SESSION_NONE         ((struct session){.options = NULL})
#define SESSION_ID_MOST      255
#define SESSION_USERS_MOST   4096
#define SESSION_OPTION_MOST  4096
#define SESSION_OPTIONS_MOST 32

void session_done(struct session *session);

#define _cleanup_session_ _cleanup_(session_done)

/* One request at a time per volume, also among processes: closing the descriptor gives the lock
   back. Waits for at most SESSION_LOCK_WAIT_S, then -EBUSY. */
#define SESSION_LOCK_WAIT_S 100
int session_lock(const char *state, const char *name, int *ret_lock, struct caisson_error *err);
/* What cannot be read is as if it were not there, and a line in @log. */
int session_load(const char *state, const char *name, struct session *ret_session,
	const struct caisson_log *log, struct caisson_error *err);
int session_save(const char *state, const char *name, const struct session *session,
	struct caisson_error *err);
int session_forget(const char *state, const char *name, struct caisson_error *err);

/* Forgets what is of another volume (@uuid), another boot, or another mount than there is now. */
int session_settle(struct session *session, const char *uuid,
	const struct caisson_volume_opened *opened, struct caisson_error *err);
/* Notes which mount the users are of. */
void session_note_mount(struct session *session, const struct caisson_volume_opened *opened);

int session_add(struct session *session, const char *id, struct caisson_error *err);
/* False when @id is none of the users. */
bool session_drop(struct session *session, const char *id);
/* Nobody uses it, and nobody mounted it. */
void session_clear_users(struct session *session);

/* For the two above, and for the fuzzer. */
int session_parse(const char *text, size_t size, const char *what, struct session *ret_session,
	struct caisson_error *err);
