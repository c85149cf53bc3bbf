/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/loader.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/macros.h"
#include "base/path.h"
#include "elf/image.h"

enum {
	LOADER_MOST = 16 << 20,    /* bytes; glibc's has 250 KB, musl's 800 KB */
	PATH_FILE_MOST = 64 << 10, /* bytes of /etc/ld-musl-*.path */
	FOLDERS_MOST = 16,
};

static bool is_folder_text(const char *text, size_t length)
{
	return length >= 3 && length < 256 && text[0] == '/' && text[length - 1] == '/' &&
	       memchr(text, '%', length) == NULL;
}

/*
 * system_dirs of glibc's elf/dl-load.c: one string after the other, each with a slash at both ends,
 * such as "/lib64/\0/usr/lib64/\0". Known by its first two, /libX/ and /usr/libX/ or deeper.
 */
void loader_scan_folders(const char *data, size_t size, struct strv *folders)
{
	static const char mark[] = "/\0/usr/lib";
	const char *hit = memmem(data, size, mark, sizeof(mark) - 1);
	const char *end = data + size, *at;

	if (hit == NULL)
		return;
	for (at = hit; at > data && at[-1] > ' ' && at[-1] < 0x7f && hit - at < 256;)
		at--;
	while (at < end && folders->count < FOLDERS_MOST) {
		size_t length = strnlen(at, (size_t)(end - at));

		if (at + length == end || !is_folder_text(at, length))
			return;
		strv_add_format(folders, "%.*s", (int)length - 1, at);
		at += length + 1;
	}
}

unsigned int loader_scan_version(const char *data, size_t size)
{
	static const char mark[] = "release version 2.";
	const char *at = memmem(data, size, mark, sizeof(mark) - 1), *end = data + size;
	unsigned int minor = 0;

	if (at == NULL)
		return 0;
	for (at += sizeof(mark) - 1; at < end && *at >= '0' && *at <= '9' && minor < 1000; at++)
		minor = minor * 10 + (unsigned int)(*at - '0');
	return minor;
}

