/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One libcryptsetup context, shared by what works on containers; inside luks/ only. */
#pragma once

#include <caisson/error.h>
#include <libcryptsetup.h>

#include "base/macros.h"
#include "base/secret.h"
#include "luks/luks.h"
#include "luks/metadata.h"

struct luks_device {
	struct crypt_device *context;
	/* The last thing that libcryptsetup complained about; it never holds key material. */
	char complaint[256];
};

#define LUKS_DEVICE_NONE ((struct luks_device){.context = NULL})

/* Global settings of libcryptsetup, always the same: what it says outside a context goes nowhere
   (and not to standard error), and it takes no metadata locks, whose folder only root can make. */
void luks_quiet(void);
/* Nobody would complete a udev cookie: libdevmapper must make the nodes in /dev/mapper itself. */
void luks_without_udev(void);
#define LUKS_SHOWN_SIZE 256
/* @path, or what the descriptor that it names is open on: for people to read. */
const char *luks_shown(const char *path, char buffer[LUKS_SHOWN_SIZE]);
/* Opens a context for the file or device at @path, silent and without metadata locks. @device must
   stay where it is until luks_device_done(). */
int luks_device_init(struct luks_device *device, const char *path, struct caisson_error *err);
/* luks_device_init(), and loads the header. -EBADMSG when neither copy can be used. */
int luks_device_load(struct luks_device *device, const char *path, struct caisson_error *err);
int luks_device_metadata(struct luks_device *device, const char *path,
	struct luks_metadata *ret_metadata, struct caisson_error *err);
/* luks_unlock() on a loaded header. */
int luks_device_unlock(struct luks_device *device, const char *path,
	const struct luks_facts *expected, const struct secret *machine_key,
	struct secret *ret_volume_key, struct caisson_error *err);
/* caisson_fail() with libcryptsetup's complaint behind it. */
int luks_device_fail(
	const struct luks_device *device, int code, struct caisson_error *err, const char *what);
void luks_device_done(struct luks_device *device);

#define _cleanup_luks_device_ _cleanup_(luks_device_done)

/* Opens it read-write, and says how large it is. */
int luks_open_sized(const char *path, uint64_t *ret_size, struct caisson_error *err);
/* Makes [@offset, @offset + @length) read as zeros, giving the space back where that can be done.
 */
int luks_zero_range(
	int fd, uint64_t offset, uint64_t length, const char *what, struct caisson_error *err);
int luks_split_cipher(const char *cipher, char *ret_name, size_t size, const char **ret_mode,
	struct caisson_error *err);
/* Both of a container that is made. */
#define LUKS_FORMAT_METADATA_SIZE (2 * UINT64_C(16384)) /* both copies of the header */
/* Room for eight keyslots, as many as LUKS1 had. What is left before the payload stays empty:
   filling the stock 16 MiB with random bytes would be most of the time that a small volume takes to
   make. */
#define LUKS_FORMAT_KEYSLOTS_SIZE (UINT64_C(2) << 20)
int luks_format_check(const struct luks_format_options *options, struct caisson_error *err);
int luks_new_volume_key(size_t size, struct secret *ret_key, struct caisson_error *err);
