/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/apt.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/process.h"
#include "base/staging.h"
#include "kbuild/source_cache.h"
#include "kbuild/space.h"
#include "kbuild/unpack.h"

enum { CACHE_SECONDS = 120, DOWNLOAD_SECONDS = 3600 };
#define PACKAGE_SIZE (UINT64_C(160) << 20) /* linux-source-6.12's is 147 MB */

static int hint_install(const char *package, struct caisson_error *err)
{
	return caisson_hint(err,
		"'apt-get update', then 'apt-get install %s' where there is a network, or "
		"--source with a folder or an archive",
		package);
}

/* The value of the first line "SHA256: HEX" in what apt-cache says of a package. */
static int find_digest(const char *text, char ret_hex[static DIGEST_HEX_SIZE])
{
	static const char field[] = "\nSHA256: ";
	const char *at = text != NULL ? strstr(text, field) : NULL;

	if (at == NULL)
		return -ENOENT;
	at += strlen(field);
	if (strspn(at, "0123456789abcdef") != 2 * DIGEST_SIZE)
		return -ENOENT;
	memcpy(ret_hex, at, 2 * DIGEST_SIZE);
	ret_hex[2 * DIGEST_SIZE] = '\0';
	return 0;
}

static int package_digest(
	const char *package, char ret_hex[static DIGEST_HEX_SIZE], struct caisson_error *err)
{
	const char *const arguments[] = {"apt-cache", "show", "--no-all-versions", package, NULL};
	struct process_options process = PROCESS_OPTIONS_INIT;
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	int r;

	process.seconds = CACHE_SECONDS;
	r = process_run(arguments, &process, &output, err);
	if (r == -ENOMEM)
		return r;
	if (r == 0 && find_digest(output.data, ret_hex) == 0)
		return 0;
	caisson_refuse(err, ENOENT, "%s is not installed, and apt knows no such package", package);
	return hint_install(package, err);
}

/* The one .deb in the folder that apt-get has downloaded into. */
static int find_package(const char *folder, char **ret_path, struct caisson_error *err)
{
	_cleanup_closedir_ DIR *dir = opendir(folder);

	for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
		size_t length = strlen(entry->d_name);

		if (length < 5 || strcmp(entry->d_name + length - 4, ".deb") != 0)
			continue;
		*ret_path = path_join(folder, entry->d_name);
		return *ret_path != NULL ? 0 : caisson_fail(err, ENOMEM, "find a package");
	}
	return caisson_refuse(err, ENOENT, "apt-get has downloaded no package");
}

static int download(const char *folder, const char *package, const struct source_options *options,
	char **ret_path, struct caisson_error *err)
{
	const char *const arguments[] = {
		"env", "-C", folder, "apt-get", "--quiet", "download", package, NULL};
	struct process_options process = PROCESS_OPTIONS_INIT;
	int r;

	process.seconds = DOWNLOAD_SECONDS;
	process.environment = options->environment;
	kbuild_stage(options->watch, "downloading the source's package");
	r = process_run(arguments, &process, NULL, err);
	if (r < 0) {
		caisson_wrap(err, "%s is not installed, and could not be downloaded", package);
		return hint_install(package, err);
	}
	return find_package(folder, ret_path, err);
}

static int take_archive(
	int package, const char *what, const char *name, int to, struct caisson_error *err)
{
	static const char *const suffixes[] = {"xz", "zst", "bz2", "gz"};
	int r = -ENOENT;

	for (size_t i = 0; r == -ENOENT && i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_free_ char *path = format_string("usr/src/%s.tar.%s", name, suffixes[i]);

		if (path == NULL)
			return caisson_fail(err, ENOMEM, "unpack %s", what);
		r = unpack_package_file(package, what, path, to, err);
	}
	return r;
}

/* Downloads, and unpacks the archive in the package. */
static int fetch(const char *cache, const char *package, const char *expected,
	const struct source_options *options, char ret_hex[static DIGEST_HEX_SIZE],
	char **ret_folder, struct caisson_error *err)
{
	_cleanup_staging_ struct staging folder = STAGING_NONE, archive = STAGING_NONE;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	char hex[DIGEST_HEX_SIZE];
	int r = space_check(cache, 2 * PACKAGE_SIZE, "downloading the kernel's source", err);

	if (r == 0)
		r = staging_directory(&folder, cache, err);
	if (r == 0)
		r = download(folder.path, package, options, &path, err);
	if (r < 0)
		return r;
	fd = open_file(path, O_RDONLY | O_NOFOLLOW, 0, err);
	r = fd < 0 ? fd : digest_of_fd(fd, path, hex, err);
	if (r == 0 && strcmp(hex, expected) != 0)
		r = caisson_refuse(err, EBADMSG, "%s is not the package that apt knows", path);
	if (r == 0)
		r = staging_file(&archive, cache, err);
	if (r == 0)
		r = take_archive(fd, path, package, archive.fd, err);
	if (r == 0)
		r = digest_of_fd(archive.fd, package, ret_hex, err);
	if (r == 0 && options->sha256 != NULL && strcasecmp(ret_hex, options->sha256) != 0)
		return 0; /* the caller refuses it: nothing is unpacked */
	if (r == 0)
		r = source_cache_unpack(
			cache, ret_hex, archive.fd, package, options->watch, ret_folder, err);
	return r;
}

int apt_source(const char *cache, const char *package, const struct source_options *options,
	char ret_hex[static DIGEST_HEX_SIZE], char **ret_folder, struct caisson_error *err)
{
	_cleanup_free_ char *key = NULL;
	char hex[DIGEST_HEX_SIZE];
	int r = package_digest(package, hex, err);

	if (r < 0)
		return r;
	key = format_string("package %s", hex);
	if (key == NULL)
		return caisson_fail(err, ENOMEM, "look for %s", package);
	if (source_cache_look_up(cache, key, ret_hex) == 1) {
		r = source_cache_find(cache, ret_hex, ret_folder, err);
		if (r != 0)
			return MIN(r, 0);
	}
	r = fetch(cache, package, hex, options, ret_hex, ret_folder, err);
	return r == 0 ? source_cache_note(cache, key, ret_hex, err) : r;
}
