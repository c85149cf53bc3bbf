/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "filesystem/ext4_io.h"
#include "filesystem/fill.h"
#include "filesystem/fill_names.h"
#include "filesystem/mkfs.h"

#define MIB (UINT64_C(1) << 20)

/* A source of what a test says; every file's content is its path, over and over. */
struct table {
	struct fill_source source;
	const struct fill_entry *list;
	size_t count, next;
	uint64_t given; /* bytes of the current file */
	uint64_t step;  /* pieces begin so far apart; 0: no holes */
	char piece[3000];
};

static int table_next(struct fill_source *source, struct fill_entry *ret_entry,
	struct caisson_error *err _unused_)
{
	struct table *table = (struct table *)source;
	const char *path;

	if (table->next == table->count)
		return 0;
	*ret_entry = table->list[table->next++];
	ret_entry->fd = -1;
	path = ret_entry->path;
	for (size_t i = 0; i < sizeof(table->piece); i++)
		table->piece[i] = path[0] != '\0' ? path[i % strlen(path)] : '/';
	table->given = 0;
	return 1;
}

static int table_data(struct fill_source *source, const void **ret_data, size_t *ret_size,
	uint64_t *ret_offset, struct caisson_error *err _unused_)
{
	struct table *table = (struct table *)source;
	uint64_t size = table->list[table->next - 1].size;

	if (table->given >= size)
		return 0;
	*ret_data = table->piece;
	*ret_offset = table->given;
	*ret_size = (size_t)MIN(size - table->given, (uint64_t)sizeof(table->piece));
	table->given += table->step > 0 ? table->step : *ret_size;
	return 1;
}

static int table_rewind(struct fill_source *source, struct caisson_error *err _unused_)
{
	((struct table *)source)->next = 0;
	return 0;
}

static void table_free(struct fill_source *source _unused_)
{
}

static struct table make_table(const struct fill_entry *list, size_t count)
{
	static const struct fill_source_ops ops = {
		.next = table_next, .data = table_data, .rewind = table_rewind, .free = table_free};

	return (struct table){
		.source = {.ops = &ops, .what = "the table"}, .list = list, .count = count};
}

struct image {
	struct mkfs mkfs;
	struct blocks *blocks;
	struct transfer *bulk;
};

static void image_done(struct image *image)
{
	transfer_freep(&image->bulk);
	blocks_freep(&image->blocks);
	mkfs_done(&image->mkfs);
}

#define _cleanup_image_ _cleanup_(image_done)

static struct image make_image(uint64_t size)
{
	struct image image = {.mkfs = MKFS_NONE};
	struct caisson_error err = {0};
	struct transfer_options options;

	assert_ok(mkfs_start(&image.mkfs, "ext4", size, 0, "test", &err), &err);
	assert_ok(mkfs_wait(&image.mkfs, &err), &err);
	options = (struct transfer_options){.to = image.mkfs.image, .threads = 2};
	assert_ok(blocks_of_file(image.mkfs.image, size, false, "the image", &image.blocks, &err),
		&err);
	assert_ok(transfer_new(&options, &image.bulk, &err), &err);
	return image;
}

/* What the distribution's tools say; owned by the caller. */
static char *run_on(
	struct image *image, const char *program, const char *option, const char *request)
{
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct process_options options = PROCESS_OPTIONS_INIT;
	_cleanup_free_ char *path = format_string("/proc/self/fd/%d", image->mkfs.image);
	const char *const argv[] = {program, option, request != NULL ? request : path,
		request != NULL ? path : NULL, NULL};
	struct caisson_error err = {0};

	options.keep_fds = &image->mkfs.image;
	options.keep_count = 1;
	assert_ok(process_run(argv, &options, &output, &err), &err);
	return strbuf_take(&output);
}

static void check_image(struct image *image)
{
	free(run_on(image, "e2fsck", "-fn", NULL));
}

static int fill_from(
	struct image *image, const struct fill_entry *list, size_t count, struct caisson_error *err)
{
	struct table table = make_table(list, count);

