/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strangers' archives and packages, what make says, which programs are missing, installed kernels.
 */
#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/strbuf.h"
#include "kbuild/compact.h"
#include "kbuild/install.h"
#include "kbuild/make_log.h"
#include "kbuild/source_cache.h"
#include "kbuild/toolchain.h"
#include "kbuild/unpack.h"
#include "kernel/installed.h"
#include "kernel/release.h"
#include "test.h"

/* One entry of an archive. */
struct entry {
	const char *path;
	unsigned int type; /* AE_IF... */
	const char *text;  /* content, or where a link leads; with @hard a hard link */
	bool hard;
	mode_t mode;
	time_t time;
};

static int archive_fd(void)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void write_entry(struct archive *archive, const struct entry *from)
{
	struct archive_entry *entry = archive_entry_new();
	bool file = from->type == AE_IFREG && !from->hard;
	size_t size = file && from->text != NULL ? strlen(from->text) : 0;

	archive_entry_set_pathname(entry, from->path);
	archive_entry_set_filetype(entry, from->type);
	archive_entry_set_perm(entry, from->mode != 0 ? from->mode : 0644);
	archive_entry_set_mtime(entry, from->time != 0 ? from->time : 1000000000, 0);
	archive_entry_set_size(entry, (la_int64_t)size);
	if (from->hard)
		archive_entry_set_hardlink(entry, from->text);
	else if (from->type == AE_IFLNK)
		archive_entry_set_symlink(entry, from->text);
	else if (from->type == AE_IFCHR)
		archive_entry_set_rdev(entry, 0x103);
	assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
	if (size > 0)
		assert_int_equal(archive_write_data(archive, from->text, size), size);
	archive_entry_free(entry);
}

static int make_tar(const struct entry *entries)
{
	struct archive *archive = archive_write_new();
	int fd = archive_fd();

	archive_write_set_format_gnutar(archive);
	assert_int_equal(archive_write_open_fd(archive, fd), ARCHIVE_OK);
	for (size_t i = 0; entries[i].path != NULL; i++)
		write_entry(archive, &entries[i]);
	assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
	return fd;
}

static int unpack(const char *folder, const char *name, const struct entry *entries,
	struct unpacked *ret_unpacked, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(folder, name);
	_cleanup_close_ int archive = make_tar(entries), root = -1;

	assert_non_null(path);
	assert_int_equal(mkdir(path, 0700), 0);
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(root >= 0);
	return unpack_source(archive, "the archive", root, NULL, ret_unpacked, err);
}

static void assert_content(const char *folder, const char *name, const char *wanted)
{
	_cleanup_free_ char *path = path_join(folder, name);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_ok(read_file(path, 1 << 16, &text, &err), &err);
	assert_string_equal(text.data != NULL ? text.data : "", wanted);
}

