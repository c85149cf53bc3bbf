/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes a boot archive of a list on standard input: pack-archive OUTPUT [KIND[:LEVEL] [THREADS]].
 * A line is "file PATH SOURCE", "module PATH SOURCE", "dir PATH", "link PATH TARGET", "console" or
 * "intel FILE" (microcode).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "boot/build.h"
#include "boot/compress.h"

static int add_line(
	struct archive *archive, struct strv *intel, char *line, struct caisson_error *err)
{
	char *rest, *kind = strtok_r(line, " \n", &rest);
	char *path = strtok_r(NULL, " \n", &rest), *source = strtok_r(NULL, " \n", &rest);
	struct stat st;

	if (kind == NULL)
		return 0;
	if (strcmp(kind, "console") == 0)
		return archive_add(archive, "dev/console", ARCHIVE_DEVICE, S_IFCHR | 0600, NULL,
			makedev(5, 1), err);
	if (path != NULL && strcmp(kind, "dir") == 0)
		return archive_add(archive, path, ARCHIVE_DIRECTORY, 0755, NULL, 0, err);
	if (path != NULL && strcmp(kind, "intel") == 0) {
		strv_add(intel, path);
		return 0;
	}
	if (path == NULL || source == NULL)
		return caisson_refuse(err, EINVAL, "the line '%s' is not whole", kind);
	if (strcmp(kind, "link") == 0)
		return archive_add(archive, path, ARCHIVE_SYMLINK, 0777, source, 0, err);
	if (stat(source, &st) < 0)
		return caisson_fail(err, errno, "stat %s", source);
	return archive_add(archive, path,
		strcmp(kind, "module") == 0 ? ARCHIVE_MODULE : ARCHIVE_FILE, st.st_mode & 07777,
		source, 0, err);
}

static int pack(int argc, char **argv, struct caisson_error *err)
{
	_cleanup_archive_ struct archive archive = ARCHIVE_INIT;
	struct compression_choice choice = {COMPRESSION_AUTO, 0};
	_cleanup_strv_ struct strv intel = STRV_INIT;
	struct initramfs_microcode microcode = {0};
	struct initramfs_recipe recipe = {0};
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	int r = 0;

	if (argc > 2)
		r = compression_parse(argv[2], &choice, err);
	while (r == 0 && getline(&line, &room, stdin) > 0)
		r = add_line(&archive, &intel, line, err);
	if (r == 0)
		r = archive_complete(&archive, err);
	if (r < 0)
		return r;
	fd = open_file(argv[1], O_WRONLY | O_CREAT, 0644, err);
	if (fd < 0)
		return fd;
	microcode.intel = (const char *const *)intel.items;
	microcode.intel_count = intel.count;
	recipe.microcode = intel.count > 0 ? &microcode : NULL;
	recipe.compression = choice.kind;
	recipe.level = choice.level;
	recipe.threads = argc > 3 ? (unsigned int)atoi(argv[3]) : 0;
	return initramfs_write(&archive, &recipe, fd, NULL, err);
}

int main(int argc, char **argv)
{
	struct caisson_error err = {0};

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: pack-archive OUTPUT [KIND[:LEVEL] [THREADS]] <LIST\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (pack(argc, argv, &err) < 0) {
		fprintf(stderr, "pack-archive: %s\n", err.message);
		return 1;
	}
	return 0;
}