	return fill_ext4(image->blocks, image->bulk, &table.source, NULL, err);
}

#define FILE_OF(name, bytes) \
	{ \
		.path = (name), .mode = S_IFREG | 0644, .size = (bytes) \
	}
#define FOLDER_OF(name) \
	{ \
		.path = (name), .mode = S_IFDIR | 0755 \
	}
#define LINK_OF(name, to) \
	{ \
		.path = (name), .mode = S_IFLNK | 0777, .target = (to) \
	}
#define TWIN_OF(name, of) \
	{ \
		.path = (name), .mode = S_IFREG | 0644, .hard_link = (of) \
	}

static void test_places(void **state _unused_)
{
	static const struct fill_entry list[] = {
		FOLDER_OF("./"),
		FILE_OF("/absolute//file", 5000),
		FOLDER_OF("real"),
		LINK_OF("link", "real/../real/."),
		LINK_OF("far", "/../link"),
		FILE_OF("far/below", 100),
		TWIN_OF("twin", "real/below"),
		TWIN_OF("twin", "link/below"),
		FILE_OF("replaced", 70000),
		FOLDER_OF("replaced"),
		FILE_OF("replaced/file", 0),
		FOLDER_OF("again"),
		FILE_OF("again", 4096),
		FILE_OF("again", 3 * 1048576 + 1),
	};
	_cleanup_image_ struct image image = make_image(40 * MIB);
	_cleanup_free_ char *below = NULL, *again = NULL, *bytes = NULL;
	struct caisson_error err = {0};

	assert_ok(fill_from(&image, list, ARRAY_SIZE(list), &err), &err);
	check_image(&image);
	below = run_on(&image, "debugfs", "-R", "stat /real/below");
	assert_non_null(strstr(below, "Links: 2"));
	again = run_on(&image, "debugfs", "-R", "stat /again");
	assert_non_null(strstr(again, "Size: 3145729"));
	bytes = run_on(&image, "debugfs", "-R", "cat /absolute/file");
	assert_memory_equal(bytes, "/absolute//file/absolute//file", 30);
	assert_int_equal(strlen(bytes), 5000);
}

