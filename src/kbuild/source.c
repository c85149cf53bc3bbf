/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/source.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "kbuild/apt.h"
#include "kbuild/make_command.h"
#include "kbuild/source_cache.h"
#include "kernel/release.h"

#define DEFAULT_PACKAGE "linux-source-6.1"
#define PACKAGE_PREFIX  "apt:"

enum { MAKEFILE_MOST = 1 << 20 };

void source_done(struct kernel_source *source)
{
	free(source->folder);
	free(source->version);
	free(source->origin);
	*source = KERNEL_SOURCE_NONE;
}

/* "6.1" is the version of 6.1.192, and not of 6.12. */
static bool is_of_version(const char *version, const char *wanted)
{
	size_t length = strlen(wanted);

	return strncmp(version, wanted, length) == 0 && strchr(".-", version[length]) != NULL;
}

/* Fills in what the Makefile at the top says. */
static int examine(struct kernel_source *source, const char *wanted, struct caisson_error *err)
{
	_cleanup_free_ char *makefile = path_join(source->folder, "Makefile");
	_cleanup_free_ char *kconfig = path_join(source->folder, "Kconfig");
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct stat st;
	int r;

	if (makefile == NULL || kconfig == NULL)
		return caisson_fail(err, ENOMEM, "read %s", source->origin);
	if (stat(makefile, &st) < 0 || !S_ISREG(st.st_mode) || access(kconfig, F_OK) < 0)
		return caisson_refuse(err, EINVAL,
			"%s is no kernel source: it has no Makefile or no Kconfig", source->origin);
	r = read_file(makefile, MAKEFILE_MOST, &text, err);
	if (r < 0)
		return r;
	r = kernel_makefile_release(text.data, text.size, &source->version, err);
	if (r < 0)
		return caisson_wrap(err, "%s is no kernel source", source->origin);
	if (wanted != NULL && !is_of_version(source->version, wanted))
		return caisson_refuse(err, EINVAL, "%s is of Linux %s, not of %s", source->origin,
			source->version, wanted);
	source->date = st.st_mtim.tv_sec;
	return 0;
}

/* What make says to an O= build of such a tree, before it begins. */
static int refuse_configured(const char *folder, struct caisson_error *err)
{
	static const char *const traces[] = {
		".config", "include/config", "arch/x86/include/generated"};

	for (size_t i = 0; i < ARRAY_SIZE(traces); i++) {
		_cleanup_free_ char *path = path_join(folder, traces[i]);

		if (path == NULL)
			return caisson_fail(err, ENOMEM, "read %s", folder);
		if (access(path, F_OK) < 0)
			continue;
		caisson_refuse(err, EBUSY,
			"%s was configured in place (it has %s): make builds nowhere else then",
			folder, traces[i]);
		return caisson_hint(
			err, "'make -C %s mrproper' cleans it; its .config goes with that", folder);
	}
	return 0;
}

static int open_folder(const char *path, struct kernel_source *source, struct caisson_error *err)
{
	source->folder = realpath(path, NULL);
	if (source->folder == NULL)
		return caisson_fail(err, errno, "open %s", path);
	source->origin = strdup(source->folder);
	if (source->origin == NULL)
		return caisson_fail(err, ENOMEM, "open %s", path);
	return refuse_configured(source->folder, err);
}

static int check_digest(
	const char *what, const char *hex, const char *wanted, struct caisson_error *err)
{
	if (wanted == NULL || strcasecmp(hex, wanted) == 0)
		return 0;
	caisson_refuse(err, EBADMSG, "%s has the SHA-256 %s, not %s", what, hex, wanted);
	return caisson_hint(err, "it is not what was expected, and was not unpacked: get it again");
}

static int open_archive(const char *cache, const char *path, const char *origin,
	const struct source_options *options, struct kernel_source *source,
	struct caisson_error *err)
{
	_cleanup_free_ char *full = realpath(path, NULL);
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_NONBLOCK, 0, err);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (full == NULL || fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "open %s", path);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is neither a folder nor a file", path);
	r = source_cache_digest(cache, fd, full, source->sha256, err);
	if (r == 0)
		r = check_digest(path, source->sha256, options->sha256, err);
	if (r == 0)
		r = source_cache_unpack(
			cache, source->sha256, fd, path, options->watch, &source->folder, err);
	if (r < 0)
		return r;
	source->origin = strdup(origin != NULL ? origin : full);
	return source->origin != NULL ? 0 : caisson_fail(err, ENOMEM, "open %s", path);
}

