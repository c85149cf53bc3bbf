/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image/store.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/path.h"

#define CONFIG_MOST (8u << 20)

/* The first 96 bytes of a squashfs; those that are read here. */
#define SUPERBLOCK_SIZE       96
#define SUPERBLOCK_MAGIC      "hsqs"
#define SUPERBLOCK_BYTES_USED 40 /* u64, little-endian */

static bool root_whole(const char *path)
{
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, NULL);
	char superblock[SUPERBLOCK_SIZE];
	uint64_t used;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		pread_all(fd, superblock, sizeof(superblock), 0, path, NULL) < 0)
		return false;
	memcpy(&used, superblock + SUPERBLOCK_BYTES_USED, sizeof(used));
	return memcmp(superblock, SUPERBLOCK_MAGIC, strlen(SUPERBLOCK_MAGIC)) == 0 &&
	       le64toh(used) <= (uint64_t)st.st_size;
}

bool store_usable(const char *path)
{
	_cleanup_free_ char *config = path_join(path, STORE_CONFIG);
	_cleanup_free_ char *root = path_join(path, STORE_ROOT);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_json_ struct json_object *object = NULL;
	uint64_t version = 0;

	return config != NULL && root != NULL && root_whole(root) &&
	       read_file(config, CONFIG_MOST, &text, NULL) == 0 &&
	       json_parse(text.data, text.size, config, &object, NULL) == 0 &&
	       json_get_uint(object, "version", true, UINT32_MAX, &version, NULL) == 0 &&
	       version == STORE_VERSION;
}

static int write_config(const char *path, const struct image *image, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();
	const char *text = NULL;

	if (object != NULL && json_set_uint(object, "version", STORE_VERSION) &&
		json_set_string(object, "digest", image->digest) &&
		json_set_strings(object, "entrypoint", &image->entrypoint) &&
		json_set_strings(object, "command", &image->command) &&
		json_set_strings(object, "environment", &image->environment) &&
		json_set_string(object, "working_directory", image->working_directory) &&
		json_set_string(object, "user", image->user) &&
		json_set_string(object, "stop_signal", image->stop_signal))
		text = json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text == NULL)
		return caisson_fail(err, ENOMEM, "write %s", path);
	return write_file_atomic(path, text, strlen(text), 0600, err);
}

static int sync_file(const char *path, struct caisson_error *err)
{
	_cleanup_close_ int fd = open_file(path, O_RDONLY, 0, err);

	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? caisson_fail(err, errno, "sync %s", path) : 0;
}

/* A damaged or outdated one changes places with ours, and goes with the staging folder. */
static int settle_existing(struct staging *staging, const char *digest, struct caisson_error *err)
{
	_cleanup_free_ char *target = path_join(staging->parent, digest);

	if (target == NULL)
		return caisson_fail(err, ENOMEM, "publish %s", digest);
	if (store_usable(target))
		return 0;
	if (renameat2(AT_FDCWD, staging->path, AT_FDCWD, target, RENAME_EXCHANGE) < 0)
		return caisson_fail(err, errno, "replace the damaged image %s", target);
	return sync_directory(staging->parent, err);
}

int store_publish(struct staging *staging, const struct image *image, struct caisson_error *err)
{
	_cleanup_free_ char *root = path_join(staging->path, STORE_ROOT);
	_cleanup_free_ char *config = path_join(staging->path, STORE_CONFIG);
	int r;

	if (root == NULL || config == NULL)
		return caisson_fail(err, ENOMEM, "publish an image");
	r = write_config(config, image, err);
	if (r == 0)
		r = sync_file(root, err);
	if (r == 0)
		r = staging_publish(staging, image->digest, err);
	if (r != -EEXIST)
		return r;
	r = settle_existing(staging, image->digest, err);
	if (r == 0 && err != NULL)
		*err = (struct caisson_error){0};
	return r;
}
