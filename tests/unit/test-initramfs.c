/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/process.h"
#include "boot/archive.h"
#include "boot/compress.h"
#include "boot/cpio.h"
#include "boot/initramfs.h"
#include "boot/modules.h"
#include "inspect/walk.h"
#include "pack.h"

/* Without the syncs of write_file_atomic(): there are hundreds of these. */
static void write_file(const char *path, const void *data, size_t size)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	struct caisson_error err = {0};

	assert_true(fd >= 0);
	assert_ok(write_all(fd, data, size, path, &err), &err);
}

/* ---- reading an archive back ---- */

struct listing {
	struct strbuf text;   /* "PATH OCTALMODE SIZE\n" */
	struct strbuf wanted; /* contents of the file at @wanted_path */
	const char *wanted_path;
};

static int note_entry(const struct cpio_entry *entry, void *userdata)
{
	struct listing *listing = userdata;

	strbuf_add_format(&listing->text, "%s %o %u", entry->path, entry->mode, entry->size);
	if (S_ISLNK(entry->mode))
		strbuf_add_format(
			&listing->text, " %.*s", (int)entry->size, (const char *)entry->data);
	strbuf_add_char(&listing->text, '\n');
	if (listing->wanted_path != NULL && strcmp(listing->wanted_path, entry->path) == 0) {
		strbuf_clear(&listing->wanted);
		strbuf_add(&listing->wanted, entry->data, entry->size);
	}
	return 0;
}

static void list_fd(int fd, struct listing *listing)
{
	struct caisson_error err = {0};

	strbuf_clear(&listing->text);
	assert_ok(initramfs_list(fd, "the archive", note_entry, listing, &err), &err);
	strbuf_add(&listing->text, "", 0);
}

static void list_path(const char *path, struct listing *listing)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	list_fd(fd, listing);
}

static void listing_done(struct listing *listing)
{
	strbuf_done(&listing->text);
	strbuf_done(&listing->wanted);
}

#define _cleanup_listing_ _cleanup_(listing_done)

static bool has_line(const struct listing *listing, const char *start)
{
	const char *found = strstr(listing->text.data, start);

	return found != NULL && (found == listing->text.data || found[-1] == '\n');
}

/* ---- a modules folder made of this machine's modules, compressed and with an index of its own
 * ---- */

static bool installed_kernel(struct kernel *kernel)
{
	struct caisson_error err = {0};

	if (kernel_find(NULL, NULL, kernel, &err) == 0)
		return true;
	print_message("# SKIP %s\n", err.message);
	return false;
}

static void copy_module(
	const struct module *module, const char *root, const char *filter, const char *suffix)
{
	_cleanup_free_ char *to = format_string("%s%s%s", root, module->path, suffix);
	_cleanup_strbuf_ struct strbuf plain = STRBUF_INIT, packed = STRBUF_INIT;
	struct caisson_error err = {0};
	char *slash = strrchr(to, '/');

	*slash = '\0';
	assert_ok(make_directories(to, 0755, &err), &err);
	*slash = '/';
	assert_ok(module_read(module->source, &plain, &err), &err);
	if (filter != NULL)
		pack(filter, plain.data, plain.size, &packed);
	else
		strbuf_add(&packed, plain.data, plain.size);
	write_file(to, packed.data, packed.size);
}

static bool run_depmod(const char *root, const char *release)
{
	const char *const argv[] = {"depmod", "-b", root, release, NULL};
	struct process_options options = PROCESS_OPTIONS_INIT;
	struct caisson_error err = {0};
	int r = process_run(argv, &options, NULL, &err);

	if (r == -ENOENT) {
		print_message("# SKIP %s\n", err.message);
		return false;
	}
	assert_ok(r, &err);
	return true;
}

