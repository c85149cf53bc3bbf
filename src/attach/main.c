/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program caisson-attach: serves one open volume. It is started by the commands, with
 * descriptors and arguments that docs/attach.md lists, and tells them over one of those how it
 * went.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "attach/server.h"

#define NOBODY  65534
#define ID_MOST (UINT32_MAX - 1) /* the highest number means none */

enum argument {
	CONTAINER = 1,
	KEY,
	READY,
	NBD,
	CONTROL,
	FUSE,
	CIPHER,
	SECTOR_SIZE,
	OFFSET,
	SIZE,
	NAME,
	USER,
	GROUP,
	READ_ONLY,
	DISCARD,
};

static const struct option arguments[] = {
	{"container", required_argument, NULL, CONTAINER},
	{"key", required_argument, NULL, KEY},
	{"ready", required_argument, NULL, READY},
	{"nbd", required_argument, NULL, NBD},
	{"control", required_argument, NULL, CONTROL},
	{"fuse", required_argument, NULL, FUSE},
	{"cipher", required_argument, NULL, CIPHER},
	{"sector-size", required_argument, NULL, SECTOR_SIZE},
	{"offset", required_argument, NULL, OFFSET},
	{"size", required_argument, NULL, SIZE},
	{"name", required_argument, NULL, NAME},
	{"user", required_argument, NULL, USER},
	{"group", required_argument, NULL, GROUP},
	{"read-only", no_argument, NULL, READ_ONLY},
	{"discard", no_argument, NULL, DISCARD},
	{NULL, 0, NULL, 0},
};

static bool parse_number(const char *text, uint64_t most, uint64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *ret_number <= most;
}

static bool parse_descriptor(const char *text, int *ret_fd)
{
	struct stat status;
	uint64_t number;

	if (!parse_number(text, INT_MAX, &number) || fstat((int)number, &status) < 0)
		return false;
	*ret_fd = (int)number;
	return true;
}

static bool take_argument(struct server_options *options, int which, const char *value)
{
	uint64_t number;

	switch (which) {
	case CONTAINER:
		return parse_descriptor(value, &options->container);
	case KEY:
		return parse_descriptor(value, &options->key);
	case READY:
		return parse_descriptor(value, &options->ready);
	case NBD:
		return parse_descriptor(value, &options->nbd);
	case CONTROL:
		return parse_descriptor(value, &options->control);
	case FUSE:
		return parse_descriptor(value, &options->fuse);
	case CIPHER:
		options->cipher = value;
		return true;
	case SECTOR_SIZE:
		if (!parse_number(value, 1u << 20, &number))
			return false;
		options->sector_size = (uint32_t)number;
		return true;
	case OFFSET:
		return parse_number(value, INT64_MAX, &options->data_offset);
	case SIZE:
		return parse_number(value, INT64_MAX, &options->size);
	case NAME:
		options->name = value;
		return true;
	case USER:
		if (!parse_number(value, ID_MOST, &number) || number == 0)
			return false;
		options->uid = (uid_t)number;
		return true;
	case GROUP:
		if (!parse_number(value, ID_MOST, &number))
			return false;
		options->gid = (gid_t)number;
		return true;
	case READ_ONLY:
		options->read_only = true;
		return true;
	case DISCARD:
		options->discard = true;
		return true;
	default:
		return false;
	}
}

static int usage(void)
{
	fputs("caisson-attach: it is started by caisson (caisson volume open), not by hand\n",
		stderr);
	return 2;
}

static void tell_failure(int ready, const struct caisson_error *err)
{
	char line[1024];
	int size = snprintf(line, sizeof(line), "error %d %s\n", err->code, err->message);

	if (size > 0)
		(void)send(ready, line, MIN((size_t)size, sizeof(line) - 1), MSG_NOSIGNAL);
}

int main(int argc, char **argv)
{
	struct server_options options = {.container = -1,
		.key = -1,
		.ready = -1,
		.nbd = -1,
		.control = -1,
		.fuse = -1,
		.uid = NOBODY,
		.gid = NOBODY};
	struct caisson_error err = {0};
	int which;

	opterr = 0;
	while ((which = getopt_long(argc, argv, "", arguments, NULL)) != -1) {
		if (!take_argument(&options, which, optarg))
			return usage();
	}
	if (optind != argc || options.container < 0 || options.key < 0 || options.ready < 0 ||
		options.nbd < 0 || options.control < 0 || options.cipher == NULL ||
		options.name == NULL || options.sector_size == 0)
		return usage();
	(void)umask(077);
	if (chdir("/") < 0 || server_run(&options, &err) < 0) {
		tell_failure(options.ready, &err);
		_exit(1);
	}
	/* Other threads may be at work for those who are to hear errors: no destructors. */
	_exit(0);
}
