/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_VOLUME_H
#define CAISSON_VOLUME_H

#include <caisson/caisson.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct caisson_volume - what is known of a volume. Plain data: copy it freely. */
struct caisson_volume {
	char name[64];
	char path[4096];     /* of the LUKS2 container */
	uint64_t size;       /* apparent size of the container, bytes */
	uint64_t allocated;  /* what it takes of the host's disk, bytes */
	uint64_t created;    /* seconds since the epoch; 0 when unknown */
	bool has_key;        /* the key service holds its key */
	bool in_use;         /* a machine has it open */
	char holder[128];    /* who; "" when free */
	bool by_machine;     /* @holder is a machine's name */
	char filesystem[16]; /* "" when unknown */
	/* From the header, which is not authenticated; empty and 0 when it cannot be read. */
	char uuid[40];
	char cipher[64];
	uint32_t key_bits;
	uint32_t sector_size; /* bytes */
	uint64_t data_offset; /* bytes */
	char label[48];
	bool integrity; /* dm-integrity is under it */
	uint32_t keyslots, tokens;
	/* Of the filesystem, bytes, when it could be looked at (caisson_volume_inspect(), not in
	   use, the key service's key); 0 when not. */
	uint64_t filesystem_size, filesystem_used;
	char header_error[256]; /* why the header cannot be read; "" when it can */
};

/**
 * struct caisson_volume_key - what opens a volume.
 * @fd: -1: the key that the key service keeps. Else a descriptor that is read to its end, at most 8
 *      MiB; every byte counts, a newline too. It is the caller's to close.
 * @passphrase: what @fd holds was chosen by a person: a keyslot that is made of it is costly to
 *      guess at (Argon2id). Otherwise it is random, and gets one that is opened in milliseconds.
 * @memory_most: opening a keyslot may take so many bytes of memory; 0: 1 GiB. A header that asks
 * for more is refused before it is obeyed.
 */
struct caisson_volume_key {
	int fd;
	bool passphrase;
	bool recovery; /* (of a key that is added) random, and in letters: to be written down */
	uint64_t memory_most;
};

#define CAISSON_VOLUME_KEY_SERVICE ((struct caisson_volume_key){.fd = -1})

/** struct caisson_progress - told while something takes long, at most ten times a second. */
struct caisson_progress {
	void (*tell)(uint64_t done, uint64_t total, void *userdata); /* bytes; total 0: unknown */
	void *userdata;
};

/**
 * struct caisson_volume_create_options - zero is a good default for each, but for @key.
 */
struct caisson_volume_create_options {
	uint64_t size;          /* of the whole container, bytes; 0: what @from or @device needs */
	const char *filesystem; /* "ext4", "xfs", "btrfs", "none"; NULL: ext4 */
	/* A folder, a tar archive (of any compression) or the image of a filesystem, to be what is
	   in it; with filesystem "none" any file, byte for byte. NULL: empty. */
	const char *from;
	const char *device;    /* a block device to be the container; NULL: a file */
	bool overwrite;        /* @device may hold something already */
	bool preallocate;      /* take all of the space from the host's disk now */
	uint32_t sector_size;  /* 512 to 4096; 0: 4096 */
	const char *cipher;    /* NULL: "aes-xts-plain64" */
	uint32_t key_bits;     /* of the volume key; 0: 512 */
	const char *integrity; /* "hmac-sha256" or another of cryptsetup's; needs device-mapper */
	const char *label;     /* of header and filesystem; NULL: the volume's name */
	struct caisson_volume_key key;
	const struct caisson_progress *progress; /* may be NULL */
};

/**
 * caisson_volume_create() - make a LUKS2 container with a filesystem, and a key of its own.
 *
 * Needs neither root nor device-mapper, unless an option does. Yields a complete volume or leaves
 * nothing. Returns: 0; -EEXIST when the name is taken; another negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_create(struct caisson *caisson, const char *name,
	const struct caisson_volume_create_options *options, struct caisson_error *err);

/** How a volume is open: */
enum caisson_volume_way {
	CAISSON_VOLUME_ANY,       /* (as a wish) the kernel's where it can be had */
	CAISSON_VOLUME_KERNEL,    /* through dm-crypt */
	CAISSON_VOLUME_USERSPACE, /* by a process that serves it over NBD, and as a file over FUSE
				   */
};