/* ROOT/lib/modules/RELEASE with the modules of @features, one in each form in turn. */
static bool make_modules(const char *root, unsigned int features, struct kernel *ret_kernel)
{
	static const char *const filters[] = {NULL, "xz", "zstd"};
	static const char *const suffixes[] = {"", ".xz", ".zst"};
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	_cleanup_module_list_ struct module_list modules = MODULE_LIST_INIT;
	_cleanup_free_ char *builtin = NULL, *folder = NULL, *from = NULL;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};

	if (!installed_kernel(&kernel))
		return false;
	assert_ok(modules_resolve(&kernel, features, NULL, &modules, &err), &err);
	assert_true(modules.count > 0);
	for (size_t i = 0; i < modules.count; i++)
		copy_module(&modules.items[i], root, filters[i % 3], suffixes[i % 3]);
	folder = format_string("%s/lib/modules/%s", root, kernel.release);
	builtin = path_join(folder, "modules.builtin");
	from = path_join(kernel.modules, "modules.builtin");
	assert_ok(read_file(from, 1 << 20, &text, &err), &err);
	write_file(builtin, text.data, text.size);
	if (!run_depmod(root, kernel.release))
		return false;
	ret_kernel->path = strdup(kernel.path);
	ret_kernel->release = strdup(kernel.release);
	ret_kernel->modules = take_ptr(folder);
	ret_kernel->config = kernel.config != NULL ? strdup(kernel.config) : NULL;
	return true;
}

/* ---- modules ---- */

static size_t place_of(const struct module_list *list, const char *path, size_t size)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *below = strstr(list->items[i].path, "/kernel/");
		size_t length;

		assert_non_null(below);
		length = strlen(++below);
		/* In the archive, without the suffix of its compression. */
		if (length <= size && memcmp(below, path, length) == 0 &&
			(length == size || path[length] == '.'))
			return i;
	}
	return SIZE_MAX;
}

/* Every dependency that modules.dep names stands before the module. */
static void check_order(const struct kernel *kernel, const struct module_list *list)
{
	_cleanup_free_ char *path = path_join(kernel->modules, "modules.dep");
	_cleanup_strbuf_ struct strbuf dep = STRBUF_INIT;
	struct caisson_error err = {0};
	char *rest, *line;
	size_t seen = 0;

	assert_ok(read_file(path, 16 << 20, &dep, &err), &err);
	for (line = strtok_r(dep.data, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		size_t size = strcspn(line, ":");
		size_t at = place_of(list, line, size);
		char *word_rest, *word;

		if (at == SIZE_MAX || line[size] == '\0')
			continue;
		seen++;
		for (word = strtok_r(line + size + 1, " ", &word_rest); word != NULL;
			word = strtok_r(NULL, " ", &word_rest))
			assert_true(place_of(list, word, strlen(word)) < at);
	}
	assert_int_equal(seen, list->count);
}

static size_t find_module(const struct module_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(path_base(list->items[i].path), name) == 0)
			return i;
	}
	return SIZE_MAX;
}

static void test_module_order(void **state _unused_)
{
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	_cleanup_module_list_ struct module_list list = MODULE_LIST_INIT;
	struct caisson_error err = {0};

	if (!installed_kernel(&kernel))
		skip();
	assert_ok(modules_resolve(&kernel,
			  KERNEL_BASE | KERNEL_MMIO | KERNEL_PCI | KERNEL_VOLUME | KERNEL_NETWORK |
				  KERNEL_VSOCK,
			  NULL, &list, &err),
		&err);
	check_order(&kernel, &list);
	/* A soft dependency, which modules.dep does not know: XTS cannot work without ECB. */
	if (find_module(&list, "xts.ko") != SIZE_MAX && find_module(&list, "ecb.ko") != SIZE_MAX)
		assert_true(find_module(&list, "ecb.ko") < find_module(&list, "xts.ko"));
	for (size_t i = 0; i < list.count; i++) {
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(list.items[i].path, list.items[k].path);
	}
}

static void test_compressed_modules(void **state)
{
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE, installed = KERNEL_NONE;
	_cleanup_module_list_ struct module_list packed = MODULE_LIST_INIT,
						 plain = MODULE_LIST_INIT;
	_cleanup_free_ char *root = path_join(*state, "packed");
	struct caisson_error err = {0};

	if (!make_modules(root, KERNEL_PCI | KERNEL_VOLUME, &kernel) ||
		!installed_kernel(&installed))
		skip();
	assert_ok(modules_resolve(&kernel, KERNEL_PCI | KERNEL_VOLUME, NULL, &packed, &err), &err);
	assert_ok(
		modules_resolve(&installed, KERNEL_PCI | KERNEL_VOLUME, NULL, &plain, &err), &err);
	assert_int_equal(packed.count, plain.count);
	/* Each depmod run has its own order among modules that do not need each other. */
	check_order(&kernel, &packed);
	for (size_t i = 0; i < packed.count; i++) {
		_cleanup_strbuf_ struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
		size_t k = find_module(&plain, path_base(packed.items[i].path));

		assert_true(k < plain.count);
		assert_string_equal(packed.items[i].path, plain.items[k].path);
		assert_string_not_equal(packed.items[i].source, plain.items[k].source);
		assert_ok(module_read(packed.items[i].source, &a, &err), &err);
		assert_ok(module_read(plain.items[k].source, &b, &err), &err);
		assert_int_equal(a.size, b.size);
		assert_memory_equal(a.data, b.data, a.size);
	}
}