/* Folders that are not there stay so: nothing is found in them. */
static int find_places(struct loader *loader, struct library_set *set, struct caisson_error *err)
{
	for (size_t i = 0; i < loader->folders.count; i++) {
		int r = folders_add(set, &loader->places, loader->folders.items[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int read_whole(struct library_set *set, struct location *location, size_t most,
	struct strbuf *content, struct caisson_error *err)
{
	_cleanup_close_ int fd = root_open_file(&set->root, location->node, err);

	return fd < 0 ? fd : read_to_end(fd, most, location->path->text, content, err);
}

/*
 * What the loader knows stands in its constants: the segments that hold no code, when they do (old
 * linkers put both into one). Appends them with a NUL behind each.
 */
static int read_constants(struct library_set *set, struct location *location,
	struct strbuf *content, struct caisson_error *err)
{
	_cleanup_close_ int fd = root_open_file(&set->root, location->node, err);
	struct elf_input input = {
		.fd = fd, .size = location->node->size, .name = location->path->text};
	_cleanup_(elf_image_done) struct elf_image image = {.input = &input};
	int r;

	if (fd < 0)
		return fd;
	r = elf_image_open(&image, err);
	for (unsigned int i = 0; i < image.segment_count && r >= 0; i++) {
		struct elf_segment segment;
		void *to;

		r = elf_image_segment(&image, i, &segment, err);
		if (r < 0 || segment.type != PT_LOAD || (segment.flags & PF_X) != 0 ||
			segment.file_size > LOADER_MOST - MIN(content->size, (size_t)LOADER_MOST))
			continue;
		to = strbuf_reserve(content, (size_t)segment.file_size + 1);
		if (to == NULL)
			return caisson_fail(err, ENOMEM, "read %s", input.name);
		r = elf_image_get(&image, segment.offset, to, (size_t)segment.file_size, err);
		if (r >= 0)
			strbuf_commit(content, (size_t)segment.file_size);
		if (r >= 0)
			strbuf_add_char(content, '\0');
	}
	return r;
}

/* What a distribution would have, when there is no loader to ask. */
static void guess_folders(struct loader *loader)
{
	const struct machine *machine = loader->machine;
	bool wide = strcmp(machine->library_folder, "lib") != 0;

	strv_add_format(&loader->folders, "/lib/%s", machine->triplet);
	strv_add_format(&loader->folders, "/usr/lib/%s", machine->triplet);
	if (wide) {
		strv_add_format(&loader->folders, "/%s", machine->library_folder);
		strv_add_format(&loader->folders, "/usr/%s", machine->library_folder);
	}
	strv_add(&loader->folders, "/lib");
	strv_add(&loader->folders, "/usr/lib");
}

/* The same folder that the loader was configured with: "/lib/x86_64-linux-gnu" gives
   "lib/x86_64-linux-gnu", "/lib64" gives "lib64". */
static char *find_lib(const struct loader *loader, bool scanned)
{
	const char *first = scanned ? loader->folders.items[0] : loader->machine->library_folder;

	if (strncmp(first, "/usr/", 5) == 0)
		first += 4;
	return strdup(first[0] == '/' ? first + 1 : first);
}

static void scan(struct loader *loader, const struct strbuf *content)
{
	if (content->size == 0)
		return;
	loader_scan_folders(content->data, content->size, &loader->folders);
	loader->minor = loader_scan_version(content->data, content->size);
	loader->has_levels = memmem(content->data, content->size, "glibc-hwcaps", 12) != NULL;
}

static int set_up_glibc(struct loader *loader, struct library_set *set, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf content = STRBUF_INIT;
	struct location *location = loader->location;
	bool scanned;
	int r;

	if (location == NULL) {
		r = library_locate(set, loader->machine->interpreter, &location, err);
		if (r < 0)
			return r;
	}
	if (location->node != NULL && location->node->kind == NODE_FILE) {
		r = read_constants(set, location, &content, NULL);
		if (r >= 0)
			scan(loader, &content);
	}
	if (location->node != NULL && location->node->kind == NODE_FILE &&
		loader->folders.count == 0) {
		strbuf_clear(&content);
		r = read_whole(set, location, LOADER_MOST, &content, err);
		if (r < 0)
			return r;
		scan(loader, &content);
	}
	scanned = loader->folders.count > 0;
	if (!scanned)
		guess_folders(loader);
	if (strv_ok(&loader->folders))
		loader->lib = find_lib(loader, scanned);
	return loader->lib != NULL ? 0 : caisson_fail(err, ENOMEM, "read the loader");
}

/* musl's ldso/dynlink.c: split at ':' and line feeds, empty ones skipped. */
static int add_folders(struct strv *folders, const char *text)
{
	for (text += strspn(text, ":\n"); *text != '\0'; text += strspn(text, ":\n")) {
		size_t length = strcspn(text, ":\n");

		if (folders->count == 4096)
			return -E2BIG;
		strv_add_format(folders, "%.*s", (int)length, text);
		text += length;
	}
	return strv_ok(folders) ? 0 : -ENOMEM;
}

/* "/lib/ld-musl-x86_64.so.1" has "/etc/ld-musl-x86_64.path"; one under /opt/lib, one in /opt/etc.
 */
static char *musl_path_file(const char *interpreter)
{
	const char *base = path_base(interpreter), *dot = strchr(base, '.');
	const char *folder = base > interpreter ? base - 1 : interpreter;

	while (folder > interpreter && folder[-1] != '/')
		folder--;
	if (folder > interpreter)
		folder--;
	return format_string("%.*s/etc/%.*s.path", (int)(folder - interpreter), interpreter,
		(int)(dot != NULL ? dot - base : (ptrdiff_t)strlen(base)), base);
}

static int set_up_musl(struct loader *loader, struct library_set *set, struct caisson_error *err)
{
	_cleanup_free_ char *path = musl_path_file(loader->name->text);
	_cleanup_strbuf_ struct strbuf content = STRBUF_INIT;
	const char *folders = "/lib:/usr/local/lib:/usr/lib";
	struct location *location;
	int r;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "read %s", loader->name->text);
	r = library_locate(set, path, &location, err);
	if (r < 0)
		return r;
	if (location->node != NULL) {
		r = read_whole(set, location, PATH_FILE_MOST, &content, err);
		if (r < 0)
			return r;
		loader->path_file = location;
		folders = content.data != NULL ? content.data : "";
	}
	r = add_folders(&loader->folders, folders);
	return r < 0 ? caisson_fail(err, r, "read %s", path) : 0;
}

int loader_new(struct loader **ret_loader, struct library_set *set, const struct elf_ident *ident,
	struct atom *name, struct location *location, struct caisson_error *err)
{
	_cleanup_(loader_freep) struct loader *loader = calloc(1, sizeof(*loader));
	int r;

	if (loader == NULL)
		return caisson_fail(err, ENOMEM, "read the loader");
	loader->machine = machine_find(ident);
	loader->name = name;
	loader->location = location;
	if (name != NULL && strncmp(path_base(name->text), "ld-musl-", 8) == 0) {
		loader->kind = LOADER_MUSL;
		r = set_up_musl(loader, set, err);
	} else {
		loader->kind = LOADER_GLIBC;
		r = set_up_glibc(loader, set, err);
	}
	if (r >= 0)
		r = find_places(loader, set, err);
	if (r < 0)
		return r;
	*ret_loader = take_ptr(loader);
	return 0;
}

void loader_choose(struct loader *loader, const struct hwcaps_choice *choice)
{
	struct hwcaps *hwcaps = &loader->hwcaps[loader->hwcaps_count++];

	if (loader->kind == LOADER_GLIBC)
		hwcaps_set(hwcaps, loader->machine, loader->minor, loader->has_levels, choice);
	else
		*hwcaps = (struct hwcaps){.platform = ""};
}

void loader_free(struct loader *loader)
{
	strv_done(&loader->folders);
	folders_done(&loader->places);
	free(loader->lib);
	free(loader);
}
