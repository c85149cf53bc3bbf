/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "boot/cpio.h"

static int to_strbuf(void *userdata, const void *data, size_t size, struct caisson_error *err)
{
	struct strbuf *buffer = userdata;

	strbuf_add(buffer, data, size);
	return strbuf_ok(buffer) ? 0 : caisson_fail(err, ENOMEM, "write");
}

static int memory_file(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

/* One entry of each kind. */
static void fill(struct strbuf *archive)
{
	_cleanup_close_ int fd = memory_file("from a file");
	struct caisson_error err = {0};
	struct cpio_writer writer;

	cpio_writer_init(&writer, (struct sink){to_strbuf, archive});
	assert_ok(cpio_add_directory(&writer, "dev", 0755, &err), &err);
	assert_ok(
		cpio_add_device(&writer, "dev/console", S_IFCHR | 0600, makedev(5, 1), &err), &err);
	assert_ok(cpio_add_data(&writer, "hello", 0640, "hello\n", 6, &err), &err);
	assert_ok(cpio_add_data(&writer, "nothing", 0600, NULL, 0, &err), &err);
	assert_ok(cpio_add_fd(&writer, "read", 0755, fd, 11, &err), &err);
	assert_ok(cpio_add_symlink(&writer, "zlink", "dev/console", &err), &err);
	assert_ok(cpio_finish(&writer, &err), &err);
	assert_int_equal(archive->size % 512, 0);
	assert_int_equal(archive->size, writer.offset);
}

static void expect(struct cpio_reader *reader, const char *path, mode_t mode, const char *data)
{
	struct caisson_error err = {0};
	struct cpio_entry entry;

	assert_int_equal(cpio_read(reader, &entry, &err), 1);
	assert_string_equal(entry.path, path);
	assert_int_equal(entry.mode, mode);
	assert_int_equal(entry.size, strlen(data));
	assert_memory_equal(entry.data, data, entry.size);
	if (S_ISCHR(mode)) {
		assert_int_equal(entry.major, 5);
		assert_int_equal(entry.minor, 1);
	}
}

static void expect_filled(struct cpio_reader *reader)
{
	expect(reader, "dev", S_IFDIR | 0755, "");
	expect(reader, "dev/console", S_IFCHR | 0600, "");
	expect(reader, "hello", S_IFREG | 0640, "hello\n");
	expect(reader, "nothing", S_IFREG | 0600, "");
	expect(reader, "read", S_IFREG | 0755, "from a file");
	expect(reader, "zlink", S_IFLNK | 0777, "dev/console");
}

static void test_round(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT;
	struct caisson_error err = {0};
	struct cpio_reader reader;
	struct cpio_entry entry;

	fill(&archive);
	cpio_reader_init(&reader, archive.data, archive.size);
	expect_filled(&reader);
	assert_int_equal(cpio_read(&reader, &entry, &err), 0);
	assert_int_equal(cpio_read(&reader, &entry, &err), 0);
}

static void test_concatenated(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT, second = STRBUF_INIT;
	struct caisson_error err = {0};
	struct cpio_reader reader;
	struct cpio_entry entry;
	static const char zeros[1024];

	fill(&second);
	strbuf_add(&archive, zeros, 8);
	strbuf_add(&archive, second.data, second.size);
	strbuf_add(&archive, zeros, sizeof(zeros));
	strbuf_add(&archive, second.data, second.size);
	cpio_reader_init(&reader, archive.data, archive.size);
	expect_filled(&reader);
	expect_filled(&reader);
	assert_int_equal(cpio_read(&reader, &entry, &err), 0);
}

/* The kernel stops at a second archive that does not start at a multiple of 4. */
static void test_misaligned(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT, second = STRBUF_INIT;
	struct caisson_error err = {0};
	struct cpio_reader reader;
	struct cpio_entry entry;
	int r;

	fill(&second);
	strbuf_add(&archive, second.data, second.size);
	strbuf_add(&archive, "\0\0", 2);
	strbuf_add(&archive, second.data, second.size);
	cpio_reader_init(&reader, archive.data, archive.size);
	expect_filled(&reader);
	r = cpio_read(&reader, &entry, &err);
	assert_refused(r, &err, EBADMSG);
	assert_non_null(strstr(err.message, "multiple of 4"));
}

/* Cut anywhere, it is refused: at the end of an entry too, where only the trailer is missing. */
static void test_cut(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT;
	size_t end = 0;

	fill(&archive);
	for (size_t i = 0; i + 10 < archive.size; i++) {
		if (memcmp(archive.data + i, "TRAILER!!!", 10) == 0)
			end = i + 11;
	}
	assert_true(end > 0);
	for (size_t size = 1; size < end; size++) {
		char *copy = malloc(size);
		struct caisson_error err = {0};
		struct cpio_reader reader;
		struct cpio_entry entry;
		int r;

		assert_non_null(copy);
		memcpy(copy, archive.data, size);
		cpio_reader_init(&reader, copy, size);
		while ((r = cpio_read(&reader, &entry, &err)) == 1)
			;
		assert_refused(r, &err, EBADMSG);
		free(copy);
	}
}

/* Replaces bytes of the header of the file "hello" and expects a refusal that says @why. */
static void refuse_changed(size_t offset, const char *bytes, const char *why)
{
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT;
	struct caisson_error err = {0};
	struct cpio_writer writer;
	struct cpio_reader reader;
	struct cpio_entry entry;
	int r;

	cpio_writer_init(&writer, (struct sink){to_strbuf, &archive});
	assert_ok(cpio_add_data(&writer, "hello", 0640, "hello\n", 6, &err), &err);
	assert_ok(cpio_finish(&writer, &err), &err);
	memcpy(archive.data + offset, bytes, strlen(bytes));
	cpio_reader_init(&reader, archive.data, archive.size);
	r = cpio_read(&reader, &entry, &err);
	assert_refused(r, &err, EBADMSG);
	if (strstr(err.message, why) == NULL)
		fail_msg("'%s' does not say '%s'", err.message, why);
}

static void test_lies(void **state _unused_)
{
	enum { MODE = 14, SIZE = 54, NAME_SIZE = 94, NAME = 110 };

	refuse_changed(0, "070707", "newc");
	refuse_changed(0, "070702", "checksum");
	refuse_changed(SIZE, "ffffffff", "cut in its contents");
	refuse_changed(SIZE, "0000000g", "digits");
	refuse_changed(NAME_SIZE, "ffffffff", "too long");
	refuse_changed(NAME_SIZE, "00000000", "empty");
	refuse_changed(NAME_SIZE, "00000005", "without an end");
	refuse_changed(NAME_SIZE, "00001000", "cut in its name");
	refuse_changed(NAME_SIZE, "00000009", "name");
	refuse_changed(MODE, "000041ed", "no file and has contents");
	refuse_changed(MODE, "00000000", "no known type");
	refuse_changed(NAME, "TRAILER!!!", "name");
}

static void test_writer_refuses(void **state _unused_)
{
	static const char *const bad[] = {"", "/etc", "..", "a/../b", "../a", "a/..", "TRAILER!!!"};
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT;
	_cleanup_close_ int fd = memory_file("12345");
	_cleanup_cpio_writer_ struct cpio_writer writer;

	cpio_writer_init(&writer, (struct sink){to_strbuf, &archive});
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct caisson_error err = {0};

		assert_refused(cpio_add_data(&writer, bad[i], 0644, "", 0, &err), &err, EINVAL);
	}
	assert_int_equal(archive.size, 0);
	{
		struct caisson_error err = {0};

		assert_refused(cpio_add_fd(&writer, "f", 0644, fd, 6, &err), &err, ENODATA);
		assert_refused(cpio_add_fd(&writer, "f", 0644, fd, 4, &err), &err, ESTALE);
		assert_refused(cpio_add_fd(&writer, "f", 0644, fd, 1ull << 32, &err), &err, EFBIG);
		assert_refused(cpio_add_symlink(&writer, "l", "", &err), &err, EINVAL);
		assert_refused(
			cpio_add_device(&writer, "d", S_IFREG | 0600, 0, &err), &err, EINVAL);
	}
	/* Names that only look like it. */
	{
		struct caisson_error err = {0};

		assert_ok(cpio_add_data(&writer, "..a/b..", 0644, "", 0, &err), &err);
	}
}