/* A kernel without dm_crypt, in its modules folder and its .config. */
static void test_module_missing(void **state)
{
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	_cleanup_module_list_ struct module_list list = MODULE_LIST_INIT;
	_cleanup_free_ char *root = path_join(*state, "lacking");
	_cleanup_free_ char *config = path_join(*state, "lacking-config");
	struct caisson_error err = {0};

	if (!make_modules(root, KERNEL_BASE | KERNEL_MMIO, &kernel))
		skip();
	free(kernel.config);
	kernel.config = NULL;
	assert_ok(modules_resolve(&kernel, KERNEL_BASE | KERNEL_MMIO, NULL, &list, &err), &err);
	assert_refused(modules_resolve(&kernel, KERNEL_VOLUME, NULL, &list, &err), &err, ENOTSUP);
	assert_non_null(strstr(err.message, "(module dm_mod)"));
	write_file(config, "CONFIG_BLK_DEV_DM=y\n", 20);
	kernel.config = strdup(config);
	assert_refused(modules_resolve(&kernel, KERNEL_VOLUME, NULL, &list, &err), &err, ENOTSUP);
	assert_non_null(
		strstr(err.message, "CONFIG_DM_CRYPT (module dm_crypt): encrypted volumes"));
}

static void test_no_modules(void **state _unused_)
{
	struct kernel kernel = {NULL, (char *)"6.1.0", NULL, NULL};
	_cleanup_module_list_ struct module_list list = MODULE_LIST_INIT;
	struct caisson_error err = {0};

	assert_ok(modules_resolve(&kernel, KERNEL_BASE, NULL, &list, &err), &err);
	assert_int_equal(list.count, 0);
}

/* Debian's depmod is built without gzip, so that no index is made of these. */
static void test_gzip_module(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "a.ko.gz");
	_cleanup_strbuf_ struct strbuf buffer = STRBUF_INIT, packed = STRBUF_INIT;
	struct caisson_error err = {0};

	pack("gzip", "a module", 8, &packed);
	write_file(path, packed.data, packed.size);
	assert_ok(module_read(path, &buffer, &err), &err);
	assert_int_equal(buffer.size, 8);
	assert_memory_equal(buffer.data, "a module", 8);
}

static void test_bad_module(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "bad.ko.xz");
	_cleanup_strbuf_ struct strbuf buffer = STRBUF_INIT, packed = STRBUF_INIT;
	struct caisson_error err = {0};

	write_file(path, "not compressed", 14);
	assert_refused(module_read(path, &buffer, &err), &err, ENOTSUP);
	pack("xz", "some text to compress", 21, &packed);
	write_file(path, packed.data, packed.size - 15);
	assert_refused(module_read(path, &buffer, &err), &err, EBADMSG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(module_read(path, &buffer, &err), &err, EINVAL);
}

/* ---- the archive ---- */

