/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read out of boot archives, where a command's output shows it too late or not at all. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hex.h"
#include "base/strbuf.h"
#include "inspect/microcode.h"
#include "inspect/rootfs.h"
#include "inspect/snp.h"
#include "kernel/packed.h"

/* Appends one entry. */
static void put(struct strbuf *archive, const char *path, mode_t mode, const char *data,
	unsigned int inode, unsigned int links)
{
	size_t size = strlen(data);

	strbuf_add_format(archive, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
		inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, strlen(path) + 1, 0);
	strbuf_add(archive, path, strlen(path) + 1);
	while (archive->size % 4 != 0)
		strbuf_add_char(archive, '\0');
	strbuf_add(archive, data, size);
	while (archive->size % 4 != 0)
		strbuf_add_char(archive, '\0');
}

static void put_trailer(struct strbuf *archive)
{
	put(archive, "TRAILER!!!", 0, "", 0, 1);
}

/* Takes @archive. */
static void open_root(struct rootfs *root, struct strbuf *archive)
{
	struct caisson_error err = {0};

	assert_ok(rootfs_new(root, &err), &err);
	root->members.file = *archive;
	*archive = STRBUF_INIT;
	assert_ok(members_read(&root->members, 1 << 20, "the archive", &err), &err);
	for (size_t i = 0; i < root->members.count; i++)
		assert_ok(rootfs_add_member(root, &root->members.items[i], i, "the archive", &err),
			&err);
	assert_ok(rootfs_finish(root, &err), &err);
}

static void assert_content(struct rootfs *root, const char *path, const char *wanted)
{
	const struct rootfs_file *file = rootfs_resolve(root, path);

	if (wanted == NULL) {
		assert_null(file);
		return;
	}
	assert_non_null(file);
	assert_int_equal(file->size, strlen(wanted));
	assert_memory_equal(file->data, wanted, strlen(wanted));
}

/* Inode numbers count in one archive alone, and a link to what is gone is none. */
static void test_links(void **state _unused_)
{
	_cleanup_rootfs_ struct rootfs root = ROOTFS_NONE;
	struct strbuf archive = STRBUF_INIT;

	put(&archive, "a", S_IFREG | 0644, "first", 1, 2);
	put(&archive, "b", S_IFREG | 0644, "", 1, 2);
	put(&archive, "a", S_IFLNK | 0777, "b", 0, 1); /* in the place of the first name */
	put(&archive, "gone", S_IFREG | 0644, "x", 2, 2);
	put(&archive, "gone", S_IFLNK | 0777, "b", 0, 1);
	put(&archive, "after", S_IFREG | 0644, "y", 2, 2);
	put_trailer(&archive);
	put(&archive, "c", S_IFREG | 0644, "", 1, 2);
	put_trailer(&archive);
	open_root(&root, &archive);
	assert_content(&root, "b", "first");
	assert_content(&root, "a", "first");
	assert_content(&root, "c", "");
	assert_content(&root, "after", NULL);
}

/* Links are followed as inside a chroot: the top has nothing above it. */
static void test_resolve(void **state _unused_)
{
	_cleanup_rootfs_ struct rootfs root = ROOTFS_NONE;
	struct strbuf archive = STRBUF_INIT;
	char *real;

	put(&archive, "usr", S_IFDIR | 0755, "", 0, 1);
	put(&archive, "usr/lib", S_IFDIR | 0755, "", 0, 1);
	put(&archive, "lib", S_IFLNK | 0777, "/../../usr/./lib/", 0, 1);
	put(&archive, "lib/x", S_IFREG | 0644, "x", 0, 1);
	put(&archive, "usr/y", S_IFLNK | 0777, "../lib/x", 0, 1);
	put(&archive, "a", S_IFLNK | 0777, "b", 0, 1);
	put(&archive, "b", S_IFLNK | 0777, "a", 0, 1);
	put(&archive, "../up", S_IFREG | 0644, "up", 0, 1);
	put_trailer(&archive);
	open_root(&root, &archive);
	assert_content(&root, "/usr/y", "x");
	assert_content(&root, "a", NULL);
	assert_content(&root, "up", "up");
	assert_non_null(rootfs_entry(&root, "usr/lib/x"));
	assert_null(rootfs_entry(&root, "lib/x"));
	real = rootfs_real(&root, "lib/../lib/x");
	assert_string_equal(real, "usr/lib/x");
	free(real);
	assert_int_equal(root.problem_count, 1);
	assert_non_null(strstr(root.problems[0].why, "climbs"));
	/* /dev and /root are the kernel's own, and not the archive's. */
	assert_null(rootfs_entry(&root, "dev"));
}

/* Paths that grow through links are bounded, too. */
static void test_long_paths(void **state _unused_)
{
	_cleanup_rootfs_ struct rootfs root = ROOTFS_NONE;
	struct strbuf archive = STRBUF_INIT;
	char path[300], name[201];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	put(&archive, "l", S_IFLNK | 0777, ".", 0, 1);
	for (int i = 0; i < 25; i++) {
		snprintf(path, sizeof(path), "l/%s", name);
		put(&archive, path, S_IFDIR | 0755, "", 0, 1);
		put(&archive, "l", S_IFLNK | 0777, i == 0 ? name : "l", 0, 1);
	}
	memset(path, 'm', 256);
	path[256] = '\0';
	put(&archive, path, S_IFREG | 0644, "", 0, 1);
	put_trailer(&archive);
	open_root(&root, &archive);
	for (size_t i = 0; i < root.count; i++)
		assert_true(strlen(root.entries[i].path) < 4096);
	assert_true(root.problem_count > 0);
}

