/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands and responses of a TPM, as bytes (Part 1, 18.2; Part 2, structures); inside tpm/ only.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define TPM_MESSAGE_MOST 4096 /* what the kernel's device carries */

/* A command that is being written. What does not fit is remembered, and told when it is sent. */
struct tpm_command {
	uint8_t data[TPM_MESSAGE_MOST];
	size_t size;
	bool overflow;
};

void tpm_put16(struct tpm_command *command, uint16_t value);
void tpm_put32(struct tpm_command *command, uint32_t value);
void tpm_put8(struct tpm_command *command, uint8_t value);
/* TPM2B: two bytes of size, then the bytes. */
void tpm_put_sized(struct tpm_command *command, const void *data, size_t size);
/* A TPM2B whose contents are what is put until tpm_end_sized(); its place. */
size_t tpm_begin_sized(struct tpm_command *command);
void tpm_end_sized(struct tpm_command *command, size_t place);
/* The header; @session is what authorizes the command's first handle, @handle, or 0 for none of
 * both. */
void tpm_begin(struct tpm_command *command, uint32_t code, uint32_t handle, uint32_t session);

/* A response that is being read: reading beyond its end gives zeros, and is told at the end. */
struct tpm_response {
	uint8_t data[TPM_MESSAGE_MOST];
	size_t size, at;
	bool overflow;
	uint32_t code; /* TPM_RC */
};

uint16_t tpm_get16(struct tpm_response *response);
uint32_t tpm_get32(struct tpm_response *response);
/* A TPM2B of at most @most bytes; NULL, and an overflow, when there is none. */
const uint8_t *tpm_get_sized(struct tpm_response *response, size_t most, size_t *ret_size);

/*
 * Sends @command and waits for its response. *ret_response stands behind the header, or, for a
 * command with a session, behind the parameters' size; the handle that comes before it goes to
 * *ret_handle, if that is not NULL. Fails with @what unless the code is 0; ret_response->code is
 * set then, too.
 */
int tpm_talk(int tpm, struct tpm_command *command, struct tpm_response *ret_response,
	uint32_t *ret_handle, const char *what, struct caisson_error *err);
/* Fails when more was read than the response had. */
int tpm_check(const struct tpm_response *response, const char *what, struct caisson_error *err);

/* Both hold secrets on their way. */
void tpm_command_wipe(struct tpm_command *command);
void tpm_response_wipe(struct tpm_response *response);
#define _cleanup_tpm_command_  _cleanup_(tpm_command_wipe)
#define _cleanup_tpm_response_ _cleanup_(tpm_response_wipe)
