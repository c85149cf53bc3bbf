/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A double of those calls of the public API that the volume plug-in makes: volumes are rows of a
 * table in shared memory, since each request of the service is a process of its own.
 */
#pragma once

#include <caisson/volume.h>
#include <stdbool.h>

#define FAKE_MOST 64

struct fake_volume {
	bool used;
	struct caisson_volume facts;
	char label[64], from[256];
	bool is_open;
	bool mounted;
	char mount_point[256];
	unsigned int mounts, unmounts;
};

struct fake {
	struct fake_volume volumes[FAKE_MOST];
	unsigned int made; /* for UUIDs */
	/* What the next calls do instead; 0: what they should. */
	int fail_create, fail_mount, fail_unmount, fail_opened;
	/* A directory of another mount than the state's: where the next mount is. */
	bool elsewhere;
	unsigned int slow_ms; /* what each mount takes */
	unsigned int at_once; /* calls that are in it now, and */
	unsigned int at_once_most;
	unsigned int contexts;
	char die_in[16]; /* the call of that name kills its process */
};

/* The table, made at the first call. */
struct fake *fake(void);
void fake_clear(void);
struct fake_volume *fake_find(const char *name);