struct caisson_volume_open_options {
	struct caisson_volume_key key;
	enum caisson_volume_way way;
	bool read_only;
	bool discard;              /* pass discards on: shows the host which blocks are in use */
	const char *target;        /* where to mount; NULL: STATE/mounts/NAME */
	const char *mount_options; /* as of mount(8)'s -o; NULL: none */
};

/** struct caisson_volume_opened - how it is open. Plain data. */
struct caisson_volume_opened {
	enum caisson_volume_way way;
	char why[256];          /* not through dm-crypt, and why; "" else */
	char device[256];       /* /dev/mapper/..., or the loop device; "" without one */
	char nbd[4096];         /* socket of the NBD server (export name: the volume's); "" */
	char file[4096];        /* the plain payload as a file (FUSE); "" */
	char mount_point[4096]; /* "" when it is not mounted */
	bool read_only;
	bool was_open; /* nothing had to be done */
};

/**
 * caisson_volume_open() - open a volume on this host; it stays open when the process ends.
 *
 * What is open already in the way that is wanted stays so (@was_open). -EBUSY when somebody else
 * has it. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_open(struct caisson *caisson, const char *name,
	const struct caisson_volume_open_options *options, struct caisson_volume_opened *ret_opened,
	struct caisson_error *err);

/** caisson_volume_close() - also when it is not open. -EBUSY while it is mounted or in use.
 * Since: 0.1. */
CAISSON_EXPORT int caisson_volume_close(
	struct caisson *caisson, const char *name, struct caisson_error *err);

/**
 * caisson_volume_mount() - open, if it is not, and mount its filesystem.
 * Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_mount(struct caisson *caisson, const char *name,
	const struct caisson_volume_open_options *options, struct caisson_volume_opened *ret_opened,
	struct caisson_error *err);

/**
 * caisson_volume_unmount() - unmount wherever it is mounted, and close. What is not mounted is no
 * failure.
 * @lazy: out of sight at once, and closed when the last user has gone.
 * Returns: 0; -EBUSY while files are open in it and @lazy is false. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_unmount(
	struct caisson *caisson, const char *name, bool lazy, struct caisson_error *err);

/**
 * caisson_volume_opened() - how it is open now.
 * Returns: 1 when it is open, 0 when not (also when a machine has it), negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_opened(struct caisson *caisson, const char *name,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err);

/** What caisson_volume_check() looked at, in this order: "header", "keyslots", "key", "filesystem".
 */
struct caisson_volume_finding {
	const char *part;
	bool good;
	bool skipped;     /* could not be looked at; the text says why */
	const char *text; /* one line */
};

/**
 * caisson_volume_check() - header, keyslot areas, key, filesystem, without changing anything.
 * Returns: 0 when all is good, 1 when something is not, negative errno when nothing can be said.
 * Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_check(struct caisson *caisson, const char *name,
	const struct caisson_volume_key *key,
	int (*each)(const struct caisson_volume_finding *finding, void *userdata), void *userdata,
	struct caisson_error *err);

/**
 * caisson_volume_resize() - container and filesystem. Growing works on an open volume, too.
 * @size: of the whole container, bytes.
 * Either all of the old size or all of the new one is there, whenever it is interrupted.
 * Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_resize(struct caisson *caisson, const char *name, uint64_t size,
	const struct caisson_volume_key *key, struct caisson_error *err);

/**
 * caisson_volume_key_add() - another key for the same volume.
 * @key: one that opens it. @added: the new one; fd -1: a key of the key service, for a volume
 * without.
 * @ret_keyslot: its number. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_key_add(struct caisson *caisson, const char *name,
	const struct caisson_volume_key *key, const struct caisson_volume_key *added,
	unsigned int *ret_keyslot, struct caisson_error *err);
/** caisson_volume_key_change() - the same in place of @key, whose keyslot is overwritten.
 * Since: 0.1. */
