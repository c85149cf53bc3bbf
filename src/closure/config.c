/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/config.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "base/io.h"
#include "base/path.h"

enum {
	CONFIG_MOST = 256 << 10, /* bytes of one file */
	LINES_MOST = 4096,
	INCLUDES_MOST = 8, /* of files by each other */
	FILES_MOST = 256,  /* read for one ld.so.conf */
};

#define LOADER_CONFIG "/etc/ld.so.conf"

int config_find(
	struct library_set *set, const char *pattern, struct strv *paths, struct caisson_error *err)
{
	const char *last = path_base(pattern);
	_cleanup_free_ char *folder = strndup(pattern, (size_t)(last - pattern));
	_cleanup_strv_ struct strv names = STRV_INIT;
	struct location *location;
	int r;

	if (folder == NULL)
		return caisson_fail(err, ENOMEM, "look for %s", pattern);
	r = library_locate(set, strpbrk(last, "*?[") != NULL ? folder : pattern, &location, err);
	if (r < 0 || location->node == NULL)
		return r;
	if (strpbrk(last, "*?[") == NULL) {
		strv_add(paths, pattern);
		return strv_ok(paths) ? 0 : caisson_fail(err, ENOMEM, "look for %s", pattern);
	}
	if (location->node->kind != NODE_FOLDER)
		return 0;
	r = root_list(&set->root, location->node, &names, err);
	if (r == -EACCES)
		return 0;
	for (size_t i = 0; i < names.count && r >= 0; i++) {
		if (fnmatch(last, names.items[i], FNM_PERIOD) == 0)
			strv_add_format(paths, "%s%s", folder, names.items[i]);
	}
	if (r >= 0 && !strv_ok(paths))
		r = caisson_fail(err, ENOMEM, "look for %s", pattern);
	return r;
}

static void add_line(struct strv *lines, char *line)
{
	size_t length;

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, " \t\r\f\v");
	length = strlen(line);
	while (length > 0 && strchr(" \t\r\f\v", line[length - 1]) != NULL)
		line[--length] = '\0';
	if (length > 0)
		strv_add(lines, line);
}

int config_lines(
	struct library_set *set, const char *path, struct strv *lines, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf content = STRBUF_INIT;
	_cleanup_close_ int fd = -1;
	struct location *location;
	char *rest, *line;
	int r;

	r = library_locate(set, path, &location, err);
	if (r < 0 || location->node == NULL || location->node->kind != NODE_FILE)
		return r;
	fd = root_open_file(&set->root, location->node, err);
	if (fd == -EACCES)
		return 0;
	if (fd < 0)
		return fd;
	r = read_to_end(fd, CONFIG_MOST, path, &content, err);
	if (r < 0)
		return r;
	rest = content.data;
	while (rest != NULL && lines->count < LINES_MOST && (line = strsep(&rest, "\n")) != NULL)
		add_line(lines, line);
	return strv_ok(lines) ? 0 : caisson_fail(err, ENOMEM, "read %s", path);
}

/* One reading of ld.so.conf and what it includes. */
struct reading {
	struct library_set *set;
	struct folders *folders;
	size_t files;
};

static int read_loader_config(
	struct reading *reading, const char *path, unsigned int depth, struct caisson_error *err);

/* "include PATTERN...": relative to the file's own folder (elf/ldconfig.c, parse_conf_include()).
 */
static int include(struct reading *reading, const char *path, char *patterns, unsigned int depth,
	struct caisson_error *err)
{
	char *pattern;

	while ((pattern = strsep(&patterns, " \t")) != NULL) {
		_cleanup_strv_ struct strv paths = STRV_INIT;
		_cleanup_free_ char *full = NULL;
		int r;

		if (*pattern == '\0')
			continue;
		full = pattern[0] == '/' ? strdup(pattern)
					 : format_string("%.*s%s", (int)(path_base(path) - path),
						   path, pattern);
		if (full == NULL)
			return caisson_fail(err, ENOMEM, "read %s", path);
		r = config_find(reading->set, full, &paths, err);
		for (size_t i = 0; i < paths.count && r >= 0; i++)
			r = read_loader_config(reading, paths.items[i], depth + 1, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* "FOLDER" or "FOLDER=TYPE"; "hwcap INDEX NAME" is of an older ldconfig's. Recursion is bounded. */
static int read_loader_config(
	struct reading *reading, const char *path, unsigned int depth, struct caisson_error *err)
{
	_cleanup_strv_ struct strv lines = STRV_INIT;
	int r;

	if (depth > INCLUDES_MOST || reading->files++ == FILES_MOST)
		return caisson_refuse(err, E2BIG, "%s includes too many files", LOADER_CONFIG);
	r = config_lines(reading->set, path, &lines, err);
	for (size_t i = 0; i < lines.count && r >= 0; i++) {
		char *line = lines.items[i];

		if (strncmp(line, "include", 7) == 0 && (line[7] == ' ' || line[7] == '\t')) {
			r = include(reading, path, line + 8, depth, err);
		} else if (line[0] == '/') {
			line[strcspn(line, "=")] = '\0';
			r = folders_add(reading->set, reading->folders, line, err);
		}
	}
	return r;
}

int config_loader_folders(
	struct library_set *set, struct folders *folders, struct caisson_error *err)
{
	struct reading reading = {.set = set, .folders = folders};

	return read_loader_config(&reading, LOADER_CONFIG, 0, err);
}