static void test_unpack(void **state)
{
	static const struct entry entries[] = {
		{"linux-6.1/", AE_IFDIR, NULL, false, 0755, 0},
		{"linux-6.1/Makefile", AE_IFREG, "all:\n", false, 0664, 1234567890},
		{"linux-6.1/scripts/run", AE_IFREG, "#!\n", false, 06777, 4000000000},
		{"linux-6.1/a/b/c/deep", AE_IFREG, "deep", false, 0600, 0},
		{"linux-6.1/a/link", AE_IFLNK, "../Makefile", false, 0, 0},
		{"linux-6.1/a/gone", AE_IFLNK, "../not-there/at/all", false, 0, 0},
		{"linux-6.1/a/folder", AE_IFLNK, "b/c", false, 0, 0},
		{"linux-6.1/a/hard", AE_IFREG, "linux-6.1/a/b/c/deep", true, 0, 0},
		{NULL, 0, NULL, false, 0, 0},
	};
	struct caisson_error err = {0};
	struct unpacked unpacked;
	_cleanup_free_ char *folder = path_join(*state, "good"), *run = NULL;
	_cleanup_free_ char *path = path_join(folder, "Makefile");
	struct stat st;

	assert_ok(unpack(*state, "good", entries, &unpacked, &err), &err);
	assert_int_equal(unpacked.entries, 8);
	assert_content(folder, "Makefile", "all:\n");
	assert_content(folder, "a/folder/deep", "deep");
	assert_content(folder, "a/link", "all:\n");
	assert_content(folder, "a/hard", "deep");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mtime, 1234567890);
	/* No more of a mode than that it can be run, and no time that is still to come. */
	run = path_join(folder, "scripts/run");
	assert_int_equal(stat(run, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_true(st.st_mtime <= time(NULL));
}

/* What is kept under a digest has it, whatever was known of the archive before. */
static void test_unpack_exchanged(void **state)
{
	static const struct entry entries[] = {{"linux/Makefile", AE_IFREG, "all:\n", false, 0, 0},
		{"linux/Kconfig", AE_IFREG, "", false, 0, 0}, {NULL, 0, NULL, false, 0, 0}};
	_cleanup_free_ char *cache = path_join(*state, "cache"), *folder = NULL;
	_cleanup_close_ int archive = make_tar(entries);
	char hex[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];
	struct caisson_error err = {0};

	assert_int_equal(mkdir(cache, 0700), 0);
	assert_ok(digest_of_fd(archive, "it", hex, &err), &err);
	assert_ok(digest_of("", 0, other, &err), &err);
	assert_refused(source_cache_unpack(cache, other, archive, "it", NULL, &folder, &err), &err,
		EBADMSG);
	assert_string_equal(err.message, "it was changed while it was read");
	assert_int_equal(source_cache_find(cache, other, &folder, &err), 0);
	assert_ok(source_cache_unpack(cache, hex, archive, "it", NULL, &folder, &err), &err);
	assert_content(folder, "Makefile", "all:\n");
}

static void test_unpack_bare(void **state)
{
	static const struct entry entries[] = {
		{"./", AE_IFDIR, NULL, false, 0755, 0},
		{"./Makefile", AE_IFREG, "all:\n", false, 0, 0},
		{"./kernel/fork.c", AE_IFREG, "", false, 0, 0},
		{NULL, 0, NULL, false, 0, 0},
	};
	struct caisson_error err = {0};
	struct unpacked unpacked;
	_cleanup_free_ char *folder = path_join(*state, "bare");

	assert_ok(unpack(*state, "bare", entries, &unpacked, &err), &err);
	assert_content(folder, "kernel/fork.c", "");
}

/* Each after a good start, and each is refused. */
static void test_unpack_hostile(void **state)
{
	static const struct entry hostile[][4] = {
		{{"/etc/passwd", AE_IFREG, "x"}},
		{{"linux/../../escaped", AE_IFREG, "x"}},
		{{"../escaped", AE_IFREG, "x"}},
		{{"linux/..", AE_IFDIR, NULL}},
		{{"linux/./x/../../../escaped", AE_IFREG, "x"}},
		{{"other/file", AE_IFREG, "x"}},
		{{"linux", AE_IFREG, "x"}},
		/* Written through a link. */
		{{"linux/out", AE_IFLNK, "/"}, {"linux/out/escaped", AE_IFREG, "x"}},
		{{"linux/out", AE_IFLNK, ".."}, {"linux/out/escaped", AE_IFREG, "x"}},
		{{"linux/d/out", AE_IFLNK, "."}, {"linux/d/out/x", AE_IFREG, "x"}},
		{{"linux/out", AE_IFLNK, ".."}, {"linux/out", AE_IFREG, "x"}},
		{{"linux/out", AE_IFLNK, ".."}, {"linux/out/", AE_IFDIR, NULL}},
		/* Links that lead out. */
		{{"linux/out", AE_IFLNK, "/etc/passwd"}},
		{{"linux/out", AE_IFLNK, "../../../../../../../../etc/passwd"}},
		{{"linux/out", AE_IFLNK, ".."}},
		{{"linux/loop", AE_IFLNK, "loop"}},
		/* Each of these stays inside by its words: x/y/w is z/up/.., which is above the
		   top. */
		{{"linux/x/y/z/up", AE_IFLNK, "../../.."}, {"linux/x/y/w", AE_IFLNK, "z/up/.."}},
		/* Other things' names. */
		{{"linux/hard", AE_IFREG, "/etc/passwd", true}},
		{{"linux/hard", AE_IFREG, "linux/../../etc/passwd", true}},
		{{"linux/hard", AE_IFREG, "linux/nothing", true}},
		{{"linux/l", AE_IFLNK, "Makefile"}, {"linux/hard", AE_IFREG, "linux/l", true}},
		{{"linux/hard", AE_IFREG, "linux", true}},
		/* What no source has. */
		{{"linux/null", AE_IFCHR, NULL}},
		{{"linux/fifo", AE_IFIFO, NULL}},
		{{"linux/twice", AE_IFREG, "x"}, {"linux/twice", AE_IFREG, "y"}},
		{{"linux/file", AE_IFREG, "x"}, {"linux/file/below", AE_IFREG, "y"}},
	};
	_cleanup_free_ char *escaped = path_join(*state, "escaped");
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		struct entry entries[8] = {{"linux/", AE_IFDIR, NULL, false, 0755, 0},
			{"linux/Makefile", AE_IFREG, "all:\n", false, 0, 0}};
		_cleanup_free_ char *name = format_string("hostile-%zu", i);
		struct caisson_error err = {0};
		struct unpacked unpacked;

		for (size_t k = 0; k < 4; k++)
			entries[2 + k] = hostile[i][k];
		assert_refused(unpack(*state, name, entries, &unpacked, &err), &err, EBADMSG);
		if (lstat(escaped, &st) == 0)
			fail_msg("%zu has left its folder", i);
	}
	assert_int_equal(lstat("/escaped", &st), -1);
}