static int full(void *userdata _unused_, const void *data _unused_, size_t size _unused_,
	struct caisson_error *err)
{
	return caisson_fail(err, ENOSPC, "write the archive");
}

static void test_sink_fails(void **state _unused_)
{
	struct caisson_error err = {0};
	struct cpio_writer writer;

	_cleanup_free_ uint8_t *much = calloc(1, 1 << 20);

	assert_non_null(much);
	/* Little waits in the writer until the end; much does not. */
	cpio_writer_init(&writer, (struct sink){full, NULL});
	assert_ok(cpio_add_directory(&writer, "dev", 0755, &err), &err);
	assert_refused(cpio_finish(&writer, &err), &err, ENOSPC);
	cpio_writer_init(&writer, (struct sink){full, NULL});
	assert_refused(cpio_add_data(&writer, "much", 0644, much, 1 << 20, &err), &err, ENOSPC);
	cpio_writer_done(&writer);
}

static void add_names(struct cpio_writer *writer)
{
	_cleanup_close_ int fd = memory_file("shared");
	struct cpio_file file = {.names = 3};
	struct caisson_error err = {0};

	assert_ok(cpio_add_name(writer, "first", 0644, &file, &err), &err);
	assert_ok(cpio_add_data(writer, "other", 0644, "alone", 5, &err), &err);
	assert_ok(cpio_add_name(writer, "second", 0644, &file, &err), &err);
	cpio_last_name(writer, &file);
	assert_ok(cpio_add_fd(writer, "third", 0644, fd, 6, &err), &err);
	assert_ok(cpio_add_data(writer, "zlast", 0644, "alone", 5, &err), &err);
	assert_ok(cpio_finish(writer, &err), &err);
}