static void test_archive(void **state _unused_)
{
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	_cleanup_archive_ struct archive archive = ARCHIVE_INIT;
	_cleanup_listing_ struct listing listing = {0};
	struct file_sink file = {fd, "archive", 0};
	struct caisson_error err = {0};

	assert_ok(archive_add(&archive, "/lib", ARCHIVE_SYMLINK, 0777, "usr/lib", 0, &err), &err);
	assert_ok(archive_add(&archive, "/bin", ARCHIVE_SYMLINK, 0777, "/usr/bin", 0, &err), &err);
	assert_ok(archive_add(
			  &archive, "/usr/lib/x", ARCHIVE_SYMLINK, 0777, "../../opt/./x", 0, &err),
		&err);
	assert_ok(
		archive_add(&archive, "/lib/modules/a.ko", ARCHIVE_DATA, 0644, "A", 0, &err), &err);
	assert_ok(archive_add(&archive, "//lib/x//b", ARCHIVE_DATA, 0644, "B", 0, &err), &err);
	assert_ok(archive_add(&archive, "/bin/sh", ARCHIVE_DATA, 0755, "S", 0, &err), &err);
	assert_ok(archive_add(&archive, "/usr/bin/sh", ARCHIVE_DATA, 0755, "S", 0, &err), &err);
	assert_ok(archive_add(&archive, "/a-b", ARCHIVE_DATA, 0600, "-", 0, &err), &err);
	assert_ok(archive_add(&archive, "/a/b", ARCHIVE_DIRECTORY, 0700, NULL, 0, &err), &err);
	assert_ok(archive_add(&archive, "/a/b/c", ARCHIVE_DATA, 0600, "c", 0, &err), &err);
	assert_ok(archive_complete(&archive, &err), &err);
	assert_ok(archive_write(&archive, 0, file_sink(&file), &err), &err);
	list_fd(fd, &listing);
	assert_string_equal(listing.text.data, "a 40755 0\n"
					       "a-b 100600 1\n"
					       "a/b 40700 0\n"
					       "a/b/c 100600 1\n"
					       "bin 120777 8 /usr/bin\n"
					       "lib 120777 7 usr/lib\n"
					       "opt 40755 0\n"
					       "opt/x 40755 0\n"
					       "opt/x/b 100644 1\n"
					       "usr 40755 0\n"
					       "usr/bin 40755 0\n"
					       "usr/bin/sh 100755 1\n"
					       "usr/lib 40755 0\n"
					       "usr/lib/modules 40755 0\n"
					       "usr/lib/modules/a.ko 100644 1\n"
					       "usr/lib/x 120777 13 ../../opt/./x\n");
}

static void test_archive_refuses(void **state _unused_)
{
	struct caisson_error err = {0};

	{
		_cleanup_archive_ struct archive archive = ARCHIVE_INIT;

		assert_refused(archive_add(&archive, "/a/../b", ARCHIVE_DATA, 0644, "", 0, &err),
			&err, EINVAL);
		assert_refused(
			archive_add(&archive, "/", ARCHIVE_DATA, 0644, "", 0, &err), &err, EINVAL);
		assert_ok(archive_add(&archive, "/x", ARCHIVE_DATA, 0644, "1", 0, &err), &err);
		assert_ok(archive_add(&archive, "/y", ARCHIVE_DATA, 0644, "1", 0, &err), &err);
		assert_ok(archive_add(&archive, "/x", ARCHIVE_DATA, 0644, "2", 0, &err), &err);
		assert_refused(archive_complete(&archive, &err), &err, EEXIST);
	}
	{
		_cleanup_archive_ struct archive archive = ARCHIVE_INIT;

		assert_ok(archive_add(&archive, "/x", ARCHIVE_DATA, 0644, "a file", 0, &err), &err);
		assert_ok(archive_add(&archive, "/x/y", ARCHIVE_DATA, 0644, "below it", 0, &err),
			&err);
		assert_refused(archive_complete(&archive, &err), &err, EEXIST);
	}
	{
		_cleanup_archive_ struct archive archive = ARCHIVE_INIT;

		assert_ok(archive_add(&archive, "/x", ARCHIVE_SYMLINK, 0777, "y", 0, &err), &err);
		assert_ok(archive_add(&archive, "/y", ARCHIVE_SYMLINK, 0777, "x", 0, &err), &err);
		assert_ok(archive_add(&archive, "/x/z", ARCHIVE_DATA, 0644, "", 0, &err), &err);
		assert_refused(archive_complete(&archive, &err), &err, ELOOP);
	}
}

/* ---- compressed and concatenated ---- */

static int to_strbuf(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	strbuf_add(userdata, data, size);
	return strbuf_ok(userdata) ? 0 : caisson_fail(err, ENOMEM, "write");
}

static void one_file(const char *path, struct strbuf *archive)
{
	struct caisson_error err = {0};
	struct cpio_writer writer;

	cpio_writer_init(&writer, (struct sink){to_strbuf, archive});
	assert_ok(cpio_add_data(&writer, path, 0644, path, strlen(path), &err), &err);
	assert_ok(cpio_finish(&writer, &err), &err);
}

