/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caisson-format: makes an empty disk an encrypted filesystem, inside the guest. Its order comes on
 * standard input:
 *
 *   DEVICE NAME MEMORY-KIB ITERATIONS THREADS \n PASSPHRASE (hexadecimal) \n
 *
 * It writes a LUKS2 header whose keyslot is Argon2id of that cost, opens /dev/mapper/NAME and
 * becomes mke2fs there. A device that begins with anything but zeros is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/io.h"
#include "guest/programs.h"
#include "luks/luks.h"

#define MKE2FS          "/sbin/mke2fs"
#define ORDER_MOST      4096
#define PASSPHRASE_MOST 512
#define LOOKED_AT       (1u << 20) /* of the device, for something that is there already */

struct order {
	char device[64], name[64];
	struct luks_cost cost;
	struct secret passphrase;
};

static int parse_order(char *text, struct order *order, struct caisson_error *err)
{
	char *rest, *line = strtok_r(text, "\n", &rest), *key = strtok_r(NULL, "\n", &rest);
	size_t length = key != NULL ? strlen(key) : 0;
	int r;

	if (line == NULL || length == 0 || length % 2 != 0 || length > 2 * PASSPHRASE_MOST ||
		sscanf(line, "%63s %63s %u %u %u", order->device, order->name,
			&order->cost.memory_kib, &order->cost.iterations,
			&order->cost.threads) != 5)
		return caisson_refuse(err, EINVAL, "the order is incomplete");
	r = secret_new(&order->passphrase, length / 2, err);
	if (r == 0 && hex_decode(key, length, order->passphrase.data, length / 2) < 0)
		r = caisson_refuse(err, EINVAL, "the passphrase is malformed");
	return r;
}

static int check_empty(const char *path, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_NONBLOCK, 0, err);
	_cleanup_free_ uint8_t *data = malloc(LOOKED_AT);
	int r;

	if (fd < 0)
		return fd;
	if (data == NULL)
		return caisson_fail(err, ENOMEM, "look at %s", path);
	r = pread_all(fd, data, LOOKED_AT, 0, path, err);
	if (r < 0)
		return r;
	if (data[0] != 0 || memcmp(data, data + 1, LOOKED_AT - 1) != 0)
		return caisson_refuse(err, EEXIST, "there is something on %s already", path);
	return 0;
}

static int run(struct caisson_error *err)
{
	_cleanup_secret_ struct secret text = SECRET_NONE;
	struct order order = {.passphrase = SECRET_NONE};
	char device[80];
	int r = secret_read_fd(&text, STDIN_FILENO, ORDER_MOST, err);

	if (r < 0)
		return r;
	/* There is room for it: the secret was made one byte larger than the most that it holds. */
	text.data[text.size] = '\0';
	r = parse_order((char *)text.data, &order, err);
	if (r == 0)
		r = check_empty(order.device, err);
	if (r == 0)
		r = luks_format_passphrase(order.device, &order.passphrase, &order.cost, err);
	if (r == 0)
		r = luks_activate_passphrase(order.device, order.name, &order.passphrase, err);
	secret_done(&order.passphrase);
	if (r < 0)
		return r;
	snprintf(device, sizeof(device), "/dev/mapper/%s", order.name);
	/* The memory that held the passphrase goes with this image of the process. */
	execl(MKE2FS, MKE2FS, "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", device, NULL);
	return caisson_fail(err, errno, "run %s", MKE2FS);
}

int format_main(int argc _unused_, char **argv _unused_)
{
	struct caisson_error err = {0};

	(void)prctl(PR_SET_DUMPABLE, 0);
	umask(077);
	(void)run(&err);
	fprintf(stderr, "%s\n%s\n", err.message, err.hint);
	return 1;
}
