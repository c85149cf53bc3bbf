/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/bom.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/hex.h"
#include "base/io.h"
#include "base/path.h"
#include "base/utf8.h"
#include "inspect/rootfs.h"

enum { OS_RELEASE_MOST = 64 << 10 };

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "make a bill of materials");
}

static void bom_done(struct bom *bom)
{
	for (size_t i = 0; i < bom->count; i++)
		free(bom->files[i].path);
	for (size_t i = 0; i < bom->package_count; i++)
		free(bom->packages[i].purl);
	free(bom->files);
	free(bom->packages);
}

static int hash(const void *data, size_t size, char ret_sha1[static BOM_SHA1_HEX],
	char ret_sha256[static BOM_SHA256_HEX], struct caisson_error *err)
{
	uint8_t raw[EVP_MAX_MD_SIZE];

	if (!EVP_Digest(data, size, raw, NULL, EVP_sha1(), NULL))
		return caisson_refuse(err, EIO, "OpenSSL has no SHA-1");
	hex_encode(raw, 20, ret_sha1);
	if (!EVP_Digest(data, size, raw, NULL, EVP_sha256(), NULL))
		return caisson_refuse(err, EIO, "OpenSSL has no SHA-256");
	hex_encode(raw, 32, ret_sha256);
	return 0;
}

/* Bytes that are not UTF-8, and control characters, become '?'. */
static char *text_of(const char *name)
{
	char *text = strdup(name);

	if (text != NULL) {
		utf8_force(text);
		text_flatten(text);
	}
	return text;
}

/* purl-spec: what is not unreserved is percent-encoded. */
static void add_encoded(struct strbuf *buffer, const char *text)
{
	for (; *text != '\0'; text++) {
		if (isalnum((unsigned char)*text) || strchr(".-_~", *text) != NULL)
			strbuf_add_char(buffer, *text);
		else
			strbuf_add_format(buffer, "%%%02X", (unsigned char)*text);
	}
}

static char *make_purl(const struct dpkg_package *package, const char *vendor)
{
	struct strbuf buffer = STRBUF_INIT;

	strbuf_add_format(&buffer, "pkg:deb/%s/", vendor);
	add_encoded(&buffer, package->name);
	strbuf_add_char(&buffer, '@');
	add_encoded(&buffer, package->version);
	strbuf_add_string(&buffer, "?arch=");
	add_encoded(&buffer, package->architecture);
	return strbuf_take(&buffer);
}

/* ID of os-release(5), "debian" where there is none. */
static char *find_vendor(const char *root)
{
	_cleanup_free_ char *path = format_string("%s/etc/os-release", root);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	const char *line;
	size_t size;

	if (path == NULL)
		return NULL;
	strbuf_add_char(&text, '\n');
	(void)read_file(path, OS_RELEASE_MOST, &text, NULL);
	line = strbuf_ok(&text) ? strstr(text.data, "\nID=") : NULL;
	if (line == NULL)
		return strdup("debian");
	line += strlen("\nID=");
	line += *line == '"';
	size = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789._-");
	return size > 0 ? strndup(line, size) : strdup("debian");
}

static int compare_packages(const void *a, const void *b)
{
	const struct dpkg_package *left = *(const struct dpkg_package *const *)a;
	const struct dpkg_package *right = *(const struct dpkg_package *const *)b;
	int order = strcmp(left->name, right->name);

	return order != 0 ? order : strcmp(left->architecture, right->architecture);
}

/* Lists each package once, and has the files refer to it. */
static int collect_packages(struct bom *bom, const struct dpkg_package **of_file,
	const char *vendor, struct caisson_error *err)
{
	_cleanup_free_ const struct dpkg_package **sorted = calloc(bom->count + 1, sizeof(*sorted));
	size_t count = 0;

	bom->packages = calloc(bom->count + 1, sizeof(*bom->packages));
	if (sorted == NULL || bom->packages == NULL)
		return out_of_memory(err);
	for (size_t i = 0; i < bom->count; i++) {
		if (of_file[i] != NULL)
			sorted[count++] = of_file[i];
	}
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), compare_packages);
	for (size_t i = 0; i < count; i++) {
		struct bom_package *package = &bom->packages[bom->package_count];

		if (i > 0 && sorted[i] == sorted[i - 1])
			continue;
		package->package = sorted[i];
		package->purl = make_purl(sorted[i], vendor);
		if (package->purl == NULL)
			return out_of_memory(err);
		bom->package_count++;
	}
	for (size_t i = 0; i < bom->count; i++) {
		/* A pointer to the package is the first that stands in what is searched. */
		const struct bom_package *found =
			of_file[i] == NULL ? NULL
					   : bsearch(&of_file[i], bom->packages, bom->package_count,
						     sizeof(*bom->packages), compare_packages);

		bom->files[i].package = found != NULL ? (size_t)(found - bom->packages) : SIZE_MAX;
	}
	return 0;
}