static void add_zstd(struct strbuf *to, const struct strbuf *archive, int level)
{
	_cleanup_(compressor_freep) struct compressor *compressor = NULL;
	struct compressor_options options = {COMPRESSION_ZSTD, level, 1};
	struct caisson_error err = {0};
	struct sink sink;

	assert_ok(compressor_new(&compressor, &options, (struct sink){to_strbuf, to}, &err), &err);
	sink = compressor_sink(compressor);
	for (size_t i = 0; i < archive->size; i += 100)
		assert_ok(sink.write(sink.userdata, archive->data + i,
				  MIN(archive->size - i, (size_t)100), &err),
			&err);
	assert_ok(compressor_finish(compressor, &err), &err);
}

static void add_zeros(struct strbuf *to, size_t multiple)
{
	while (to->size % multiple != 0)
		strbuf_add_char(to, '\0');
}

/* Plain, zstd and others, one behind the other, as microcode and boot loaders do it. */
static void test_walk(void **state _unused_)
{
	static const char *const filters[] = {"gzip", "xz", "bzip2"};
	_cleanup_strbuf_ struct strbuf all = STRBUF_INIT;
	_cleanup_listing_ struct listing listing = {0};
	struct caisson_error err = {0};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		_cleanup_strbuf_ struct strbuf a = STRBUF_INIT, b = STRBUF_INIT, c = STRBUF_INIT;

		one_file("early", &a);
		one_file("zstd", &b);
		one_file(filters[i], &c);
		strbuf_clear(&all);
		strbuf_add(&all, a.data, a.size);
		add_zstd(&all, &b, 0);
		add_zstd(&all, &b, 19);
		add_zeros(&all, 512);
		strbuf_add(&all, a.data, a.size);
		pack(filters[i], c.data, c.size, &all);
		if (strcmp(filters[i], "gzip") == 0) {
			add_zeros(&all, 4);
			strbuf_add(&all, b.data, b.size);
		}
		strbuf_clear(&listing.text);
		assert_ok(archive_walk((const uint8_t *)all.data, all.size, 1 << 20, "all",
				  note_entry, &listing, &err),
			&err);
		assert_int_equal(strncmp(listing.text.data,
					 "early 100644 5\nzstd 100644 4\nzstd 100644 4\n"
					 "early 100644 5\n",
					 58),
			0);
		assert_true(has_line(&listing, filters[i]));
		if (strcmp(filters[i], "gzip") == 0)
			assert_string_equal(
				listing.text.data + 58, "gzip 100644 4\nzstd 100644 4\n");
	}
	/* More than is allowed; then cut inside the last one; then what is no archive. */
	r = archive_walk(
		(const uint8_t *)all.data, all.size, 1000, "all", note_entry, &listing, &err);
	assert_refused(r, &err, EFBIG);
	r = archive_walk((const uint8_t *)all.data, all.size - 20, 1 << 20, "all", note_entry,
		&listing, &err);
	assert_refused(r, &err, EBADMSG);
	r = archive_walk(
		(const uint8_t *)"what is this", 12, 1 << 20, "all", note_entry, &listing, &err);
	assert_refused(r, &err, EBADMSG);
}

static void test_machine_archive(void **state _unused_)
{
	static const char json[] = "{\"name\": \"web\"}";
	_cleanup_strbuf_ struct strbuf first = STRBUF_INIT, again = STRBUF_INIT;
	_cleanup_listing_ struct listing listing = {.wanted_path = "etc/caisson/guest.json"};
	struct caisson_error err = {0};

	assert_ok(initramfs_machine_archive(json, strlen(json), &first, &err), &err);
	assert_ok(initramfs_machine_archive(json, strlen(json), &again, &err), &err);
	assert_int_equal(first.size % 512, 0);
	assert_int_equal(first.size, again.size);
	assert_memory_equal(first.data, again.data, first.size);
	assert_ok(archive_walk((const uint8_t *)first.data, first.size, 0, "machine", note_entry,
			  &listing, &err),
		&err);
	assert_string_equal(listing.text.data, "etc 40755 0\netc/caisson 40755 0\n"
					       "etc/caisson/guest.json 100600 15\n");
	assert_memory_equal(listing.wanted.data, json, strlen(json));
}

/* ---- recipes ---- */

struct fixture {
	struct kernel kernel;
	struct initramfs_program programs[2];
	char *init; /* a copy of a program, so that it can be changed */
	struct initramfs_recipe recipe;
	struct state state;
};