/* /usr/src/linux-source-6.1.tar.xz; NULL when the package is not installed. */
static char *installed_archive(const char *package)
{
	static const char *const suffixes[] = {"xz", "zst", "bz2", "gz"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char *path = format_string("/usr/src/%s.tar.%s", package, suffixes[i]);

		if (path == NULL || access(path, F_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* Letters, digits, '.', '+' and '-', starting with a letter or a digit (Debian Policy 5.6.7): no
   option, no path. */
static bool is_package(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.+-";

	return name[0] != '\0' && strchr(".+-", name[0]) == NULL &&
	       strspn(name, allowed) == strlen(name) && strlen(name) < 128;
}

static int open_package(const char *cache, const char *package,
	const struct source_options *options, struct kernel_source *source,
	struct caisson_error *err)
{
	_cleanup_free_ char *origin = format_string(PACKAGE_PREFIX "%s", package), *path = NULL;
	int r;

	if (!is_package(package))
		return caisson_refuse(err, EINVAL, "'%s' cannot be the name of a package", package);
	if (origin == NULL)
		return caisson_fail(err, ENOMEM, "open %s", package);
	path = installed_archive(package);
	if (path != NULL)
		return open_archive(cache, path, origin, options, source, err);
	r = apt_source(cache, package, options, source->sha256, &source->folder, err);
	if (r == 0)
		r = check_digest(package, source->sha256, options->sha256, err);
	if (r < 0)
		return r;
	source->origin = take_ptr(origin);
	return 0;
}

/* The newest that is installed, by its version. */
static int default_package(char **ret_package, struct caisson_error *err)
{
	_cleanup_(globfree) glob_t found = {0};
	const char *newest = NULL;

	if (glob("/usr/src/linux-source-*.tar.*", 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			const char *name = path_base(found.gl_pathv[i]);

			if (newest == NULL || kernel_release_compare(name, newest) > 0)
				newest = name;
		}
	}
	*ret_package = newest != NULL ? strndup(newest, (size_t)(strstr(newest, ".tar.") - newest))
				      : strdup(DEFAULT_PACKAGE);
	return *ret_package != NULL ? 0 : caisson_fail(err, ENOMEM, "look for a kernel's source");
}

/* "6.1.192": linux-source-6.1. */
static int package_of_version(const char *version, char **ret_package, struct caisson_error *err)
{
	unsigned int number;
	const char *behind = kernel_version_parse(version, &number);

	if (behind == NULL || strchr(".-", *behind) == NULL || strlen(version) > 64)
		return caisson_refuse(
			err, EINVAL, "'%s' is no version of Linux: 6.1, or 6.1.192", version);
	*ret_package = format_string(
		"linux-source-%u.%u", KERNEL_VERSION_MAJOR(number), KERNEL_VERSION_MINOR(number));
	return *ret_package != NULL ? 0 : caisson_fail(err, ENOMEM, "look for a kernel's source");
}

static int open_source(const char *cache, const struct source_options *options,
	struct kernel_source *source, struct caisson_error *err)
{
	_cleanup_free_ char *package = NULL;
	const char *name = options->source;
	struct stat st;
	int r = 0;

	if (options->version != NULL)
		r = package_of_version(options->version, &package, err);
	if (r == 0 && name == NULL && package == NULL)
		r = default_package(&package, err);
	if (r < 0)
		return r;
	if (name == NULL)
		return open_package(cache, package, options, source, err);
	if (strncmp(name, PACKAGE_PREFIX, strlen(PACKAGE_PREFIX)) == 0)
		return open_package(cache, name + strlen(PACKAGE_PREFIX), options, source, err);
	if (stat(name, &st) < 0)
		return caisson_fail(err, errno, "open %s", name);
	if (!S_ISDIR(st.st_mode))
		return open_archive(cache, name, NULL, options, source, err);
	if (options->sha256 != NULL)
		return caisson_refuse(
			err, EINVAL, "--sha256 is of an archive, and %s is a folder", name);
	return open_folder(name, source, err);
}

int source_open(const struct state *state, const struct source_options *options,
	struct kernel_source *ret_source, struct caisson_error *err)
{
	_cleanup_source_ struct kernel_source source = KERNEL_SOURCE_NONE;
	_cleanup_free_ char *cache = NULL;
	const char *hex = options->sha256;
	int r;

	if (hex != NULL && (strlen(hex) != 2 * DIGEST_SIZE ||
				   strspn(hex, "0123456789abcdefABCDEF") != 2 * DIGEST_SIZE))
		return caisson_refuse(
			err, EINVAL, "'%s' is no SHA-256: 64 hexadecimal digits", hex);
	r = state_folder(state, "kernel-sources", &cache, err);
	/* Before anything is unpacked there. */
	if (r == 0)
		r = make_path_check(cache, err);
	if (r == 0)
		r = open_source(cache, options, &source, err);
	if (r == 0)
		r = make_path_check(source.folder, err);
	if (r == 0)
		r = examine(&source, options->version, err);
	if (r < 0)
		return r;
	log_debug(options->log, "the source of Linux %s is in %s", source.version, source.folder);
	*ret_source = source;
	source = KERNEL_SOURCE_NONE;
	return 0;
}
