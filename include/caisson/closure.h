/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_CLOSURE_H
#define CAISSON_CLOSURE_H

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What a program opens by itself (dlopen) and should find. */
enum caisson_dlopen {
	CAISSON_DLOPEN_REQUIRED, /* what nothing works without */
	CAISSON_DLOPEN_NONE,
	CAISSON_DLOPEN_RECOMMENDED,
	CAISSON_DLOPEN_ALL,
};

/** struct caisson_closure_options - how to look. Zero is the default. */
struct caisson_closure_options {
	const char *root; /* everything is inside of it; NULL: the running system */
	enum caisson_dlopen dlopen;
	const char *library_path; /* as LD_LIBRARY_PATH; NULL: not set */
	const char *hwcaps;       /* "baseline" (NULL), "host", "all", or "x86-64-v3" */
	bool with_config;         /* configuration that libraries read, too */
};

/** struct caisson_closure_file - a file or link that has to be there; valid during the call. */
struct caisson_closure_file {
	const char *path;      /* absolute inside the root; no link in its folders */
	const char *target;    /* of a symbolic link; else NULL */
	const char *source;    /* of a file: where to read it on this machine; else NULL */
	const void *data;      /* of a file that is made here: @size bytes; else NULL */
	uint64_t size;         /* bytes; 0 of a link */
	mode_t mode;           /* permission bits */
	const char *rule;      /* how it was found: "runpath", "ld.so.cache", "dlopen", ... */
	const char *wanted_by; /* path of what asked first; NULL for the programs */
};

/** struct caisson_closure_problem - something that a program would miss; valid during the call. */
struct caisson_closure_problem {
	const char *program;   /* as it was asked for */
	const char *name;      /* of the library */
	const char *wanted_by; /* path of what asks for it */
	const char *message;   /* one sentence, no full stop */
};

/** struct caisson_closure_watcher - who is told. Each may be NULL; 0 goes on, anything else ends
 * the call and is returned. */
struct caisson_closure_watcher {
	int (*file)(const struct caisson_closure_file *file, void *userdata);
	int (*problem)(const struct caisson_closure_problem *problem, void *userdata);
	void *userdata;
};

/**
 * caisson_closure() - find every file that programs need in order to run.
 * @files: programs, libraries and scripts: absolute paths inside the root.
 * @watcher: told of each problem, then of each file and link, sorted by path.
 *
 * Files are read as the loader would follow them; nothing is run. Each library is read once,
 * however many programs need it. Returns: 0 when everything is there, 1 when there are problems; a
 * negative errno when one of
 * @files cannot be read. Since: 0.1.
 */
CAISSON_EXPORT int caisson_closure(const char *const files[], size_t count,
	const struct caisson_closure_options *options,
	const struct caisson_closure_watcher *watcher, struct caisson_error *err);

#ifdef __cplusplus
}
#endif

#endif