/* Every cut of an lzo stream is refused, and the whole of it is read. */
static void test_lzo(void **state _unused_)
{
	/* lzop -9 of "hello hello hello hello hello\n", 20 times. */
	static const char stream[] =
		"894c5a4f000d0a1a0a104020a0094003090300000d000000006b0732670000000000278d02810000"
		"0258000000140233da991768656c6c6f203515000a2000001b740011000000000000";
	uint8_t bytes[256];
	size_t size = strlen(stream) / 2;

	assert_int_equal(hex_decode(stream, 2 * size, bytes, size), 0);
	for (size_t cut = 0; cut <= size; cut++) {
		_cleanup_strbuf_ struct strbuf buffer = STRBUF_INIT;
		struct packed_facts facts;
		struct caisson_error err = {0};
		size_t used;

		assert_int_equal(
			packed_read(bytes, cut, 1 << 20, "it", &buffer, &facts, &used, &err) < 0,
			cut < size);
		if (cut == size)
			assert_int_equal(buffer.size, 600);
	}
}

static void add_twice(struct microcodes *updates, const uint8_t *data, size_t size)
{
	assert_int_equal(microcode_read(updates, "kernel/x86/microcode/GenuineIntel.bin", data,
				 size, 0, false),
		0);
	assert_int_equal(microcode_read(updates, "kernel/x86/microcode/AuthenticAMD.bin", data,
				 size, 0, false),
		0);
}

static void test_microcode(void **state _unused_)
{
	struct microcodes updates = MICROCODES_NONE;
	uint8_t data[64] = {0};

	add_twice(&updates, data, 0);
	add_twice(&updates, data, sizeof(data));
	assert_int_equal(updates.count, 4);
	for (size_t i = 0; i < updates.count; i++)
		assert_non_null(updates.items[i].problem);
	free(updates.items);
}

static void sha256_text(const char *text, uint8_t to[static 32])
{
	assert_int_equal(hex_decode(text, 64, to, 32), 0);
}

/* The firmware that these vectors were made with is edk2's AmdSevX64.dsc (stable202405): its pages'
   digest, and what stands in its table. Vectors: github.com/virtee/sev-snp-measure. */
static void test_launch_digest(void **state _unused_)
{
	static const char pages[] =
		"086e2e9149ebf45abdc3445fba5b2da8270bdbb04094d7a2c37faaa4b24af3aa"
		"16aff8c374c2a55c467a50da6d466b74";
	static const char nothing[] =
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	/* Of no words, and of "console=ttyS0 loglevel=7", with the NUL. */
	static const char *const cmdlines[] = {
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"321c8eec6a77bad179511397f913a083067ad8cb737bb260aacbfe8df70fc50a"};
	static const struct {
		int cmdline; /* which one; -1: no kernel */
		unsigned int vcpus;
		uint64_t features;
		const char *digest;
	} vectors[] = {
		{0, 1, 0x21,
			"329c8ce0972ae52343b64d34a434a86f245dfd74f5ed7aae15d22efc78fb9683632b9b50e4e1d7fa"
			"41179ef98a7ef198"},
		{0, 1, 0x1,
			"ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3ac99fc4bfa04ba6e9fc98646d4a07a90"
			"79397fa3852819b5"},
		{1, 1, 0x21,
			"803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb28c653360fe4b3aba7e534442e7e1e178"
			"95dfe778d0228977"},
		{-1, 1, 0x21,
			"e1e1ca029dd7973ab9513295be68198472dcd4fc834bd9af9b63f6e8a1674dbf281a9278a4a2ebe0"
			"eed9f22adbcd0e2b"},
		{0, 4, 0x1,
			"5061fffb019493a903613d56d54b94912a1a2f9e4502385f5c194616753720a92441310ba6c4933d"
			"e877c36e23046ad5"},
	};
	const struct snp_firmware firmware = {.reset_address = 0x80b004,
		.hashes = 0x810c00,
		.sections = {{0x800000, 0x9000, 1}, {0x80a000, 0x3000, 1}, {0x80d000, 0x1000, 2},
			{0x80e000, 0x1000, 3}, {0x80f000, 0x1000, 4}, {0x810000, 0x1000, 16},
			{0x811000, 0xf000, 1}},
		.count = 7};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t digest[SNP_DIGEST_SIZE], empty[32], cmdline[32], table[SEV_TABLE_SIZE];
		char hex[2 * SNP_DIGEST_SIZE + 1];
		struct caisson_error err = {0};

		sha256_text(nothing, empty);
		assert_int_equal(hex_decode(pages, 96, digest, sizeof(digest)), 0);
		if (vectors[i].cmdline >= 0) {
			sha256_text(cmdlines[vectors[i].cmdline], cmdline);
			sev_table(empty, empty, cmdline, table);
		}
		assert_ok(snp_add_rest(digest, &firmware, vectors[i].cmdline >= 0 ? table : NULL,
				  vectors[i].vcpus, 0x00800f12, vectors[i].features, &err),
			&err);
		hex_encode(digest, sizeof(digest), hex);
		assert_string_equal(hex, vectors[i].digest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_long_paths),
		cmocka_unit_test(test_lzo),
		cmocka_unit_test(test_microcode),
		cmocka_unit_test(test_launch_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
