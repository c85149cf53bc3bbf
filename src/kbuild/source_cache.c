/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/source_cache.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/staging.h"
#include "base/strbuf.h"
#include "kbuild/space.h"
#include "kbuild/unpack.h"
#include "kernel/keep.h"

static char *index_path(const char *cache, const char *key)
{
	char hex[DIGEST_HEX_SIZE];

	if (digest_of(key, strlen(key), hex, NULL) < 0)
		return NULL;
	return format_string("%s/%s.index", cache, hex);
}

int source_cache_look_up(const char *cache, const char *key, char ret_hex[static DIGEST_HEX_SIZE])
{
	_cleanup_free_ char *path = index_path(cache, key);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	if (path == NULL || read_file(path, DIGEST_HEX_SIZE, &text, NULL) < 0 ||
		text.size != DIGEST_HEX_SIZE || text.data[DIGEST_HEX_SIZE - 1] != '\n' ||
		strspn(text.data, "0123456789abcdef") != DIGEST_HEX_SIZE - 1)
		return 0;
	memcpy(ret_hex, text.data, DIGEST_HEX_SIZE - 1);
	ret_hex[DIGEST_HEX_SIZE - 1] = '\0';
	return 1;
}

int source_cache_note(
	const char *cache, const char *key, const char *hex, struct caisson_error *err)
{
	_cleanup_free_ char *path = index_path(cache, key), *line = format_string("%s\n", hex);

	if (path == NULL || line == NULL)
		return caisson_fail(err, ENOMEM, "note what an archive holds");
	return write_file_atomic(path, line, strlen(line), 0600, err);
}

int source_cache_digest(const char *cache, int fd, const char *path,
	char ret_hex[static DIGEST_HEX_SIZE], struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf key = STRBUF_INIT;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "read %s", path);
	strbuf_add_format(&key, "file %s ", path);
	keep_identity(&key, &st, true);
	if (!strbuf_ok(&key))
		return caisson_fail(err, ENOMEM, "read %s", path);
	if (source_cache_look_up(cache, key.data, ret_hex) == 1)
		return 0;
	r = digest_of_fd(fd, path, ret_hex, err);
	return r == 0 ? source_cache_note(cache, key.data, ret_hex, err) : r;
}

int source_cache_find(
	const char *cache, const char *hex, char **ret_folder, struct caisson_error *err)
{
	_cleanup_free_ char *folder = path_join(cache, hex);
	struct stat st;

	if (folder == NULL)
		return caisson_fail(err, ENOMEM, "look for a source");
	if (lstat(folder, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	*ret_folder = take_ptr(folder);
	return 1;
}

/* How many times its size an archive becomes on the disk, blocks and folders included:
   linux-6.1.192 has 138 MB as .tar.xz and takes 1438 MiB. */
static uint64_t size_on_disk(int fd)
{
	static const struct {
		unsigned char magic[4];
		unsigned int length, factor;
	} forms[] = {
		{{0xfd, '7', 'z', 'X'}, 4, 11},
		{{0x28, 0xb5, 0x2f, 0xfd}, 4, 11},
		{{'B', 'Z', 'h', 0}, 3, 10},
		{{0x1f, 0x8b, 0, 0}, 2, 8},
	};
	unsigned char magic[4] = {0};
	struct stat st;

	if (fstat(fd, &st) < 0 || pread(fd, magic, sizeof(magic), 0) != sizeof(magic))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (memcmp(magic, forms[i].magic, forms[i].length) == 0)
			return (uint64_t)st.st_size * forms[i].factor;
	}
	return (uint64_t)st.st_size + (uint64_t)st.st_size / 8;
}

/* Before it has a name that it would keep for ever: nobody else removes what is no source. */
static int check_source(int folder, const char *what, struct caisson_error *err)
{
	if (faccessat(folder, "Makefile", F_OK, 0) == 0 &&
		faccessat(folder, "Kconfig", F_OK, 0) == 0)
		return 0;
	return caisson_refuse(
		err, EINVAL, "%s is no kernel source: it has no Makefile or no Kconfig", what);
}

int source_cache_unpack(const char *cache, const char *hex, int fd, const char *what,
	const struct kbuild_watch *watch, char **ret_folder, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_close_ int lock = -1;
	struct unpacked unpacked;
	int r = source_cache_find(cache, hex, ret_folder, err);

	if (r != 0)
		return MIN(r, 0);
	r = keep_lock(cache, &lock, err);
	if (r == 0)
		r = source_cache_find(cache, hex, ret_folder, err);
	if (r != 0)
		return MIN(r, 0);
	r = space_check(cache, size_on_disk(fd), "unpacking the kernel's source", err);
	if (r == 0)
		r = staging_directory(&staging, cache, err);
	if (r < 0)
		return r;
	kbuild_stage(watch, "unpacking the source");
	r = unpack_source(fd, what, staging.fd, watch, &unpacked, err);
	if (r == 0 && strcmp(unpacked.sha256, hex) != 0)
		r = caisson_refuse(err, EBADMSG, "%s was changed while it was read", what);
	if (r == 0)
		r = check_source(staging.fd, what, err);
	if (r < 0)
		return r;
	/* A power cut must not leave files that are empty behind the name that says they are whole.
	 */
	if (syncfs(staging.fd) < 0)
		return caisson_fail(err, errno, "sync %s", staging.path);
	r = staging_publish(&staging, hex, err);
	if (r == 0)
		r = source_cache_find(cache, hex, ret_folder, err);
	if (r == 0)
		return caisson_refuse(err, ENOENT, "%s/%s is gone again", cache, hex);
	return MIN(r, 0);
}
