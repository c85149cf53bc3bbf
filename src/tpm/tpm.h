/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * As much of a TPM 2.0 as it takes to keep a secret that opens while the PCRs are what they were
 * (TPM 2.0 Library Specification, Part 3: CreatePrimary, Create, Load, StartAuthSession, PolicyPCR,
 * Unseal), spoken to the kernel's /dev/tpmrm0 directly. The parent is the storage key that every
 * TPM derives again from its own seed: nothing is stored in the TPM.
 *
 * What goes to the TPM and back is not encrypted on its way: whoever listens between the processor
 * and a TPM that is a chip of its own can read it. In a virtual machine both ends are the host's
 * anyway.
 */
#pragma once

#include <caisson/error.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"

#define TPM_DEVICE      "/dev/tpmrm0"
#define TPM_SECRET_MOST 128 /* bytes; MAX_SYM_DATA of Part 2 */
#define TPM_BLOB_MOST   512

/* A sealed secret, for a file: TPM2B_PRIVATE and TPM2B_PUBLIC without their sizes. No secret
 * without its TPM. */
struct tpm_sealed {
	uint8_t private_part[TPM_BLOB_MOST], public_part[TPM_BLOB_MOST];
	size_t private_size, public_size;
};

int tpm_open(const char *path, struct caisson_error *err);
/* Seals @secret to the present values of the PCRs in @pcrs (one bit a number, 0 to 23; SHA-256
 * bank). */
int tpm_seal(int tpm, const struct secret *secret, uint32_t pcrs, struct tpm_sealed *ret_sealed,
	struct caisson_error *err);
/* -EPERM when a PCR has another value, or @pcrs are others; -EBADMSG when @sealed is damaged or
 * another TPM's. */
int tpm_unseal(int tpm, const struct tpm_sealed *sealed, uint32_t pcrs, struct secret *ret_secret,
	struct caisson_error *err);
