/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sectors as dm-crypt encrypts them, in user space: AES-XTS with plain64 IVs. */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/secret.h"

/* A cipher with its key and sector size. Threads may share it; each works with a run of its own. */
struct luks_cipher;
/* One thread's key schedule, in one direction. */
struct luks_cipher_run;

/* Whether payloads of this cipher ("aes-xts-plain64") and key size (bytes) can be worked on without
   the kernel. */
bool luks_cipher_known(const char *name, size_t key_size);
/* -ENOTSUP for one that is not known, -EINVAL for a sector size that is none. Copies the key. */
int luks_cipher_new(const char *name, uint32_t sector_size, const struct secret *volume_key,
	struct luks_cipher **ret_cipher, struct caisson_error *err);
void luks_cipher_free(struct luks_cipher *cipher);
DEFINE_CLEANUP(struct luks_cipher *, luks_cipher_free);
uint32_t luks_cipher_sector_size(const struct luks_cipher *cipher);

int luks_cipher_run_new(const struct luks_cipher *cipher, bool encrypt,
	struct luks_cipher_run **ret_run, struct caisson_error *err);
/*
 * Whole sectors, in place. @offset (bytes in the payload) and @size are multiples of the sector
 * size. The IV counts 512-byte units whatever the sector size is (dm-crypt without
 * iv_large_sectors, as LUKS2 does).
 */
int luks_cipher_run(struct luks_cipher_run *run, uint64_t offset, void *data, size_t size,
	struct caisson_error *err);
void luks_cipher_run_free(struct luks_cipher_run *run);
DEFINE_CLEANUP(struct luks_cipher_run *, luks_cipher_run_free);
