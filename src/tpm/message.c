/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm/message.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define ST_NO_SESSIONS 0x8001
#define ST_SESSIONS    0x8002
#define HEADER_SIZE    10 /* tag, size, code */
#define WAIT_MS        60000

static void put(struct tpm_command *command, const void *data, size_t size)
{
	if (size > sizeof(command->data) - command->size) {
		command->overflow = true;
		return;
	}
	if (size > 0)
		memcpy(command->data + command->size, data, size);
	command->size += size;
}

static void put_at(struct tpm_command *command, size_t place, uint32_t value, size_t size)
{
	for (size_t i = 0; i < size && place + i < command->size; i++)
		command->data[place + i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

static void put_number(struct tpm_command *command, uint32_t value, size_t size)
{
	size_t place = command->size;

	put(command, (uint8_t[4]){0}, size);
	put_at(command, place, value, size);
}

void tpm_put8(struct tpm_command *command, uint8_t value)
{
	put_number(command, value, 1);
}

void tpm_put16(struct tpm_command *command, uint16_t value)
{
	put_number(command, value, 2);
}

void tpm_put32(struct tpm_command *command, uint32_t value)
{
	put_number(command, value, 4);
}

void tpm_put_sized(struct tpm_command *command, const void *data, size_t size)
{
	if (size > UINT16_MAX) {
		command->overflow = true;
		return;
	}
	tpm_put16(command, (uint16_t)size);
	put(command, data, size);
}

size_t tpm_begin_sized(struct tpm_command *command)
{
	tpm_put16(command, 0);
	return command->size;
}

void tpm_end_sized(struct tpm_command *command, size_t place)
{
	if (!command->overflow)
		put_at(command, place - 2, (uint32_t)(command->size - place), 2);
}

void tpm_begin(struct tpm_command *command, uint32_t code, uint32_t handle, uint32_t session)
{
	command->size = 0;
	command->overflow = false;
	tpm_put16(command, session != 0 ? ST_SESSIONS : ST_NO_SESSIONS);
	tpm_put32(command, 0); /* the size: tpm_talk() */
	tpm_put32(command, code);
	if (session == 0)
		return;
	tpm_put32(command, handle);
	/* One session, without a nonce or a password: an empty one, or a policy's. */
	tpm_put32(command, 4 + 2 + 1 + 2);
	tpm_put32(command, session);
	tpm_put_sized(command, NULL, 0);
	tpm_put8(command, 1); /* continueSession */
	tpm_put_sized(command, NULL, 0);
}

static uint32_t get_number(struct tpm_response *response, size_t size)
{
	uint32_t value = 0;

	if (size > response->size - response->at) {
		response->overflow = true;
		response->at = response->size;
		return 0;
	}
	for (size_t i = 0; i < size; i++)
		value = value << 8 | response->data[response->at++];
	return value;
}

uint16_t tpm_get16(struct tpm_response *response)
{
	return (uint16_t)get_number(response, 2);
}

uint32_t tpm_get32(struct tpm_response *response)
{
	return get_number(response, 4);
}

const uint8_t *tpm_get_sized(struct tpm_response *response, size_t most, size_t *ret_size)
{
	size_t size = tpm_get16(response);
	const uint8_t *data = response->data + response->at;

	if (response->overflow || size > response->size - response->at || size > most) {
		response->overflow = true;
		return NULL;
	}
	response->at += size;
	*ret_size = size;
	return data;
}

/* The device gives a response at once; a socket to an emulator may give it in parts. */
static int receive(int tpm, struct tpm_response *response, struct caisson_error *err)
{
	size_t wanted = HEADER_SIZE;

	while (response->size < wanted) {
		struct pollfd polled = {.fd = tpm, .events = POLLIN};
		int ready = poll(&polled, 1, WAIT_MS);
		ssize_t n;

		if (ready == 0)
			return caisson_refuse(err, ETIMEDOUT, "the TPM did not answer within %d s",
				WAIT_MS / 1000);
		n = ready < 0 ? -1
			      : read(tpm, response->data + response->size,
					sizeof(response->data) - response->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return caisson_fail(err, n == 0 ? EPIPE : errno, "read from the TPM");
		response->size += (size_t)n;
		if (response->size >= HEADER_SIZE && wanted == HEADER_SIZE) {
			response->at = 2;
			wanted = tpm_get32(response);
			if (wanted < HEADER_SIZE || wanted > sizeof(response->data))
				return caisson_refuse(err, EBADMSG,
					"the TPM sent a response of %zu bytes", wanted);
		}
	}
	if (response->size > wanted)
		return caisson_refuse(err, EBADMSG, "the TPM sent more than it said");
	return 0;
}

int tpm_talk(int tpm, struct tpm_command *command, struct tpm_response *ret_response,
	uint32_t *ret_handle, const char *what, struct caisson_error *err)
{
	bool sessions = command->data[1] == (ST_SESSIONS & 0xff);
	int r;

	ret_response->size = ret_response->at = 0;
	ret_response->overflow = false;
	ret_response->code = 0;
	if (command->overflow)
		return caisson_refuse(err, EMSGSIZE, "%s: too much for the TPM", what);
	put_at(command, 2, (uint32_t)command->size, 4);
	r = write_all(tpm, command->data, command->size, "to the TPM", err);
	if (r == 0)
		r = receive(tpm, ret_response, err);
	if (r < 0)
		return r;
	ret_response->code = tpm_get32(ret_response);
	if (ret_response->code != 0)
		return caisson_refuse(
			err, EIO, "%s: the TPM answered 0x%03x", what, ret_response->code);
	if (ret_handle != NULL)
		*ret_handle = tpm_get32(ret_response);
	if (sessions)
		(void)tpm_get32(ret_response);
	return tpm_check(ret_response, what, err);
}

int tpm_check(const struct tpm_response *response, const char *what, struct caisson_error *err)
{
	if (response->overflow)
		return caisson_refuse(err, EBADMSG, "%s: the TPM's response is malformed", what);
	return 0;
}

void tpm_command_wipe(struct tpm_command *command)
{
	explicit_bzero(command, sizeof(*command));
}

void tpm_response_wipe(struct tpm_response *response)
{
	explicit_bzero(response, sizeof(*response));
}
