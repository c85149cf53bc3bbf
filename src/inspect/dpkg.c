/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/dpkg.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/hex.h"
#include "base/io.h"
#include "kernel/packed.h"

enum {
	MD5_SIZE = 16,
	STATUS_MOST = 128 << 20,
	SUMS_MOST = 64 << 20,
	PACKAGES_MOST = 200000,
	FILES_MOST = 8 << 20,
	CANDIDATES_MOST = 8,
	MODULE_MOST = 256 << 20,
};

#define DATABASE "/var/lib/dpkg"

struct dpkg_file {
	uint8_t md5[MD5_SIZE];
	const char *path; /* without a leading slash */
	size_t package;
};

struct dpkg {
	char *root;
	struct dpkg_package *packages;
	size_t package_count, package_capacity;
	struct dpkg_file *files;
	size_t count, capacity;
	size_t *by_path;
	struct strv texts; /* that the paths stand in */
};

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "read dpkg's database");
}

void dpkg_free(struct dpkg *dpkg)
{
	if (dpkg == NULL)
		return;
	for (size_t i = 0; i < dpkg->package_count; i++) {
		free(dpkg->packages[i].name);
		free(dpkg->packages[i].version);
		free(dpkg->packages[i].architecture);
	}
	free(dpkg->root);
	free(dpkg->packages);
	free(dpkg->files);
	free(dpkg->by_path);
	strv_done(&dpkg->texts);
	free(dpkg);
}

/* /lib is a link to /usr/lib, and packages name their files by either. */
static const char *merged(const char *path)
{
	static const char *const folders[] = {
		"bin/", "sbin/", "lib/", "lib32/", "lib64/", "libx32/"};

	if (strncmp(path, "usr/", 4) != 0)
		return path;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (strncmp(path + 4, folders[i], strlen(folders[i])) == 0)
			return path + 4;
	}
	return path;
}

static int add_file(struct dpkg *dpkg, const char *hex, const char *path)
{
	struct dpkg_file *file;

	if (dpkg->count == FILES_MOST)
		return 0;
	if (dpkg->count == dpkg->capacity) {
		size_t capacity = MAX(dpkg->capacity * 2, (size_t)4096);
		void *items = reallocarray(dpkg->files, capacity, sizeof(*dpkg->files));

		if (items == NULL)
			return -ENOMEM;
		dpkg->files = items;
		dpkg->capacity = capacity;
	}
	file = &dpkg->files[dpkg->count];
	if (hex_decode(hex, (size_t)2 * MD5_SIZE, file->md5, MD5_SIZE) < 0)
		return 0;
	file->path = path[0] == '/' ? path + 1 : path;
	file->package = dpkg->package_count - 1;
	dpkg->count++;
	return 0;
}

/* Lines of "MD5  path". Takes @text. */
static int add_sums(struct dpkg *dpkg, char *text)
{
	strv_add_owned(&dpkg->texts, text);
	if (text == NULL || !strv_ok(&dpkg->texts))
		return -ENOMEM;
	for (char *line = text; *line != '\0';) {
		char *end = strchrnul(line, '\n');
		char *next = end + (*end != '\0');

		*end = '\0';
		if (end - line > 2 * MD5_SIZE + 2 && line[2 * MD5_SIZE] == ' ' &&
			add_file(dpkg, line, line + 2 * MD5_SIZE + 2) < 0)
			return -ENOMEM;
		line = next;
	}
	return 0;
}

/* What stands behind "KEY: " in a stanza (which ends in a NUL). */
static char *field(const char *stanza, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = stanza; *line != '\0';) {
		const char *end = strchrnul(line, '\n');

		if (strncasecmp(line, key, length) == 0 && line[length] == ':') {
			line += length + 1;
			while (line < end && *line == ' ')
				line++;
			return strndup(line, (size_t)(end - line));
		}
		line = end + (*end != '\0');
	}
	return NULL;
}

/* deb-control(5): what may stand in a name, and so in a path. */
static bool is_name(const char *name)
{
	return name != NULL && isalnum((unsigned char)name[0]) &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.")] == '\0';
}