/* One number and all the names' count; the contents stand with the last. */
static void test_names(void **state _unused_)
{
	static const struct {
		const char *path;
		uint32_t links, size;
	} wanted[] = {
		{"first", 3, 0},
		{"other", 1, 5},
		{"second", 3, 0},
		{"third", 3, 6},
		{"zlast", 1, 5},
	};
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT;
	struct caisson_error err = {0};
	struct cpio_writer writer;
	struct cpio_reader reader;
	struct cpio_entry entry;
	uint32_t inodes[ARRAY_SIZE(wanted)];

	cpio_writer_init(&writer, (struct sink){to_strbuf, &archive});
	add_names(&writer);
	cpio_reader_init(&reader, archive.data, archive.size);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		assert_int_equal(cpio_read(&reader, &entry, &err), 1);
		assert_string_equal(entry.path, wanted[i].path);
		assert_int_equal(entry.links, wanted[i].links);
		assert_int_equal(entry.size, wanted[i].size);
		inodes[i] = entry.inode;
	}
	assert_int_equal(inodes[0], inodes[2]);
	assert_int_equal(inodes[0], inodes[3]);
	assert_int_not_equal(inodes[0], inodes[1]);
	assert_int_not_equal(inodes[0], inodes[4]);
	assert_int_not_equal(inodes[1], inodes[4]);
}

static void expect_names(const char *folder)
{
	static const char *const names[] = {"first", "second", "third"};
	struct stat st[ARRAY_SIZE(names)];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = path_join(folder, names[i]);

		assert_int_equal(stat(path, &st[i]), 0);
		assert_int_equal(st[i].st_ino, st[0].st_ino);
		assert_int_equal(st[i].st_nlink, 3);
		assert_int_equal(st[i].st_size, 6);
	}
}

