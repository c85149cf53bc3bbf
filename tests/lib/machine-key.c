/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests alone, and never installed: writes the machine key of a volume to a descriptor, so that
 * a test can open the container with something else than caisson.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/io.h"
#include "key/service.h"

static int write_key(char **argv, struct caisson_error *err)
{
	_cleanup_state_ struct state state = STATE_NONE;
	_cleanup_(key_service_closep) struct key_service *keys = NULL;
	_cleanup_secret_ struct secret key = SECRET_NONE;
	int r = state_open(&state, argv[1], argv[2], err);

	if (r == 0)
		r = key_service_open(&state, &keys, err);
	if (r == 0)
		r = key_service_unwrap(keys, argv[3], &key, err);
	if (r == 0)
		r = write_all(atoi(argv[4]), key.data, key.size, "the key", err);
	return r;
}

int main(int argc, char **argv)
{
	struct caisson_error err = {0};

	if (argc != 5) {
		fputs("usage: machine-key STATE CONFIG VOLUME DESCRIPTOR\n", stderr);
		return 2;
	}
	if (write_key(argv, &err) < 0) {
		fprintf(stderr, "machine-key: %s\n", err.message);
		return 1;
	}
	return 0;
}