static void fixture_done(struct fixture *fixture)
{
	kernel_done(&fixture->kernel);
	state_done(&fixture->state);
	free(fixture->init);
}

#define _cleanup_fixture_ _cleanup_(fixture_done)

static void copy_program(const char *from, const char *to)
{
	_cleanup_strbuf_ struct strbuf program = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(read_file(from, 16 << 20, &program, &err), &err);
	write_file(to, program.data, program.size);
}

static bool fixture_make(struct fixture *fixture, const char *folder, const char *name)
{
	_cleanup_free_ char *root = path_join(folder, name);
	_cleanup_free_ char *place = path_join(root, "state");
	struct caisson_error err = {0};

	assert_ok(state_open(&fixture->state, place, place, &err), &err);
	if (!make_modules(root, KERNEL_BASE | KERNEL_MMIO | KERNEL_VOLUME, &fixture->kernel))
		return false;
	fixture->init = path_join(root, "init");
	copy_program("/bin/true", fixture->init);
	fixture->programs[0] = (struct initramfs_program){fixture->init, "/init"};
	fixture->programs[1] = (struct initramfs_program){"/bin/ls", NULL};
	fixture->recipe = (struct initramfs_recipe){.kernel = &fixture->kernel,
		.features = KERNEL_BASE | KERNEL_MMIO | KERNEL_VOLUME,
		.programs = fixture->programs,
		.program_count = 2,
		.level = 3};
	return true;
}

static void base_of(struct fixture *fixture, char **ret_path)
{
	struct caisson_error err = {0};

	assert_ok(initramfs_base(&fixture->state, &fixture->recipe, NULL, ret_path, &err), &err);
}

static void check_module_list(const struct listing *listing)
{
	char *copy = strdup(listing->wanted.data), *rest;
	size_t count = 0;

	for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		const char *suffix = strrchr(line, '.');

		if (line[0] == '#')
			continue;
		assert_int_equal(strncmp(line, "/lib/modules/", 13), 0);
		assert_string_equal(suffix, ".ko");
		/* Where /lib is a link, the module itself is in usr/lib. */
		assert_non_null(strstr(listing->text.data, line + 1));
		count++;
	}
	assert_true(count > 5);
	free(copy);
}

static void test_build(void **state)
{
	_cleanup_fixture_ struct fixture fixture = {0};
	_cleanup_listing_ struct listing listing = {.wanted_path = "etc/caisson/modules"};
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	struct caisson_error err = {0};

	if (!fixture_make(&fixture, *state, "build"))
		skip();
	assert_ok(initramfs_build(&fixture.recipe, fd, NULL, &err), &err);
	list_fd(fd, &listing);
	assert_true(has_line(&listing, "dev/console 20600 0\n"));
	assert_true(has_line(&listing, "newroot 40755 0\n"));
	assert_true(has_line(&listing, "etc/caisson 40755 0\n"));
	assert_true(has_line(&listing, "proc 40755 0\n"));
	assert_true(has_line(&listing, "sys 40755 0\n"));
	assert_true(has_line(&listing, "run 40755 0\n"));
	assert_true(has_line(&listing, "init 100755 "));
	assert_non_null(strstr(listing.text.data, "bin/ls 100755 "));
	assert_non_null(strstr(listing.text.data, "libc.so.6 "));
	/* Nothing tells where the program stood on this machine. */
	assert_null(strstr(listing.text.data, "caisson-test"));
	check_module_list(&listing);
}

/* The same bytes at another time, with another umask, over a longer file. */
static void test_reproducible(void **state)
{
	static const enum compression forms[] = {COMPRESSION_ZSTD, COMPRESSION_NONE};
	_cleanup_fixture_ struct fixture fixture = {0};

	if (!fixture_make(&fixture, *state, "reproducible"))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_close_ int a = memfd_create("a", MFD_CLOEXEC);
		_cleanup_close_ int b = memfd_create("b", MFD_CLOEXEC);
		_cleanup_strbuf_ struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
		struct caisson_error err = {0};
		mode_t old;

		fixture.recipe.compression = forms[i];
		assert_ok(initramfs_build(&fixture.recipe, a, NULL, &err), &err);
		assert_int_equal(ftruncate(b, 64 << 20), 0);
		usleep(1100000);
		old = umask(0077);
		copy_program("/bin/true", fixture.init);
		assert_ok(initramfs_build(&fixture.recipe, b, NULL, &err), &err);
		umask(old);
		assert_int_equal(lseek(a, 0, SEEK_SET), 0);
		assert_int_equal(lseek(b, 0, SEEK_SET), 0);
		assert_ok(read_to_end(a, 64 << 20, "a", &first, &err), &err);
		assert_ok(read_to_end(b, 64 << 20, "b", &second, &err), &err);
		assert_int_equal(first.size, second.size);
		assert_memory_equal(first.data, second.data, first.size);
	}
}