/* cpio(1) unpacks them as one file again. */
static void test_names_unpacked(void **state)
{
	const char *const argv[] = {"cpio", "-i", "--quiet", "-D", *state, NULL};
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT;
	struct process_options options = PROCESS_OPTIONS_INIT;
	struct caisson_error err = {0};
	struct cpio_writer writer;
	_cleanup_free_ char *cpio = NULL;

	if (program_find("cpio", &cpio, NULL) < 0)
		leave_out("cpio is not installed");
	cpio_writer_init(&writer, (struct sink){to_strbuf, &archive});
	add_names(&writer);
	assert_ok(write_all(fd, archive.data, archive.size, "archive", &err), &err);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	options.stdin_fd = fd;
	assert_ok(process_run(argv, &options, NULL, &err), &err);
	expect_names(*state);
}

static void test_time(void **state _unused_)
{
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT;
	struct caisson_error err = {0};
	struct cpio_writer writer;

	cpio_writer_init(&writer, (struct sink){to_strbuf, &archive});
	writer.time = 0x12345678;
	assert_ok(cpio_add_data(&writer, "a", 0644, "a", 1, &err), &err);
	assert_ok(cpio_finish(&writer, &err), &err);
	assert_memory_equal(archive.data + 46, "12345678", 8);
}

/* Names of all lengths, before contents that have to start at a multiple of 16. */
static void test_align(void **state _unused_)
{
	char name[64] = "";

	for (size_t i = 0; i + 1 < sizeof(name); i++) {
		_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT;
		struct caisson_error err = {0};
		struct cpio_writer writer;
		struct cpio_reader reader;
		struct cpio_entry entry;

		name[i] = 'n';
		cpio_writer_init(&writer, (struct sink){to_strbuf, &archive});
		assert_ok(cpio_add_data(&writer, "x", 0644, "xyz", i % 4, &err), &err);
		writer.align = 16;
		assert_ok(cpio_add_data(&writer, name, 0644, "data", 4, &err), &err);
		assert_ok(cpio_finish(&writer, &err), &err);
		cpio_reader_init(&reader, archive.data, archive.size);
		assert_int_equal(cpio_read(&reader, &entry, &err), 1);
		assert_int_equal(cpio_read(&reader, &entry, &err), 1);
		assert_string_equal(entry.path, name);
		assert_int_equal((entry.data - (const uint8_t *)archive.data) % 16, 0);
		assert_int_equal(cpio_read(&reader, &entry, &err), 0);
	}
}

/* What cpio(1) and bsdtar(1) make of it. */
static void list_with(const char *const argv[], int fd, struct strbuf *output)
{
	struct process_options options = PROCESS_OPTIONS_INIT;
	struct caisson_error err = {0};

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	options.stdin_fd = fd;
	assert_ok(process_run(argv, &options, output, &err), &err);
	assert_non_null(strstr(output->data, "dev/console"));
	assert_non_null(strstr(output->data, "5,"));
	assert_non_null(strstr(output->data, "hello"));
	assert_non_null(strstr(output->data, "zlink -> dev/console"));
}

static void test_others_read_it(void **state _unused_)
{
	static const char *const cpio[] = {"cpio", "-itv", "--quiet", NULL};
	static const char *const bsdtar[] = {"bsdtar", "-tvf", "-", NULL};
	const char *const *const tools[] = {cpio, bsdtar};
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	_cleanup_strbuf_ struct strbuf archive = STRBUF_INIT;
	struct caisson_error err = {0};
	size_t found = 0;

	fill(&archive);
	assert_true(fd >= 0);
	assert_ok(write_all(fd, archive.data, archive.size, "archive", &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
		_cleanup_free_ char *path = NULL;

		if (program_find(tools[i][0], &path, NULL) < 0) {
			print_message("# %s is not installed\n", tools[i][0]);
			continue;
		}
		list_with(tools[i], fd, &output);
		found++;
	}
	if (found == 0)
		leave_out("neither cpio nor bsdtar is installed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_concatenated),
		cmocka_unit_test(test_misaligned),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_writer_refuses),
		cmocka_unit_test(test_sink_fails),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_unpacked),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_align),
		cmocka_unit_test(test_others_read_it),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
