/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_BUNDLE_H
#define CAISSON_BUNDLE_H

#include <caisson/closure.h>
#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum caisson_bundle_layout {
	CAISSON_BUNDLE_SAME, /* everything at the path that it has in the root */
	CAISSON_BUNDLE_FLAT, /* programs in bin/, libraries and loaders in lib/ */
};

enum caisson_bundle_kind {
	CAISSON_BUNDLE_FILE,
	CAISSON_BUNDLE_SYMLINK,
	CAISSON_BUNDLE_FOLDER,
};

enum caisson_bundle_state {
	CAISSON_BUNDLE_NEW,
	CAISSON_BUNDLE_KEPT,     /* was there already, as it should be */
	CAISSON_BUNDLE_REPLACED, /* was there, and was another */
	CAISSON_BUNDLE_REMOVED,  /* an earlier bundle needed it; nothing does now */
};

/** How far a bundle was proved to be complete. */
enum caisson_bundle_proof {
	CAISSON_BUNDLE_UNPROVED,
	CAISSON_BUNDLE_BY_READING, /* found again by reading, inside the bundle alone */
	CAISSON_BUNDLE_BY_LOADER,  /* the bundle's own loader found everything inside it */
};

/** struct caisson_bundle_program - a program of a bundle; valid during the call. */
struct caisson_bundle_program {
	const char *asked;     /* path inside the root */
	const char *path;      /* of its file in the bundle */
	const char *starts;    /* what to start: @path, a link to it, or its wrapper */
	const char *loader;    /* its interpreter in the bundle; NULL: it has none */
	const char *libraries; /* folder to give to @loader as --library-path; NULL: none */
};

/** struct caisson_bundle_file - a file or link of a bundle; valid during the call. */
struct caisson_bundle_file {
	const char *path; /* absolute inside the bundle */
	enum caisson_bundle_kind kind;
	enum caisson_bundle_state state;
	const char *target; /* of a link; else NULL */
	mode_t mode;
	uint64_t size;         /* bytes in the bundle */
	uint64_t source_size;  /* before debug sections were dropped */
	const char *rule;      /* how it was found; "" for what is removed */
	const char *wanted_by; /* path inside the root; NULL for programs and what is made here */
};

/** struct caisson_bundle_watcher - what is told while a bundle is made. Each may be NULL; 0 goes
 * on, anything else ends the call and is returned. Files come sorted by path. */
struct caisson_bundle_watcher {
	int (*program)(const struct caisson_bundle_program *program, void *userdata);
	int (*file)(const struct caisson_bundle_file *file, void *userdata);
	/* What some program could open by itself, and options->dlopen keeps out: "FEATURE (LEVEL)".
	 */
	int (*left_out)(const char *feature, void *userdata);
	void *userdata;
};

/** struct caisson_bundle_options - what to bundle, and how. Zero is the default. */
struct caisson_bundle_options {
	const char *into;            /* a folder, or an archive by its name (.cpio, .tar.gz, ...) */
	const char *const *programs; /* absolute paths inside the root */
	size_t program_count;
	const char *root; /* NULL: the running system */
	enum caisson_bundle_layout layout;
	enum caisson_dlopen dlopen;
	const char *library_path; /* folders that are searched first, as LD_LIBRARY_PATH; NULL */
	const char *hwcaps;       /* processor features that libraries may want; NULL: default */
	bool with_config;         /* with configuration that libraries read */
	bool strip;               /* without debug sections */
	bool wrapper;             /* flat only: programs start by a script in bin/ */
	bool verify;              /* start the bundle's own loader to prove it complete */
	bool replace;             /* overwrite what is not a bundle's */
	bool no_manifest;
	int64_t time; /* modification time of everything, seconds since the epoch */
};

/** struct caisson_bundle_report - what was made. Sizes in bytes. */
struct caisson_bundle_report {
	uint64_t files, links; /* that the programs at hand need */
	uint64_t size;         /* of these files; hard links count once */
	uint64_t written;      /* of new and replaced files; of an archive: all of it */
	uint64_t kept;         /* of files that were there already */
	uint64_t stripped;     /* saved by dropping debug sections */
	uint64_t removed;      /* files and links that nothing needs any more */
	uint64_t archive_size; /* 0 for a folder */
	bool archive_unchanged;
	enum caisson_bundle_proof proof;
	char proof_reason[256]; /* why not by the loader; "" when there is nothing to say */
};

/**
 * caisson_bundle() - copy programs and everything that they need to run into a folder or an
 * archive.
 * @watcher: told of each program and file when all is written; may be NULL.
 *
 * Nothing of the root is run; with options->verify the bundle's own loader is, confined. Everything
 * is resolved inside the folder: no link in it leads outside. A call that is killed is completed by
 * the next one. The same inputs give the same bytes.
 * Returns: 0; -EEXIST when something else stands in the way (nothing is written then); -ENOENT when
 * a library is missing; -EPROTO when the proof failed; another negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_bundle(const struct caisson_bundle_options *options,
	const struct caisson_bundle_watcher *watcher, struct caisson_bundle_report *ret_report,
	struct caisson_error *err);

enum caisson_bundle_verdict {
	CAISSON_BUNDLE_MISSING, /* recorded, and not there */
	CAISSON_BUNDLE_DAMAGED, /* not as it was recorded */
	CAISSON_BUNDLE_STALE,   /* the system has another one now */
	CAISSON_BUNDLE_GONE,    /* the system has none any more */
	CAISSON_BUNDLE_LACKING, /* a bundle made now would hold it */
};

/** struct caisson_bundle_finding - something that is wrong with a bundle; valid during the call. */
struct caisson_bundle_finding {
	enum caisson_bundle_verdict verdict;
	const char *path; /* in the bundle; of a program that cannot be resolved: inside the root */
	const char *source;  /* on this machine; NULL when it plays no part */
	const char *message; /* one sentence, no full stop */
};

/** struct caisson_bundle_checked - what a check went through. */
struct caisson_bundle_checked {
	uint64_t programs, files, findings;
};

/**
 * caisson_bundle_check() - compare a bundle with what was recorded when it was made, and with the
 * system that it was made of.
 * @folder: the bundle, with its manifest.
 * @root: where its sources are now; NULL: where they were then.
 * @each: told of each finding; may be NULL. 0 goes on, anything else ends the call.
 *
 * Only reads. Returns: 0 when everything is as it should be, 1 when there are findings, -ENOENT
 * when the folder holds no manifest, another negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_bundle_check(const char *folder, const char *root,
	int (*each)(const struct caisson_bundle_finding *finding, void *userdata), void *userdata,
	struct caisson_bundle_checked *ret_checked, struct caisson_error *err);

#ifdef __cplusplus
}
#endif

#endif
