/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/result.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/path.h"
#include "base/process.h"
#include "kbuild/compact.h"
#include "kbuild/settle.h"
#include "kbuild/toolchain.h"
#include "kernel/config.h"
#include "kernel/image.h"
#include "kernel/installed.h"

enum { VMLINUX_MOST = 512 << 20, STRIP_SECONDS = 300, HASH_DIGITS = 8, RELEASE_MOST = 40 };

static const char *const parts[] = {KERNEL_BZIMAGE, KERNEL_VMLINUX, KERNEL_CONFIG};

struct part {
	char hex[DIGEST_HEX_SIZE];
	uint64_t size;
};

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "keep the kernel that was built");
}

/* A file is copied as it is, and on the disk. */
static int copy_file(const char *from, const char *to, struct caisson_error *err)
{
	_cleanup_close_ int source = open_file(from, O_RDONLY, 0, err), target = -1;
	int64_t copied;

	if (source < 0)
		return source;
	target = open_file(to, O_RDWR | O_CREAT | O_EXCL, 0644, err);
	if (target < 0)
		return target;
	copied = copy_fd(source, target, to, err);
	if (copied < 0)
		return (int)copied;
	return fsync(target) == 0 ? 0 : caisson_fail(err, errno, "sync %s", to);
}

/* Without the holes between its segments. */
static int compact_file(const char *path, int fd, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf whole = STRBUF_INIT, compact = STRBUF_INIT;
	int r = read_file(path, VMLINUX_MOST, &whole, err);

	if (r == 0)
		r = compact_vmlinux(whole.data, whole.size, &compact, err);
	if (r <= 0)
		return r;
	r = pwrite_all(fd, compact.data, compact.size, 0, path, err);
	if (r == 0 && ftruncate(fd, (off_t)compact.size) < 0)
		r = caisson_fail(err, errno, "write %s", path);
	return r;
}

/* Everything that no machine looks at: symbols, relocations, what compiler it was. Notes are in
   memory with the rest, and stay: PVH's entry is one. */
static int strip_file(const char *from, const char *to, struct caisson_error *err)
{
	const char *const arguments[] = {
		"strip", "--strip-all", "--remove-section=.comment", "-o", to, from, NULL};
	_cleanup_close_ int fd = -1;
	int r = process_run_for(arguments, STRIP_SECONDS, err);

	if (r < 0)
		return r;
	fd = open_file(to, O_RDWR, 0, err);
	if (fd < 0)
		return fd;
	r = compact_file(to, fd, err);
	if (r < 0)
		return r;
	if (fchmod(fd, 0644) < 0 || fsync(fd) < 0)
		return caisson_fail(err, errno, "sync %s", to);
	return 0;
}

static int describe_part(
	const char *folder, const char *name, struct part *ret_part, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(folder, name);
	_cleanup_close_ int fd = path != NULL ? open_file(path, O_RDONLY, 0, err) : -1;
	struct stat st;
	int r;

	if (path == NULL)
		return out_of_memory(err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "read %s", path);
	r = digest_of_fd(fd, path, ret_part->hex, err);
	if (r == 0)
		ret_part->size = (uint64_t)st.st_size;
	return r;
}

static bool set_files(struct json_object *manifest, const struct part *described)
{
	struct json_object *files = json_object_new_object();

	for (size_t i = 0; files != NULL && i < ARRAY_SIZE(parts); i++) {
		struct json_object *file = json_object_new_object();

		if (file == NULL || !json_set_uint(file, "size", described[i].size) ||
			!json_set_string(file, "sha256", described[i].hex) ||
			!json_set(files, parts[i], file)) {
			json_object_put(files);
			return false;
		}
	}
	return json_set(manifest, "files", files);
}

static bool set_source(struct json_object *manifest, const struct kernel_source *source)
{
	_cleanup_json_ struct json_object *object = json_object_new_object();

	return object != NULL && json_set_string(object, "from", source->origin) &&
	       json_set_string(object, "version", source->version) &&
	       (source->sha256[0] == '\0' || json_set_string(object, "sha256", source->sha256)) &&
	       json_set(manifest, "source", take_ptr(object));
}