/* One name of a file. Its other names are of the same package: @first is the name that was looked
   at, and counts from 1. */
static int collect_file(struct bom *bom, const struct rootfs *root,
	const struct rootfs_entry *entry, struct dpkg *dpkg, const struct dpkg_package **of_file,
	size_t *first, struct caisson_error *err)
{
	const struct rootfs_file *file = &root->files[entry->file];
	struct bom_file *to = &bom->files[bom->count];
	int r;

	to->path = text_of(entry->path);
	if (to->path == NULL)
		return out_of_memory(err);
	bom->count++;
	if (*first > 0) {
		memcpy(to->sha1, bom->files[*first - 1].sha1, sizeof(to->sha1));
		memcpy(to->sha256, bom->files[*first - 1].sha256, sizeof(to->sha256));
		of_file[bom->count - 1] = of_file[*first - 1];
		return 0;
	}
	*first = bom->count;
	r = hash(file->data, file->size, to->sha1, to->sha256, err);
	if (r == 0)
		r = dpkg_find(
			dpkg, entry->path, file->data, file->size, &of_file[bom->count - 1], err);
	return r;
}

static int collect_files(struct bom *bom, const struct rootfs *root, struct dpkg *dpkg,
	const struct dpkg_package ***ret_of_file, struct caisson_error *err)
{
	_cleanup_free_ const struct dpkg_package **of_file =
		calloc(root->count + 1, sizeof(*of_file));
	_cleanup_free_ size_t *first = calloc(root->file_count + 1, sizeof(*first));

	bom->files = calloc(root->count + 1, sizeof(*bom->files));
	if (of_file == NULL || first == NULL || bom->files == NULL)
		return out_of_memory(err);
	for (size_t i = 0; i < root->count; i++) {
		const struct rootfs_entry *entry = &root->entries[i];
		int r;

		if (!S_ISREG(root->files[entry->file].mode))
			continue;
		r = collect_file(bom, root, entry, dpkg, of_file, &first[entry->file], err);
		if (r < 0)
			return r;
	}
	*ret_of_file = take_ptr(of_file);
	return 0;
}

static int collect(struct bom *bom, const struct rootfs *root, const char *system,
	struct dpkg *dpkg, struct caisson_error *err)
{
	_cleanup_free_ const struct dpkg_package **of_file = NULL;
	_cleanup_free_ char *vendor = find_vendor(system);
	int r;

	if (vendor == NULL)
		return out_of_memory(err);
	r = hash(root->members.file.data, root->members.file.size, bom->sha1, bom->sha256, err);
	if (r == 0)
		r = collect_files(bom, root, dpkg, &of_file, err);
	if (r == 0)
		r = collect_packages(bom, of_file, vendor, err);
	return r;
}

static int set_time(struct bom *bom, int64_t created, struct caisson_error *err)
{
	time_t seconds = (time_t)created;
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year < 70 || tm.tm_year > 9999 - 1900)
		return caisson_refuse(
			err, EINVAL, "%lld is no time in seconds since 1970", (long long)created);
	strftime(bom->created, sizeof(bom->created), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return 0;
}

int initramfs_bom(int fd, const char *what, const struct caisson_initramfs_bom_options *options,
	char **ret_text, struct caisson_error *err)
{
	_cleanup_rootfs_ struct rootfs root = ROOTFS_NONE;
	_cleanup_(dpkg_freep) struct dpkg *dpkg = NULL;
	const char *system = options->root != NULL ? options->root : "";
	_cleanup_free_ char *name = text_of(path_base(what));
	_cleanup_(bom_done) struct bom bom = {.name = name};
	_cleanup_json_ struct json_object *object = NULL;
	int r = set_time(&bom, options->created, err);

	if (name == NULL)
		return out_of_memory(err);
	if (r == 0)
		r = rootfs_open(fd, what, &root, err);
	if (r == 0)
		r = dpkg_open(&dpkg, system, err);
	if (r == 0)
		r = collect(&bom, &root, system, dpkg, err);
	if (r < 0)
		return r;
	object = options->cyclonedx ? bom_cyclonedx(&bom) : bom_spdx(&bom);
	if (object == NULL)
		return out_of_memory(err);
	*ret_text = strdup(json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	return *ret_text != NULL ? 0 : out_of_memory(err);
}