static void test_cache(void **state)
{
	_cleanup_fixture_ struct fixture fixture = {0};
	_cleanup_free_ char *first = NULL, *second = NULL, *third = NULL, *pinned = NULL;
	struct stat before, after;
	uint64_t started;

	if (!fixture_make(&fixture, *state, "cache"))
		skip();
	base_of(&fixture, &first);
	assert_int_equal(stat(first, &before), 0);
	/* A machine pins it with a hard link: still the same. */
	pinned = format_string("%s-pinned", first);
	assert_int_equal(link(first, pinned), 0);
	started = now_usec();
	base_of(&fixture, &second);
	print_message("# a hit took %llu us\n", (unsigned long long)(now_usec() - started));
	assert_string_equal(first, second);
	assert_int_equal(stat(second, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	/* Another recipe is another archive. */
	fixture.recipe.compression = COMPRESSION_NONE;
	base_of(&fixture, &third);
	assert_string_not_equal(first, third);
}

static void touch(const char *path)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = 1000000000}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_cache_inputs(void **state)
{
	_cleanup_fixture_ struct fixture fixture = {0};
	_cleanup_free_ char *path = NULL, *dep = NULL;
	_cleanup_module_list_ struct module_list modules = MODULE_LIST_INIT;
	struct caisson_error err = {0};
	const char *inputs[3];

	if (!fixture_make(&fixture, *state, "inputs"))
		skip();
	assert_ok(modules_resolve(&fixture.kernel, KERNEL_VOLUME, NULL, &modules, &err), &err);
	dep = path_join(fixture.kernel.modules, "modules.dep");
	inputs[0] = fixture.init;
	inputs[1] = dep;
	inputs[2] = modules.items[0].source;
	base_of(&fixture, &path);
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		_cleanup_free_ char *changed = NULL, *again = NULL;

		touch(inputs[i]);
		base_of(&fixture, &changed);
		assert_string_not_equal(path, changed);
		base_of(&fixture, &again);
		assert_string_equal(changed, again);
		free(path);
		path = take_ptr(changed);
	}
	/* Other contents, other bytes. */
	{
		_cleanup_listing_ struct listing old = {0}, new = {0};
		_cleanup_free_ char *changed = NULL;

		copy_program("/bin/echo", fixture.init);
		base_of(&fixture, &changed);
		list_path(path, &old);
		list_path(changed, &new);
		assert_string_not_equal(old.text.data, new.text.data);
	}
	/* A program that is gone is a failure, not an old archive. */
	assert_int_equal(unlink(fixture.init), 0);
	{
		char *gone = NULL;

		assert_refused(initramfs_base(&fixture.state, &fixture.recipe, NULL, &gone, &err),
			&err, ENOENT);
		assert_null(gone);
	}
}

static void append_byte(const char *path)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
}

static void flip_byte(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	char byte;

	assert_int_equal(pread(fd, &byte, 1, 1000), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 1000), 1);
}

static void cut_in_half(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
}

static void make_empty(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}

static void remove_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static char *manifest_of(const char *archive)
{
	_cleanup_free_ char *folder = strndup(archive, (size_t)(path_base(archive) - archive));
	_cleanup_closedir_ DIR *directory = opendir(folder);
	struct dirent *entry;

	while ((entry = readdir(directory)) != NULL) {
		if (strstr(entry->d_name, ".deps") != NULL)
			return path_join(folder, entry->d_name);
	}
	return NULL;
}

