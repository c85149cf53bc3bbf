/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fill-volume measure SOURCE            prints what it needs: size, inodes
 * fill-volume plain SOURCE IMAGE        fills the ext4 filesystem that is IMAGE
 * fill-volume encrypted SOURCE IMAGE    encrypts the new ext4 filesystem IMAGE to IMAGE.luks
 * (payload at 1 MiB), fills it there, and decrypts all of that back into IMAGE With "cross" behind
 * it, filesystems mounted in a folder are gone into.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "filesystem/extents.h"
#include "filesystem/fill.h"
#include "luks/payload.h"

#define PAYLOAD (1u << 20)
#define PIECE   (1u << 20)

static int fail(const struct caisson_error *err)
{
	fprintf(stderr, "fill-volume: %s\n", err->message);
	if (err->hint[0] != '\0')
		fprintf(stderr, "hint: %s\n", err->hint);
	return 1;
}

static int measure(struct fill_source *source, struct caisson_error *err)
{
	struct fill_need need;
	int r = fill_measure(source, 0, &need, err);

	if (r == 0)
		printf("%llu %llu\n", (unsigned long long)need.size,
			(unsigned long long)need.inodes);
	return r;
}

static int fill(struct fill_source *source, struct blocks *payload, struct transfer *bulk,
	struct caisson_error *err)
{
	struct fill_counts counts = {0};
	const struct fill_options fill_options = {.ret_counts = &counts};
	uint64_t began = now_usec();
	int r = fill_ext4(payload, bulk, source, &fill_options, err);

	if (r == 0)
		printf("%llu files, %llu folders, %llu links, %llu others, %llu bytes in %llu ms\n",
			(unsigned long long)counts.files, (unsigned long long)counts.folders,
			(unsigned long long)counts.links, (unsigned long long)counts.others,
			(unsigned long long)counts.bytes,
			(unsigned long long)(now_usec() - began) / 1000);
	return r;
}

static int fill_plain(struct fill_source *source, int fd, uint64_t size, struct caisson_error *err)
{
	_cleanup_(transfer_freep) struct transfer *bulk = NULL;
	_cleanup_blocks_ struct blocks *image = NULL;
	const struct transfer_options options = {.to = fd};
	int r = blocks_of_file(fd, size, false, "the image", &image, err);

	if (r == 0)
		r = transfer_new(&options, &bulk, err);
	return r < 0 ? r : fill(source, image, bulk, err);
}

/* All of @from to the same offset of @to. */
static int copy(struct blocks *from, struct blocks *to, struct caisson_error *err)
{
	_cleanup_free_ uint8_t *piece = malloc(PIECE);
	int r = piece != NULL ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < from->size; at += PIECE) {
		size_t size = (size_t)MIN(from->size - at, (uint64_t)PIECE);

		r = blocks_read(from, at, piece, size, err);
		if (r == 0)
			r = blocks_write(to, at, piece, size, err);
	}
	return r;
}

/* What the new filesystem relies on, and nothing else: the rest is what the holes decrypt to. */
static int put_filesystem(
	struct transfer *bulk, struct blocks *image, int fd, struct caisson_error *err)
{
	const struct filesystem_image filesystem = {.blocks = image, .fd = fd};
	_cleanup_extents_ struct extents extents = EXTENTS_NONE;
	char kind[FILESYSTEM_KIND_SIZE];
	int r = filesystem_extents(&filesystem, kind, &extents, err);

	if (r == 0)
		r = transfer_extents(bulk, fd, 0, &extents, err);
	return r < 0 ? r : transfer_drain(bulk, err);
}

static int fill_encrypted(struct fill_source *source, const char *path, int fd, uint64_t size,
	struct caisson_error *err)
{
	_cleanup_blocks_ struct blocks *image = NULL, *container = NULL, *payload = NULL;
	_cleanup_(luks_cipher_freep) struct luks_cipher *cipher = NULL;
	_cleanup_(transfer_freep) struct transfer *bulk = NULL;
	_cleanup_secret_ struct secret key = SECRET_NONE;
	_cleanup_free_ char *name = format_string("%s.luks", path);
	_cleanup_close_ int to = open_file(name, O_RDWR | O_CREAT | O_TRUNC, 0600, err);
	struct transfer_options options = {.to = to, .to_base = PAYLOAD};
	int r = to < 0 ? to : secret_random(&key, 64, err);

	if (r == 0 && ftruncate(to, (off_t)(PAYLOAD + size)) < 0)
		r = caisson_fail(err, errno, "make %s", name);
	if (r == 0)
		r = luks_cipher_new("aes-xts-plain64", 4096, &key, &cipher, err);
	if (r == 0)
		r = blocks_of_file(fd, size, false, path, &image, err);
	if (r == 0)
		r = blocks_of_file(to, PAYLOAD + size, false, name, &container, err);
	if (r == 0)
		r = luks_payload_new(container, PAYLOAD, size, cipher, &payload, err);
	options.encrypt = cipher;
	if (r == 0)
		r = transfer_new(&options, &bulk, err);
	if (r == 0)
		r = put_filesystem(bulk, image, fd, err);
	if (r == 0)
		r = fill(source, payload, bulk, err);
	return r < 0 ? r : copy(payload, image, err);
}

int main(int argc, char **argv)
{
	struct fill_source_options options = {
		.cross = argc > 1 && strcmp(argv[argc - 1], "cross") == 0};
	_cleanup_fill_source_ struct fill_source *source = NULL;
	_cleanup_close_ int fd = -1;
	struct caisson_error err = {0};
	struct stat st;

	argc -= options.cross;
	if (argc < 3)
		return 2;
	if (fill_source_open(argv[2], &options, &source, &err) < 0)
		return fail(&err);
	if (strcmp(argv[1], "measure") == 0)
		return measure(source, &err) < 0 ? fail(&err) : 0;
	if (argc != 4 || (fd = open(argv[3], O_RDWR | O_CLOEXEC)) < 0 || fstat(fd, &st) < 0)
		return 2;
	if ((strcmp(argv[1], "plain") == 0
			    ? fill_plain(source, fd, (uint64_t)st.st_size, &err)
			    : fill_encrypted(source, argv[3], fd, (uint64_t)st.st_size, &err)) < 0)
		return fail(&err);
	return 0;
}