static void test_refusals(void **state _unused_)
{
	static const char long_name[] = /* 256 bytes */
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnn";
	static const uint8_t no_mask[] = {2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 1,
		0, 0, 0, 4, 0, 7, 0, 255, 255, 255, 255, 32, 0, 7, 0, 255, 255, 255, 255};
	static const struct ext4_xattr acl = {EXT4_ACL_ACCESS, no_mask, sizeof(no_mask)};
	static const struct ext4_xattr large = {"user.x", long_name, 5000};
	static const struct ext4_xattr foreign = {"other.x", long_name, 1};
	static const struct {
		struct fill_entry list[3];
		int code;
	} cases[] = {
		{{FILE_OF("../x", 1)}, EBADMSG},
		{{FILE_OF("a/../../x", 1)}, EBADMSG},
		{{FILE_OF("", 1)}, EBADMSG},
		{{FILE_OF(long_name, 1)}, ENAMETOOLONG},
		{{FILE_OF("a", 1), FILE_OF("a/b", 1)}, EBADMSG},
		{{FOLDER_OF("a/b"), FILE_OF("a", 1)}, ENOTEMPTY},
		{{TWIN_OF("a", "b"), FILE_OF("b", 1)}, EBADMSG},
		{{FOLDER_OF("b"), TWIN_OF("a", "b")}, EBADMSG},
		{{TWIN_OF("a", "..")}, EBADMSG},
		{{LINK_OF("a", "b"), LINK_OF("b", "a"), FILE_OF("a/x", 1)}, ELOOP},
		{{LINK_OF("a", "")}, EBADMSG},
		{{FILE_OF("lost+found", 1)}, EEXIST},
		{{{.path = "a", .mode = 0644}}, EBADMSG},
		{{{.path = "a", .mode = S_IFCHR, .major = 4096}}, EBADMSG},
		{{{.path = "a", .mode = S_IFIFO, .xattrs = &acl, .xattr_count = 1}}, EINVAL},
		{{{.path = "a", .mode = S_IFIFO, .xattrs = &large, .xattr_count = 1}}, E2BIG},
		{{{.path = "a", .mode = S_IFIFO, .xattrs = &foreign, .xattr_count = 1}}, ENOTSUP},
		{{FILE_OF("a", UINT64_C(1) << 45)}, EFBIG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_image_ struct image image = make_image(8 * MIB);
		struct caisson_error err = {0};
		size_t count = 0;

		while (count < 3 && cases[i].list[count].path != NULL)
			count++;
		print_message("# case %zu\n", i);
		assert_refused(fill_from(&image, cases[i].list, count, &err), &err, cases[i].code);
	}
}

/* A file in so many pieces that its map has two levels; replaced, which takes the map down again.
 */
static void test_pieces(void **state _unused_)
{
	static const struct fill_entry list[] = {
		FILE_OF("pieces", 8000 * 8192),
		FILE_OF("pieces", 9000 * 8192),
		FILE_OF("other", 3000 * 8192),
	};
	_cleanup_image_ struct image image = make_image(80 * MIB);
	struct table table = make_table(list, ARRAY_SIZE(list));
	_cleanup_free_ char *text = NULL, *map = NULL;
	struct caisson_error err = {0};

	table.step = 8192;
	assert_ok(fill_ext4(image.blocks, image.bulk, &table.source, NULL, &err), &err);
	check_image(&image);
	text = run_on(&image, "debugfs", "-R", "stat /pieces");
	assert_non_null(strstr(text, "Size: 73728000"));
	map = run_on(&image, "debugfs", "-R", "dump_extents /pieces");
	assert_non_null(strstr(map, " 2/ 2"));
}

static void test_replaced_again_and_again(void **state _unused_)
{
	struct fill_entry list[24];
	_cleanup_image_ struct image image = make_image(40 * MIB);
	struct caisson_error err = {0};
	_cleanup_free_ char *bytes = NULL;

	/* Together far more than there is room for. */
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = (struct fill_entry)FILE_OF(i % 2 == 0 ? "even" : "odd", 7 * MIB + i);
	assert_ok(fill_from(&image, list, ARRAY_SIZE(list), &err), &err);
	check_image(&image);
	bytes = run_on(&image, "debugfs", "-R", "stat /odd");
	assert_non_null(strstr(bytes, "Size: 7340055"));
}

static void test_no_room(void **state _unused_)
{
	static const struct fill_entry list[] = {
		FILE_OF("a", 20 * MIB), FILE_OF("b", 20 * MIB), FILE_OF("c", 20 * MIB)};
	_cleanup_image_ struct image image = make_image(40 * MIB);
	struct fill_entry many[3000];
	char names[3000][16];
	struct caisson_error err = {0};

	assert_refused(fill_from(&image, list, ARRAY_SIZE(list), &err), &err, ENOSPC);
	assert_non_null(strstr(err.message, "MiB more"));
	image_done(&image);
	image = make_image(8 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		snprintf(names[i], sizeof(names[i]), "%zu", i);
		many[i] = (struct fill_entry)FILE_OF(names[i], 0);
	}
	assert_refused(fill_from(&image, many, ARRAY_SIZE(many), &err), &err, ENOSPC);
	assert_non_null(strstr(err.message, "files and folders"));
}

/* So many names that the hash tree has inner nodes. */
static void test_large_folder(void **state _unused_)
{
	enum { COUNT = 12000, LENGTH = 250 };
	_cleanup_image_ struct image image = make_image(64 * MIB);
	_cleanup_free_ struct fill_entry *list = calloc(COUNT + 1, sizeof(*list));
	_cleanup_free_ char *names = malloc((size_t)COUNT * (LENGTH + 1)), *text = NULL;
	struct caisson_error err = {0};

	assert_true(list != NULL && names != NULL);
	list[0] = (struct fill_entry)FILE_OF("file", 0);
	for (size_t i = 0; i < COUNT; i++) {
		char *name = names + i * (LENGTH + 1);

		memset(name, 'a' + (int)(i % 26), LENGTH);
		name[snprintf(name, LENGTH, "folder/%05zu", i)] = '-';
		name[LENGTH] = '\0';
		list[i + 1] = (struct fill_entry)TWIN_OF(name, "file");
	}
	assert_ok(fill_from(&image, list, COUNT + 1, &err), &err);
	check_image(&image);
	text = run_on(&image, "debugfs", "-R", "htree_dump /folder");
	assert_non_null(strstr(text, "Indirect levels: 1"));
}

static void test_measure(void **state _unused_)
{
	static const struct fill_entry list[] = {FILE_OF("a", 0), FOLDER_OF("b"), FILE_OF("b/c", 0),
		LINK_OF("d", "e"), TWIN_OF("f", "a")};
	struct table table = make_table(list, ARRAY_SIZE(list));
	struct caisson_error err = {0};
	struct fill_need need;

	assert_ok(fill_measure(&table.source, 0, &need, &err), &err);
	assert_int_equal(table.next, 0);
	assert_int_equal(need.files, 12 + 4);
	assert_true(need.size >= 8 * MIB && need.size < 16 * MIB);
	assert_true(need.inodes >= 1000);
	assert_refused(fill_measure(&table.source, 4096, &need, &err), &err, EFBIG);
	assert_true(fill_size(UINT64_C(100) << 30, 1000) > UINT64_C(110) << 30);
	assert_true(fill_size(UINT64_C(100) << 30, 1000) < UINT64_C(115) << 30);
	assert_true(fill_size(0, 1000000) > 256 * 1000000);
}

static void write_file(int folder, const char *name, const void *data, size_t size)
{
	_cleanup_close_ int fd =
		openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	struct caisson_error err = {0};

	assert_true(fd >= 0);
	assert_ok(write_all(fd, data, size, name, &err), &err);
}

/* What happens to a folder while it is read. */
static void test_changing_folder(void **state)
{
	_cleanup_free_ char *path = path_join(*state, "changing");
	_cleanup_free_ char *data = calloc(1, 3 * MIB);
	_cleanup_fill_source_ struct fill_source *source = NULL;
	_cleanup_close_ int folder = -1;
	struct caisson_error err = {0};
	struct fill_entry entry;
	static const char *const order[] = {"", "a", "b", "c"};

	assert_non_null(data);
	assert_int_equal(mkdir(path, 0755), 0);
	folder = open(path, O_DIRECTORY | O_CLOEXEC);
	write_file(folder, "b", data, 5);
	write_file(folder, "a", data, 3 * MIB);
	assert_int_equal(mkfifoat(folder, "c", 0644), 0);
	assert_ok(fill_source_open(path, NULL, &source, &err), &err);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
			assert_int_equal(source->ops->next(source, &entry, &err), 1);
			assert_string_equal(entry.path, order[i]);
		}
		assert_int_equal(source->ops->next(source, &entry, &err), 0);
		assert_ok(fill_source_rewind(source, &err), &err);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(source->ops->next(source, &entry, &err), 1);
	/* A FIFO in the place of a file does not make it wait, nor a link follow. */
	assert_int_equal(unlinkat(folder, "c", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", folder, "c"), 0);
	assert_int_equal(source->ops->next(source, &entry, &err), 1);
	assert_true(S_ISLNK(entry.mode));
	assert_string_equal(entry.target, "/etc/passwd");
}

struct shrinking {
	struct fill_source source;
	struct fill_source *inner;
	const char *path;
	off_t size;
};

static int shrinking_next(
	struct fill_source *source, struct fill_entry *ret_entry, struct caisson_error *err)
{
	struct shrinking *shrinking = (struct shrinking *)source;
	int r = shrinking->inner->ops->next(shrinking->inner, ret_entry, err);

	if (r > 0 && strcmp(ret_entry->path, "file") == 0)
		assert_int_equal(truncate(shrinking->path, shrinking->size), 0);
	return r;
}

static void test_shrinking_file(void **state)
{
	static const struct fill_source_ops ops = {.next = shrinking_next};
	static const size_t sizes[] = {5000, 5 * MIB};
	_cleanup_free_ char *path = path_join(*state, "shrinking");
	_cleanup_free_ char *file = path_join(path, "file"), *data = calloc(1, 5 * MIB);
	_cleanup_close_ int folder = -1;

	assert_int_equal(mkdir(path, 0755), 0);
	folder = open(path, O_DIRECTORY | O_CLOEXEC);
	assert_non_null(data);
	memset(data, 'x', 5 * MIB);
	for (size_t i = 0; i < 4; i++) {
		_cleanup_image_ struct image image = make_image(40 * MIB);
		struct shrinking source = {.source = {.ops = &ops, .what = path},
			.path = file,
			.size = i < 2 ? 10 : 10 * MIB}; /* or grows */
		struct caisson_error err = {0};

		write_file(folder, "file", data, sizes[i % 2]);
		assert_ok(fill_source_open(path, NULL, &source.inner, &err), &err);
		assert_refused(fill_ext4(image.blocks, image.bulk, &source.source, NULL, &err),
			&err, EAGAIN);
		assert_non_null(strstr(err.message, "changed while it was read"));
		fill_source_free(source.inner);
	}
}

/* More of the cache than it holds, in pieces that are no units, and errors that keep their words.
 */
static void test_io(void **state _unused_)
{
	enum { BLOCKS = 12000 };
	_cleanup_image_ struct image image = make_image(64 * MIB);
	struct caisson_error err = {0};
	uint8_t block[4096], got[4096];
	ext2_filsys fs;

	assert_ok(ext4_io_open(image.blocks, false, &fs, &err), &err);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		memset(block, (int)(i % 251), sizeof(block));
		assert_int_equal(
			io_channel_write_blk64(fs->io, 4000 + i * 7919 % BLOCKS, 1, block), 0);
		assert_int_equal(io_channel_write_byte(
					 fs->io, (4000 + i * 7919 % BLOCKS) * 4096 + 100, 4, &i),
			0);
	}
	assert_ok(ext4_io_forget(fs, &err), &err);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		memset(block, (int)(i % 251), sizeof(block));
		memcpy(block + 100, &i, 4);
		assert_ok(blocks_read(image.blocks, (4000 + i * 7919 % BLOCKS) * UINT64_C(4096),
				  got, 4096, &err),
			&err);
		assert_memory_equal(block, got, 4096);
	}
	assert_int_not_equal(io_channel_read_blk64(fs->io, 64 * 256, 1, block), 0);
	assert_refused(ext4_io_fail(fs, EIO, "read", &err), &err, EBADMSG);
	assert_non_null(strstr(err.message, "beyond its end"));
	ext4_io_abandon(fs);
}

static int no_read(struct blocks *blocks _unused_, uint64_t offset _unused_, void *data _unused_,
	size_t size _unused_, struct caisson_error *err)
{
	return caisson_fail(err, EIO, "read it");
}

/* The disk's own reason, not libext2fs's, even while there is no filesystem yet to ask. */
static void test_opening_fails(void **state _unused_)
{
	static const struct blocks_ops ops = {.read = no_read};
	struct blocks blocks = {.ops = &ops, .size = MIB, .read_only = true, .what = "the disk"};
	struct caisson_error err = {0};
	ext2_filsys fs = NULL;

	assert_refused(ext4_io_open(&blocks, true, &fs, &err), &err, EIO);
	assert_non_null(strstr(err.message, "read it"));
	assert_null(fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opening_fails),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_replaced_again_and_again),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_large_folder),
		cmocka_unit_test(test_measure),
		cmocka_unit_test(test_changing_folder),
		cmocka_unit_test(test_shrinking_file),
		cmocka_unit_test(test_io),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