static void test_cache_damaged(void **state)
{
	static void (*const damages[])(const char *) = {
		append_byte, flip_byte, cut_in_half, make_empty, remove_it};
	_cleanup_fixture_ struct fixture fixture = {0};
	_cleanup_free_ char *path = NULL, *manifest = NULL;
	_cleanup_listing_ struct listing whole = {0};

	if (!fixture_make(&fixture, *state, "damaged"))
		skip();
	base_of(&fixture, &path);
	list_path(path, &whole);
	manifest = manifest_of(path);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(damages); i++) {
		_cleanup_free_ char *again = NULL;
		_cleanup_listing_ struct listing listing = {0};

		damages[i / 2](i % 2 == 0 ? path : manifest);
		base_of(&fixture, &again);
		list_path(again, &listing);
		assert_string_equal(listing.text.data, whole.text.data);
		free(path);
		path = take_ptr(again);
	}
}

static void count_build(enum caisson_log_level level _unused_, const char *text, void *userdata)
{
	if (strstr(text, "wrote the boot archive") != NULL)
		(*(int *)userdata)++;
}

/* Several at once: one builds, all get the same. */
static void test_two_builders(void **state)
{
	enum { BUILDERS = 4 };
	_cleanup_fixture_ struct fixture fixture = {0};
	_cleanup_free_ char *path = NULL;
	_cleanup_listing_ struct listing listing = {0};
	int built = 0;

	if (!fixture_make(&fixture, *state, "two"))
		skip();
	for (int i = 0; i < BUILDERS; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			int builds = 0;
			struct caisson_log log = {count_build, &builds};
			int r = initramfs_base(&fixture.state, &fixture.recipe, &log, &path, NULL);

			_exit(r < 0 ? 100 : builds);
		}
	}
	for (int i = 0; i < BUILDERS; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
		built += WEXITSTATUS(status);
	}
	assert_int_equal(built, 1);
	base_of(&fixture, &path);
	list_path(path, &listing);
	assert_true(has_line(&listing, "init 100755 "));
}

static void test_recipe_refused(void **state)
{
	_cleanup_fixture_ struct fixture fixture = {0};
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	struct caisson_error err = {0};

	if (!fixture_make(&fixture, *state, "refused"))
		skip();
	fixture.programs[1].source = "/etc/passwd";
	assert_refused(initramfs_build(&fixture.recipe, fd, NULL, &err), &err, ENOEXEC);
	fixture.programs[1].source = "/nowhere";
	assert_refused(initramfs_build(&fixture.recipe, fd, NULL, &err), &err, ENOENT);
	/* Two programs at one place. */
	fixture.programs[1] = (struct initramfs_program){"/bin/ls", "/init"};
	assert_refused(initramfs_build(&fixture.recipe, fd, NULL, &err), &err, EEXIST);
	fixture.programs[1] = (struct initramfs_program){"/bin/ls", "/../ls"};
	assert_refused(initramfs_build(&fixture.recipe, fd, NULL, &err), &err, EINVAL);
}

/* A kernel that cannot unpack zstd gets a plain archive. */
static void test_no_zstd(void **state)
{
	_cleanup_fixture_ struct fixture fixture = {0};
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	_cleanup_free_ char *config = path_join(*state, "no-zstd-config");
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};
	char magic[6], *found;

	if (!fixture_make(&fixture, *state, "no-zstd"))
		skip();
	if (fixture.kernel.config == NULL)
		leave_out("this machine's kernel has no .config");
	assert_ok(read_file(fixture.kernel.config, 1 << 20, &text, &err), &err);
	found = strstr(text.data, "CONFIG_RD_ZSTD=y");
	if (found != NULL)
		found[15] = 'n';
	write_file(config, text.data, text.size);
	free(fixture.kernel.config);
	fixture.kernel.config = take_ptr(config);
	assert_ok(initramfs_build(&fixture.recipe, fd, NULL, &err), &err);
	assert_int_equal(pread(fd, magic, 6, 0), 6);
	assert_memory_equal(magic, "070701", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_module_order),
		cmocka_unit_test(test_compressed_modules),
		cmocka_unit_test(test_module_missing),
		cmocka_unit_test(test_no_modules),
		cmocka_unit_test(test_gzip_module),
		cmocka_unit_test(test_bad_module),
		cmocka_unit_test(test_archive),
		cmocka_unit_test(test_archive_refuses),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_machine_archive),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_reproducible),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_cache_inputs),
		cmocka_unit_test(test_cache_damaged),
		cmocka_unit_test(test_two_builders),
		cmocka_unit_test(test_recipe_refused),
		cmocka_unit_test(test_no_zstd),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