static int set_toolchain(struct json_object *manifest, bool pahole, struct caisson_error *err)
{
	static const char *const programs[] = {"gcc", "ld", "make", "pahole"};
	_cleanup_json_ struct json_object *object = json_object_new_object();

	if (object == NULL)
		return out_of_memory(err);
	for (size_t i = 0; i < ARRAY_SIZE(programs) - !pahole; i++) {
		_cleanup_free_ char *version = NULL;
		int r = toolchain_version(programs[i], &version, err);

		if (r < 0)
			return r;
		if (!json_set_string(object, programs[i], version))
			return out_of_memory(err);
	}
	return json_set(manifest, "toolchain", take_ptr(object)) ? 0 : out_of_memory(err);
}

static int write_new(
	const char *folder, const char *name, const char *text, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(folder, name);
	_cleanup_close_ int fd = -1;
	int r;

	if (path == NULL)
		return out_of_memory(err);
	fd = open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0644, err);
	r = fd < 0 ? fd : write_all(fd, text, strlen(text), path, err);
	if (r == 0 && fsync(fd) < 0)
		return caisson_fail(err, errno, "sync %s", path);
	return r;
}

static int write_manifest(const struct result_options *options, const char *release,
	const struct part *described, bool pahole, const char *folder, struct caisson_error *err)
{
	_cleanup_json_ struct json_object *manifest = json_object_new_object();
	_cleanup_free_ char *text = NULL;
	int r;

	if (manifest == NULL || !json_set_uint(manifest, "version", 1) ||
		!json_set_string(manifest, "release", release) ||
		!json_set_string(manifest, "profile", options->profile) ||
		!json_set_uint(manifest, "date", (uint64_t)options->date) ||
		!set_source(manifest, options->source) ||
		!json_set_strings(manifest, "arguments", options->arguments) ||
		!set_files(manifest, described))
		return out_of_memory(err);
	r = set_toolchain(manifest, pahole, err);
	if (r < 0)
		return r;
	text = format_string(
		"%s\n", json_object_to_json_string_ext(manifest,
				JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	return text != NULL ? write_new(folder, KERNEL_MANIFEST, text, err) : out_of_memory(err);
}

/* RELEASE-PROFILE-HASH, of what the files hold: the same bytes have the same name. */
static int make_name(const struct result_options *options, const char *release,
	const struct part *described, char **ret_name, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	char hex[DIGEST_HEX_SIZE];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		strbuf_add_format(&text, "%s %s\n", parts[i], described[i].hex);
	if (!strbuf_ok(&text))
		return out_of_memory(err);
	r = digest_of(text.data, text.size, hex, err);
	if (r < 0)
		return r;
	*ret_name = format_string("%.*s-%s-%.*s", (int)RELEASE_MOST, release, options->profile,
		(int)HASH_DIGITS, hex);
	return *ret_name != NULL ? 0 : out_of_memory(err);
}

static int place_files(const char *tree, const char *folder, struct caisson_error *err)
{
	static const struct {
		const char *from, *to;
		int (*place)(const char *from, const char *to, struct caisson_error *err);
	} files[] = {
		{"arch/x86/boot/bzImage", KERNEL_BZIMAGE, copy_file},
		{"vmlinux", KERNEL_VMLINUX, strip_file},
		{".config", KERNEL_CONFIG, copy_file},
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *from = path_join(tree, files[i].from);
		_cleanup_free_ char *to = path_join(folder, files[i].to);
		int r = from != NULL && to != NULL ? files[i].place(from, to, err)
						   : out_of_memory(err);

		if (r < 0)
			return r;
	}
	return 0;
}

int result_write(const struct result_options *options, const char *release, const char *folder,
	char **ret_name, struct caisson_error *err)
{
	struct part described[ARRAY_SIZE(parts)];
	_cleanup_strbuf_ struct strbuf config = STRBUF_INIT;
	int r = place_files(options->tree, folder, err);
	bool pahole;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++)
		r = describe_part(folder, parts[i], &described[i], err);
	if (r == 0)
		r = settled_config(options->tree, &config, err);
	if (r < 0)
		return r;
	pahole = kernel_config_value(config.data, config.size, "CONFIG_DEBUG_INFO_BTF") == 'y';
	r = write_manifest(options, release, described, pahole, folder, err);
	return r == 0 ? make_name(options, release, described, ret_name, err) : r;
}
