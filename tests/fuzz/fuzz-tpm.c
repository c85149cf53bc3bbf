/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a TPM answers, to tpm_unseal() and tpm_seal(): responses one behind the other, each with two
   bytes of length before it (little-endian). */
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "tpm/tpm.h"

#define RESPONSES_MOST 16

static void queue(int to, const uint8_t *data, size_t size)
{
	for (int i = 0; i < RESPONSES_MOST && size >= 2; i++) {
		size_t length = data[0] | (size_t)data[1] << 8;

		data += 2;
		size -= 2;
		if (length > size)
			length = size;
		if (length > 0)
			(void)send(to, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
		data += length;
		size -= length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t key[32] = {1};
	struct secret sealed_one = {.data = key, .size = sizeof(key)};

	for (int i = 0; i < 2; i++) {
		struct tpm_sealed sealed = {.private_size = 100, .public_size = 100};
		struct secret secret = SECRET_NONE;
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
			return 0;
		queue(ends[1], data, size);
		(void)shutdown(ends[1], SHUT_WR);
		if (i == 0 && tpm_unseal(ends[0], &sealed, 1u << 7, &secret, NULL) == 0)
			secret_done(&secret);
		if (i == 1)
			(void)tpm_seal(ends[0], &sealed_one, 1u << 7, &sealed, NULL);
		close(ends[0]);
		close(ends[1]);
	}
	return 0;
}