static void test_unpack_noise(void **state)
{
	static const struct entry none[] = {{NULL, 0, NULL, false, 0, 0}};
	_cleanup_close_ int noise = archive_fd(), root = open(*state, O_PATH | O_CLOEXEC);
	struct caisson_error err = {0};
	struct unpacked unpacked;

	assert_int_equal(write(noise, "no archive at all, and no kernel", 32), 32);
	assert_refused(unpack_source(noise, "noise", root, NULL, &unpacked, &err), &err, EBADMSG);
	assert_refused(unpack(*state, "none", none, &unpacked, &err), &err, EBADMSG);
}

static struct strbuf read_back(int fd)
{
	struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_ok(read_to_end(fd, 1 << 20, "memory", &text, &err), &err);
	return text;
}

/* deb(5): debian-binary, control.tar, data.tar in an ar archive. */
static int make_package(const char *member, const struct entry *entries)
{
	_cleanup_close_ int data = make_tar(entries);
	struct strbuf text = read_back(data);
	struct archive *archive = archive_write_new();
	int fd = archive_fd();
	const char *const names[] = {"debian-binary", member};

	archive_write_set_format_ar_svr4(archive);
	assert_int_equal(archive_write_open_fd(archive, fd), ARCHIVE_OK);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct archive_entry *entry = archive_entry_new();
		const char *content = i == 0 ? "2.0\n" : text.data;
		size_t size = i == 0 ? 4 : text.size;

		archive_entry_set_pathname(entry, names[i]);
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_perm(entry, 0644);
		archive_entry_set_size(entry, (la_int64_t)size);
		assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
		assert_int_equal(archive_write_data(archive, content, size), size);
		archive_entry_free(entry);
	}
	assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
	strbuf_done(&text);
	return fd;
}

static void test_package(void **state)
{
	static const struct entry entries[] = {
		{"./usr/src/", AE_IFDIR, NULL, false, 0755, 0},
		{"./usr/src/linux.tar.xz.link", AE_IFLNK, "linux.tar.xz", false, 0, 0},
		{"./usr/src/linux.tar.xz", AE_IFREG, "the archive", false, 0, 0},
		{NULL, 0, NULL, false, 0, 0},
	};
	_cleanup_close_ int package = make_package("data.tar", entries), to = archive_fd();
	_cleanup_close_ int other = make_package("nothing.tar", entries);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	struct caisson_error err = {0};

	(void)state;
	assert_ok(unpack_package_file(package, "it", "usr/src/linux.tar.xz", to, &err), &err);
	text = read_back(to);
	assert_string_equal(text.data, "the archive");
	assert_refused(
		unpack_package_file(package, "it", "usr/src/linux.tar.gz", to, &err), &err, ENOENT);
	/* A link of that name is no archive. */
	assert_refused(unpack_package_file(package, "it", "usr/src/linux.tar.xz.link", to, &err),
		&err, ENOENT);
	assert_refused(
		unpack_package_file(other, "it", "usr/src/linux.tar.xz", to, &err), &err, ENOENT);
	assert_refused(
		unpack_package_file(to, "it", "usr/src/linux.tar.xz", to, &err), &err, EBADMSG);
}