CAISSON_EXPORT int caisson_volume_key_change(struct caisson *caisson, const char *name,
	const struct caisson_volume_key *key, const struct caisson_volume_key *changed,
	unsigned int *ret_keyslot, struct caisson_error *err);
/**
 * caisson_volume_key_remove() - the keyslot that @key opens, or @keyslot when @key is NULL.
 * The last one is refused (-EPERM). Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_key_remove(struct caisson *caisson, const char *name,
	const struct caisson_volume_key *key, unsigned int keyslot, struct caisson_error *err);

/** struct caisson_volume_keyslot - what is told of one. */
struct caisson_volume_keyslot {
	unsigned int number;
	char kind[16]; /* "service", "passphrase", "key", "recovery", "other" */
	char kdf[16];
	uint64_t memory; /* bytes */
	uint64_t iterations;
};
/**
 * caisson_volume_keyslots() - call @each for every keyslot in use.
 * Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_keyslots(struct caisson *caisson, const char *name,
	int (*each)(const struct caisson_volume_keyslot *keyslot, void *userdata), void *userdata,
	struct caisson_error *err);

/** caisson_volume_backup() - write header and keyslots to the new file @path (mode 0600).
 * Since: 0.1. */
CAISSON_EXPORT int caisson_volume_backup(
	struct caisson *caisson, const char *name, const char *path, struct caisson_error *err);
/**
 * caisson_volume_restore() - put a header back that caisson_volume_backup() wrote.
 * @force: also one of another UUID or layout. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_restore(struct caisson *caisson, const char *name,
	const char *path, bool force, struct caisson_error *err);

/**
 * caisson_volume_copy() - a second volume with the same content and keys of its own.
 * @key: opens @name; @new_key: shall open @copy. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_copy(struct caisson *caisson, const char *name, const char *copy,
	const struct caisson_volume_key *key, const struct caisson_volume_key *new_key,
	const struct caisson_progress *progress, struct caisson_error *err);

struct caisson_volume_export_options {
	struct caisson_volume_key key;
	bool qcow2;     /* else raw */
	bool encrypted; /* a LUKS2 container that @new_key opens; else the plain filesystem */
	bool overwrite; /* @path may be there */
	struct caisson_volume_key new_key;
	const struct caisson_progress *progress; /* may be NULL */
};
/**
 * caisson_volume_export() - write the content to an image file. Whole, or not there.
 * Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_export(struct caisson *caisson, const char *name,
	const char *path, const struct caisson_volume_export_options *options,
	struct caisson_error *err);

/**
 * caisson_volume_list() - call @each for every volume, sorted by name.
 *
 * @each returns 0 to go on; anything else ends the list and is returned. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_list(struct caisson *caisson,
	int (*each)(const struct caisson_volume *volume, void *userdata), void *userdata,
	struct caisson_error *err);

/**
 * caisson_volume_inspect() - 0, or -ENOENT when there is none of that name.
 * Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_inspect(struct caisson *caisson, const char *name,
	struct caisson_volume *ret_volume, struct caisson_error *err);

/** struct caisson_volume_destroyed - what was there and is gone. */
struct caisson_volume_destroyed {
	bool unmounted, closed, key_removed, header_erased, discarded, files_removed,
		mount_point_removed;
};

/**
 * caisson_volume_destroy() - unmount, close, forget the key, overwrite the header, delete.
 * @ret_done: what was done, also when a step failed; may be NULL.
 *
 * Idempotent: what is gone already is fine, and every step is tried even when one before it failed.
 * Returns: 1 when there was something to destroy, 0 when there was nothing, -EBUSY while a machine
 * has it open, another negative errno: the first step's that failed. Since: 0.1.
 */
CAISSON_EXPORT int caisson_volume_destroy(struct caisson *caisson, const char *name,
	struct caisson_volume_destroyed *ret_done, struct caisson_error *err);

/**
 * caisson_parse_size() - "512M" in bytes: a whole number with an optional K, M, G or T (powers of
 * 1024).
 *
 * Returns: 0, -EINVAL, or -ERANGE when it is too large. Since: 0.1.
 */
CAISSON_EXPORT int caisson_parse_size(
	const char *text, uint64_t *ret_size, struct caisson_error *err);

#ifdef __cplusplus
}
#endif

#endif