static int add_package(struct dpkg *dpkg, const char *stanza)
{
	_cleanup_free_ char *name = field(stanza, "Package"), *status = field(stanza, "Status");
	_cleanup_free_ char *version = field(stanza, "Version");
	_cleanup_free_ char *architecture = field(stanza, "Architecture");

	if (!is_name(name) || !is_name(architecture) || version == NULL || status == NULL ||
		strstr(status, " installed") == NULL || dpkg->package_count == PACKAGES_MOST)
		return 0;
	if (dpkg->package_count == dpkg->package_capacity) {
		size_t capacity = MAX(dpkg->package_capacity * 2, (size_t)256);
		void *items = reallocarray(dpkg->packages, capacity, sizeof(*dpkg->packages));

		if (items == NULL)
			return -ENOMEM;
		dpkg->packages = items;
		dpkg->package_capacity = capacity;
	}
	dpkg->packages[dpkg->package_count++] =
		(struct dpkg_package){take_ptr(name), take_ptr(version), take_ptr(architecture)};
	return 1;
}

/* info/NAME:ARCHITECTURE.md5sums of a package that may be installed for several, else info/NAME. */
static int add_package_files(struct dpkg *dpkg)
{
	const struct dpkg_package *package = &dpkg->packages[dpkg->package_count - 1];
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r = -ENOENT;

	for (int i = 0; i < 2 && r < 0; i++) {
		_cleanup_free_ char *path = format_string("%s" DATABASE "/info/%s%s%s.md5sums",
			dpkg->root, package->name, i == 0 ? ":" : "",
			i == 0 ? package->architecture : "");

		if (path == NULL)
			return -ENOMEM;
		strbuf_clear(&text);
		r = read_file(path, SUMS_MOST, &text, NULL);
	}
	if (r < 0)
		return 0;
	return add_sums(dpkg, strbuf_take(&text));
}