static void test_version(void **state)
{
	static const struct {
		const char *text, *version;
	} cases[] = {
		{"VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\nNAME = x\n",
			"6.1.192"},
		{"# c\nVERSION=5\nPATCHLEVEL\t=\t10\nSUBLEVEL = 0\nEXTRAVERSION = -rc3\n",
			"5.10.0-rc3"},
		{"VERSION = 6\r\nPATCHLEVEL = 12\r\nSUBLEVEL =\r\n", "6.12"},
		{"VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 3", "6.1.3"},
		{"PATCHLEVEL = 1\nSUBLEVEL = 3\n", NULL},
		{"VERSION = six\nPATCHLEVEL = 1\n", NULL},
		{"VERSION = 6\nPATCHLEVEL = $(shell true)\n", NULL},
		{"VERSION = 6\nPATCHLEVEL = 1\nEXTRAVERSION = /../x\n", NULL},
		{"VERSIONS = 6\nPATCHLEVEL = 1\n", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *version = NULL;
		struct caisson_error err = {0};
		int r = kernel_makefile_release(
			cases[i].text, strlen(cases[i].text), &version, &err);

		if (cases[i].version == NULL) {
			assert_refused(r, &err, EINVAL);
			continue;
		}
		assert_ok(r, &err);
		assert_string_equal(version, cases[i].version);
	}
}

struct steps {
	unsigned int count;
	char last[64];
};

static void count_step(unsigned int done, unsigned int total, const char *what, void *userdata)
{
	struct steps *steps = userdata;

	assert_int_equal(total, 5);
	assert_int_equal(done, ++steps->count);
	snprintf(steps->last, sizeof(steps->last), "%s", what);
}

static void test_log(void **state)
{
	static const char said[] = "make: Entering directory 'x'\n"
				   "  CC      init/main.o\n"
				   "  HOSTCC  scripts/x\n"
				   "  a line of text\n"
				   "  LD [M]  fs/x.ko\n"
				   "fs/x.c:7: warning: not so bad\n"
				   "fs/x.c:9: error: bad\n"
				   "make: *** [x] Error 1\n";
	struct steps steps = {0, ""};
	const struct kbuild_watch watch = {NULL, NULL, count_step, &steps};
	struct make_log log = {.fd = -1, .line = STRBUF_INIT, .steps_before = 5, .watch = &watch};

	(void)state;
	/* In whatever pieces it comes. */
	for (size_t i = 0; i < sizeof(said) - 1; i += 7)
		make_log_add(&log, said + i, MIN((size_t)7, sizeof(said) - 1 - i));
	assert_int_equal(steps.count, 3);
	assert_string_equal(steps.last, "LD [M]  fs/x.ko");
	assert_string_equal(log.first_error, "fs/x.c:9: error: bad");
	assert_string_equal(make_log_last(&log, 0), "make: *** [x] Error 1");
	assert_string_equal(make_log_last(&log, 7), "make: Entering directory 'x'");
	assert_null(make_log_last(&log, 8));
	assert_false(log.full);
	/* A line without an end takes no memory without an end, and no terminal is talked to. */
	for (int i = 0; i < 100000; i++)
		make_log_add(&log, "\033[2Jx", 5);
	make_log_add(&log, "\n", 1);
	assert_true(strlen(make_log_last(&log, 0)) < MAKE_LINE_SIZE);
	assert_null(strchr(make_log_last(&log, 0), '\033'));
	make_log_add(&log, "x.o: No space left on device\n", 29);
	assert_true(log.full);
	make_log_done(&log);
}

static void put_program(const char *folder, const char *name)
{
	_cleanup_free_ char *path = path_join(folder, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
}

static void test_toolchain(void **state)
{
	static const char *const programs[] = {"make", "gcc", "as", "ld", "ar", "nm", "objcopy",
		"objdump", "readelf", "strip", "awk", "sed", "grep", "find", "xargs", "cmp"};
	static const char config[] = "CONFIG_OBJTOOL=y\nCONFIG_KERNEL_ZSTD=y\n"
				     "# CONFIG_DEBUG_INFO_BTF is not set\nCONFIG_KERNEL_XZ=m\n";
	_cleanup_free_ char *one = path_join(*state, "one"), *two = path_join(*state, "two");
	_cleanup_free_ char *folders = format_string("%s:%s", one, two);
	struct caisson_error err = {0};

	assert_int_equal(
		toolchain_needs(config, strlen(config)), TOOLCHAIN_LIBELF | TOOLCHAIN_ZSTD);
	assert_int_equal(mkdir(one, 0700), 0);
	assert_int_equal(mkdir(two, 0700), 0);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		put_program(i % 2 == 0 ? one : two, programs[i]);
	assert_refused(
		toolchain_check(TOOLCHAIN_PAHOLE | TOOLCHAIN_LZ4, folders, &err), &err, ENOENT);
	assert_string_equal(err.message,
		"a kernel cannot be built here: flex, bison, bc, pahole and lz4 are missing");
	assert_string_equal(err.hint, "apt-get install flex bison bc dwarves lz4");
	assert_refused(toolchain_check_kconfig(folders, &err), &err, ENOENT);
	assert_string_equal(
		err.message, "a kernel cannot be configured here: flex and bison are missing");
	put_program(two, "flex");
	put_program(two, "bison");
	assert_ok(toolchain_check_kconfig(folders, &err), &err);
	assert_refused(toolchain_check(0, folders, &err), &err, ENOENT);
	assert_string_equal(err.message, "a kernel cannot be built here: bc is missing");
	put_program(two, "bc");
	assert_ok(toolchain_check(0, folders, &err), &err);
	/* Without a compiler there are no headers: it is in here that it is looked for. */
	assert_refused(toolchain_check(TOOLCHAIN_LIBELF, one, &err), &err, ENOENT);
	assert_non_null(strstr(err.message, "gcc"));
	assert_non_null(strstr(err.hint, "libelf-dev"));
}

static void write_part(const char *folder, const char *name, const char *text)
{
	_cleanup_free_ char *path = path_join(folder, name);
	struct caisson_error err = {0};

	assert_ok(write_file_atomic(path, text, strlen(text), 0600, &err), &err);
}

static const char manifest[] =
	"{\"version\": 1, \"release\": \"6.1.1\", \"profile\": \"minimal\","
	" \"source\": {\"from\": \"apt:linux-source-6.1\"}, \"arguments\": [\"a=b\"], \"files\": {"
	"\"bzImage\": {\"size\": 7}, \"vmlinux\": {\"size\": 9}}}";

static void test_installed(void **state)
{
	_cleanup_free_ char *result = path_join(*state, "result"),
			    *dir = path_join(*state, "state");
	_cleanup_free_ char *folder = NULL, *again = NULL, *third = NULL, *found = NULL;
	_cleanup_kernel_installed_list_ struct kernel_installed_list list =
		KERNEL_INSTALLED_LIST_NONE;
	_cleanup_state_ struct state place = STATE_NONE;
	struct caisson_error err = {0};
	bool known;

	assert_ok(state_open(&place, dir, dir, &err), &err);
	assert_int_equal(kernel_installed_folder(&place, NULL, &found, &err), 0);
	assert_ok(kernel_installed_list(&place, NULL, &list, &err), &err);
	assert_int_equal(list.count, 0);

	assert_int_equal(mkdir(result, 0700), 0);
	write_part(result, "bzImage", "an image");
	write_part(result, "vmlinux", "the other");
	write_part(result, "config", "CONFIG_X=y\n");
	write_part(result, "manifest.json", manifest);
	assert_ok(install_kernel(&place, result, "6.1.1-minimal-1", &folder, &known, &err), &err);
	assert_false(known);
	assert_ok(install_kernel(&place, result, "6.1.1-minimal-2", &again, &known, &err), &err);
	assert_false(known);
	assert_content(folder, "vmlinux", "the other");
	assert_int_equal(kernel_installed_folder(&place, NULL, &found, &err), 1);
	assert_string_equal(found, again);
	/* The first once more: known, not written, and the default. */
	write_part(result, "vmlinux", "changed");
	assert_ok(install_kernel(&place, result, "6.1.1-minimal-1", &third, &known, &err), &err);
	assert_true(known);
	assert_content(folder, "vmlinux", "the other");
	assert_ok(kernel_installed_list(&place, NULL, &list, &err), &err);
	assert_int_equal(list.count, 2);
	assert_string_equal(list.items[0].name, "6.1.1-minimal-2");
	assert_false(list.items[0].is_default);
	assert_true(list.items[1].is_default);
	assert_string_equal(list.items[1].source, "apt:linux-source-6.1");
	assert_int_equal(list.items[1].vmlinux_size, 9);
	assert_int_equal(list.items[1].arguments.count, 1);

	assert_ok(kernel_installed_remove(&place, "6.1.1-minimal-1", &err), &err);
	free(take_ptr(found));
	assert_int_equal(kernel_installed_folder(&place, NULL, &found, &err), 1);
	assert_string_equal(found, again);
	assert_refused(kernel_installed_remove(&place, "6.1.1-minimal-1", &err), &err, ENOENT);
	assert_ok(kernel_installed_remove(&place, "6.1.1-minimal-2", &err), &err);
	free(take_ptr(found));
	assert_int_equal(kernel_installed_folder(&place, NULL, &found, &err), 0);
}

static void test_manifest_hostile(void **state)
{
	static const char *const manifests[] = {"", "[]", "{\"version\": 1",
		"{\"version\": -1, \"release\": \"6.1\", \"profile\": \"x\"}",
		"{\"version\": 1, \"release\": \"6.1\\u001b[2J\", \"profile\": \"minimal\", "
		"\"files\": {\"bzImage\": {\"size\": 7}, \"vmlinux\": {\"size\": 9}}}",
		"{\"version\": 1, \"release\": \"6.1\", \"profile\": \"a\\nb\", "
		"\"files\": {\"bzImage\": {\"size\": 7}, \"vmlinux\": {\"size\": 9}}}",
		"{\"version\": 1, \"release\": \"6.1\", \"profile\": \"minimal\", "
		"\"files\": {\"bzImage\": {\"size\": -7}, \"vmlinux\": {\"size\": 9}}}",
		"{\"version\": 1, \"release\": \"6.1\", \"profile\": \"minimal\", \"files\": 7}"};
	_cleanup_free_ char *folder = path_join(*state, "manifest");
	_cleanup_kernel_installed_ struct kernel_installed installed = {.arguments = STRV_INIT};

	assert_int_equal(mkdir(folder, 0700), 0);
	for (size_t i = 0; i < ARRAY_SIZE(manifests); i++) {
		struct caisson_error err = {0};

		write_part(folder, "manifest.json", manifests[i]);
		assert_true(kernel_installed_read(folder, &installed, &err) < 0);
		assert_int_not_equal(err.code, 0);
		assert_null(installed.name);
	}
}

/* Names and links that are not ours. */
static void test_installed_hostile(void **state)
{
	static const char *const names[] = {"../state", "..", ".", "", "default", "/etc", "a-b",
		"6.1/../..-x", "6.1", ".new-x"};
	_cleanup_free_ char *dir = path_join(*state, "hostile"), *found = NULL;
	_cleanup_free_ char *kernels = path_join(dir, "kernels"), *link = NULL;
	_cleanup_state_ struct state place = STATE_NONE;
	struct caisson_error err = {0};

	assert_ok(state_open(&place, dir, dir, &err), &err);
	assert_int_equal(mkdir(kernels, 0700), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(kernel_installed_folder(&place, names[i], &found, &err), 0);
		assert_refused(kernel_installed_remove(&place, names[i], &err), &err, ENOENT);
	}
	link = path_join(kernels, "default");
	assert_int_equal(symlink("../../..", link), 0);
	assert_int_equal(kernel_installed_folder(&place, NULL, &found, &err), 0);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("6.1.1-gone-1", link), 0);
	assert_int_equal(kernel_installed_folder(&place, NULL, &found, &err), 0);
}

/* Two segments at multiples of 64 KiB, and a note in the second. */
static void make_vmlinux(uint8_t file[static 0x30000], uint64_t note_at)
{
	const Elf64_Phdr segments[] = {
		{.p_type = PT_LOAD,
			.p_offset = 0x10000,
			.p_paddr = 0x1000000,
			.p_filesz = 5000,
			.p_memsz = 6000,
			.p_align = 0x10000},
		{.p_type = PT_LOAD,
			.p_offset = 0x20010,
			.p_paddr = 0x2000010,
			.p_filesz = 3000,
			.p_memsz = 3000,
			.p_align = 0x10000},
		{.p_type = PT_NOTE, .p_offset = note_at, .p_filesz = 20, .p_align = 4},
	};
	Elf64_Ehdr header = {.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_phoff = 64,
		.e_phnum = ARRAY_SIZE(segments),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_shoff = 0x2f000,
		.e_shnum = 3,
		.e_ehsize = sizeof(header),
		.e_entry = 0x1000000};

	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	header.e_ident[EI_DATA] = ELFDATA2LSB;
	for (size_t i = 0; i < 0x30000; i++)
		file[i] = (uint8_t)(i * 2654435761u >> 13);
	memcpy(file, &header, sizeof(header));
	memcpy(file + 64, segments, sizeof(segments));
}

static void test_compact(void **state _unused_)
{
	static uint8_t file[0x30000];
	_cleanup_strbuf_ struct strbuf compact = STRBUF_INIT, again = STRBUF_INIT;
	struct caisson_error err = {0};
	const Elf64_Ehdr *header;
	Elf64_Phdr segments[3];

	make_vmlinux(file, 0x20100);
	file[0x20010 + 1999] = 1;
	memset(file + 0x20010 + 2000, 0, 1000);
	assert_int_equal(compact_vmlinux(file, sizeof(file), &compact, &err), 1);
	assert_in_range(compact.size, 7000, 16384);
	header = (const void *)compact.data;
	assert_int_equal(header->e_entry, 0x1000000);
	assert_int_equal(header->e_shnum, 0);
	memcpy(segments, compact.data + header->e_phoff, sizeof(segments));
	assert_int_equal(segments[0].p_paddr, 0x1000000);
	assert_int_equal(segments[0].p_memsz, 6000);
	assert_memory_equal(compact.data + segments[0].p_offset, file + 0x10000, 5000);
	assert_memory_equal(compact.data + segments[1].p_offset, file + 0x20010, 2000);
	assert_int_equal(segments[1].p_filesz, 2000);
	assert_int_equal(segments[1].p_memsz, 3000);
	assert_memory_equal(compact.data + segments[2].p_offset, file + 0x20100, 20);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(segments[i].p_offset % segments[i].p_align,
			segments[i].p_paddr % segments[i].p_align);
	/* What is compact stays so. */
	assert_int_equal(compact_vmlinux(compact.data, compact.size, &again, &err), 1);
	assert_int_equal(again.size, compact.size);
	assert_memory_equal(again.data, compact.data, compact.size);
}

/* A note that ends with zeros keeps them. */
static void test_compact_note(void **state _unused_)
{
	static uint8_t file[0x30000];
	_cleanup_strbuf_ struct strbuf compact = STRBUF_INIT;
	struct caisson_error err = {0};
	Elf64_Phdr segments[3];

	make_vmlinux(file, 0x20100);
	memset(file + 0x20110, 0, 0x20010 + 3000 - 0x20110);
	assert_int_equal(compact_vmlinux(file, sizeof(file), &compact, &err), 1);
	memcpy(segments, compact.data + sizeof(Elf64_Ehdr), sizeof(segments));
	assert_int_equal(segments[1].p_filesz, 0x20100 + 20 - 0x20010);
	assert_memory_equal(compact.data + segments[2].p_offset, file + 0x20100, 20);
}

/* Of another shape, cut, or no ELF file: left alone. */
static void test_compact_others(void **state _unused_)
{
	static uint8_t file[0x30000];
	_cleanup_strbuf_ struct strbuf compact = STRBUF_INIT;
	Elf64_Phdr *segment = (void *)(file + 64);

	make_vmlinux(file, 0x2f000);
	assert_int_equal(compact_vmlinux(file, sizeof(file), &compact, NULL), 0);
	make_vmlinux(file, 0x20100);
	for (size_t size = 0; size < 0x20010 + 3000; size += 997)
		assert_int_equal(compact_vmlinux(file, size, &compact, NULL), 0);
	segment->p_filesz = UINT64_MAX;
	assert_int_equal(compact_vmlinux(file, sizeof(file), &compact, NULL), 0);
	segment->p_offset = UINT64_MAX;
	assert_int_equal(compact_vmlinux(file, sizeof(file), &compact, NULL), 0);
	file[0] = 0;
	assert_int_equal(compact_vmlinux(file, sizeof(file), &compact, NULL), 0);
	assert_int_equal(compact.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unpack),
		cmocka_unit_test(test_unpack_bare),
		cmocka_unit_test(test_unpack_exchanged),
		cmocka_unit_test(test_unpack_hostile),
		cmocka_unit_test(test_unpack_noise),
		cmocka_unit_test(test_package),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_compact_note),
		cmocka_unit_test(test_compact_others),
		cmocka_unit_test(test_toolchain),
		cmocka_unit_test(test_installed),
		cmocka_unit_test(test_installed_hostile),
		cmocka_unit_test(test_manifest_hostile),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