/* " /etc/ld.so.conf MD5", behind "Conffiles:". @stanza outlives the files. */
static int add_conffiles(struct dpkg *dpkg, char *stanza)
{
	char *line = strstr(stanza, "\nConffiles:");

	if (line == NULL)
		return 0;
	line = strchr(line + 1, '\n');
	while (line != NULL && line[1] == ' ') {
		char *path = line + 2, *end = strchrnul(path, '\n'), *space;

		line = *end != '\0' ? end : NULL;
		space = memchr(path, ' ', (size_t)(end - path));
		if (space == NULL || end - space < 1 + 2 * MD5_SIZE)
			continue;
		*space = '\0';
		if (add_file(dpkg, space + 1, path) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Stanzas with an empty line between. */
static int read_status(struct dpkg *dpkg, char *text)
{
	while (*text != '\0') {
		char *end = strstr(text, "\n\n");
		int r;

		if (end != NULL)
			*end = '\0';
		r = add_package(dpkg, text);
		if (r == 1) {
			r = add_package_files(dpkg);
			if (r == 0)
				r = add_conffiles(dpkg, text);
		}
		if (r < 0)
			return r;
		if (end == NULL)
			break;
		text = end + 2;
	}
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	const struct dpkg_file *left = a, *right = b;
	int order = memcmp(left->md5, right->md5, MD5_SIZE);

	return order != 0 ? order : strcmp(left->path, right->path);
}

static int compare_paths(const void *a, const void *b, void *files)
{
	const struct dpkg_file *left = (const struct dpkg_file *)files + *(const size_t *)a;
	const struct dpkg_file *right = (const struct dpkg_file *)files + *(const size_t *)b;

	return strcmp(merged(left->path), merged(right->path));
}

static int sort(struct dpkg *dpkg)
{
	dpkg->by_path = calloc(dpkg->count + 1, sizeof(*dpkg->by_path));
	if (dpkg->by_path == NULL)
		return -ENOMEM;
	if (dpkg->count < 1)
		return 0;
	qsort(dpkg->files, dpkg->count, sizeof(*dpkg->files), compare_files);
	for (size_t i = 0; i < dpkg->count; i++)
		dpkg->by_path[i] = i;
	qsort_r(dpkg->by_path, dpkg->count, sizeof(*dpkg->by_path), compare_paths, dpkg->files);
	return 0;
}

int dpkg_open(struct dpkg **ret_dpkg, const char *root, struct caisson_error *err)
{
	_cleanup_(dpkg_freep) struct dpkg *dpkg = calloc(1, sizeof(*dpkg));
	_cleanup_free_ char *path = format_string("%s" DATABASE "/status", root);
	_cleanup_strbuf_ struct strbuf status = STRBUF_INIT;
	char *text;
	int r;

	if (dpkg == NULL || path == NULL)
		return out_of_memory(err);
	dpkg->root = strdup(root);
	if (dpkg->root == NULL)
		return out_of_memory(err);
	r = read_file(path, STATUS_MOST, &status, err);
	if (r < 0 && r != -ENOENT)
		return r;
	text = strbuf_take(&status);
	strv_add_owned(&dpkg->texts, text);
	if (!strv_ok(&dpkg->texts) || read_status(dpkg, text) < 0 || sort(dpkg) < 0)
		return out_of_memory(err);
	*ret_dpkg = take_ptr(dpkg);
	return 0;
}

/* Whether the installed file is @data, compressed or not. */
static bool is_same(struct dpkg *dpkg, const struct dpkg_file *file, const uint8_t *data,
	size_t size, bool packed)
{
	_cleanup_strbuf_ struct strbuf installed = STRBUF_INIT, plain = STRBUF_INIT;
	_cleanup_free_ char *path = format_string("%s/%s", dpkg->root, file->path);
	const struct strbuf *content = &installed;
	struct packed_facts facts;
	size_t used;

	if (path == NULL || read_file(path, MAX(size, (size_t)MODULE_MOST), &installed, NULL) < 0)
		return false;
	if (packed) {
		if (packed_read((const uint8_t *)installed.data, installed.size, size, path, &plain,
			    &facts, &used, NULL) < 0)
			return false;
		content = &plain;
	}
	return content->size == size && (size == 0 || memcmp(content->data, data, size) == 0);
}

static const struct dpkg_file *find_path(const struct dpkg *dpkg, const char *path)
{
	size_t low = 0, high = dpkg->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct dpkg_file *file = &dpkg->files[dpkg->by_path[middle]];
		int order = strcmp(merged(path), merged(file->path));

		if (order == 0)
			return file;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The first of those with this digest. */
static size_t find_sum(const struct dpkg *dpkg, const uint8_t md5[static MD5_SIZE])
{
	size_t low = 0, high = dpkg->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(dpkg->files[middle].md5, md5, MD5_SIZE) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* By content, wherever it stands. What is empty could be anybody's. */
static const struct dpkg_file *find_content(struct dpkg *dpkg, const uint8_t *data, size_t size)
{
	uint8_t md5[EVP_MAX_MD_SIZE];
	size_t first;

	if (size == 0 || !EVP_Digest(data, size, md5, NULL, EVP_md5(), NULL))
		return NULL;
	first = find_sum(dpkg, md5);
	for (size_t i = first; i < dpkg->count && i < first + CANDIDATES_MOST; i++) {
		if (memcmp(dpkg->files[i].md5, md5, MD5_SIZE) != 0)
			break;
		if (is_same(dpkg, &dpkg->files[i], data, size, false))
			return &dpkg->files[i];
	}
	return NULL;
}

/* ext4.ko came out of ext4.ko.xz. */
static int find_module(struct dpkg *dpkg, const char *path, const uint8_t *data, size_t size,
	const struct dpkg_file **ret_file)
{
	static const char *const suffixes[] = {".xz", ".zst", ".gz"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_free_ char *packed = format_string("%s%s", path, suffixes[i]);
		const struct dpkg_file *file;

		if (packed == NULL)
			return -ENOMEM;
		file = find_path(dpkg, packed);
		if (file != NULL && is_same(dpkg, file, data, size, true)) {
			*ret_file = file;
			return 0;
		}
	}
	return 0;
}

int dpkg_find(struct dpkg *dpkg, const char *path, const uint8_t *data, size_t size,
	const struct dpkg_package **ret_package, struct caisson_error *err)
{
	const struct dpkg_file *file = find_path(dpkg, path);

	if (file != NULL && !is_same(dpkg, file, data, size, false))
		file = NULL;
	if (file == NULL)
		file = find_content(dpkg, data, size);
	if (file == NULL && strstr(path, "lib/modules/") != NULL &&
		find_module(dpkg, path, data, size, &file) < 0)
		return out_of_memory(err);
	*ret_package = file != NULL ? &dpkg->packages[file->package] : NULL;
	return 0;
}
