/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>

#include "closure/cache.h"
#include "closure/hwcaps.h"
#include "closure/loader.h"
#include "closure/token.h"
#include "elf-fixture.h"
#include "elf/reader.h"

/* ---- reader ---- */

static int read_bytes(const struct strbuf *bytes, size_t size, struct elf_file *ret_file,
	struct caisson_error *err)
{
	static const char *const symbols[] = {"absent", "pthread_exit"};
	const struct elf_watch watch = {symbols, ARRAY_SIZE(symbols)};
	/* A block of exactly this size, for the sanitizers. */
	_cleanup_free_ uint8_t *copy = malloc(size > 0 ? size : 1);
	const struct elf_input input = {.data = copy, .fd = -1, .size = size, .name = "it"};

	assert_non_null(copy);
	memcpy(copy, bytes->data, size);
	return elf_read(&input, &watch, ret_file, err);
}

static void test_reader(void **state _unused_)
{
	for (int kind = 0; kind < 4; kind++) {
		const struct elf_fixture fixture = {
			.bits = kind & 1 ? 32 : 64,
			.big_endian = kind & 2,
			.machine = EM_PPC64,
			.interpreter = "/lib/ld.so.1",
			.soname = "libme.so.1",
			.runpath = "$ORIGIN/../lib:/opt",
			.needed = {"liba.so", "libb.so.2"},
			.auxiliary = "libaux.so",
			.import = "pthread_exit",
			.flags_1 = DF_1_NODEFLIB,
		};
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
		_cleanup_(elf_file_done) struct elf_file file = ELF_FILE_NONE;
		struct caisson_error err = {0};

		elf_fixture(&fixture, &bytes);
		assert_ok(read_bytes(&bytes, bytes.size, &file, &err), &err);
		assert_int_equal(file.ident.bits, fixture.bits);
		assert_int_equal(file.ident.big_endian, fixture.big_endian);
		assert_int_equal(file.ident.machine, EM_PPC64);
		assert_int_equal(file.linkage, ELF_DYNAMIC);
		assert_string_equal(file.interpreter, "/lib/ld.so.1");
		assert_string_equal(file.soname, "libme.so.1");
		assert_string_equal(file.runpath, "$ORIGIN/../lib:/opt");
		assert_null(file.rpath);
		assert_int_equal(file.request_count, 3);
		assert_string_equal(file.requests[1].name, "libb.so.2");
		assert_int_equal(file.requests[2].kind, ELF_AUXILIARY);
		assert_int_equal(file.flags_1, DF_1_NODEFLIB);
		assert_int_equal(file.imports, 2);
	}
}

static void test_linkage(void **state _unused_)
{
	static const struct {
		struct elf_fixture fixture;
		enum elf_linkage linkage;
	} cases[] = {
		{{.interpreter = "/i"}, ELF_DYNAMIC},
		{{.flags_1 = DF_1_PIE}, ELF_STATIC_PIE},
		{{.soname = "liba.so"}, ELF_SHARED},
		{{.needed = {"liba.so"}}, ELF_SHARED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
		_cleanup_(elf_file_done) struct elf_file file = ELF_FILE_NONE;
		struct caisson_error err = {0};

		elf_fixture(&cases[i].fixture, &bytes);
		assert_ok(read_bytes(&bytes, bytes.size, &file, &err), &err);
		assert_int_equal(file.linkage, cases[i].linkage);
	}
}

static void test_reader_truncated(void **state _unused_)
{
	const struct elf_fixture fixture = {
		.interpreter = "/lib/ld.so.1", .needed = {"liba.so"}, .import = "pthread_exit"};
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;

	elf_fixture(&fixture, &bytes);
	for (size_t size = 0; size < bytes.size; size++) {
		struct elf_file file = ELF_FILE_NONE;
		struct caisson_error err = {0};

		assert_refused(read_bytes(&bytes, size, &file, &err), &err, ENOEXEC);
	}
}

static void test_reader_bounds(void **state _unused_)
{
	const struct elf_fixture million = {.needed = {"liba.so"}, .repeat = 1000000};
	const struct elf_fixture most = {.needed = {"liba.so"}, .repeat = ELF_NEEDED_MOST - 1};
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT, script = STRBUF_INIT;
	_cleanup_(elf_file_done) struct elf_file file = ELF_FILE_NONE;
	struct caisson_error err = {0};

	elf_fixture(&million, &bytes);
	assert_refused(read_bytes(&bytes, bytes.size, &file, &err), &err, E2BIG);
	assert_non_null(strstr(err.message, "asks for more than 4096 libraries"));
	strbuf_clear(&bytes);
	elf_fixture(&most, &bytes);
	assert_ok(read_bytes(&bytes, bytes.size, &file, &err), &err);
	assert_int_equal(file.request_count, ELF_NEEDED_MOST);

	/* Object files, 65535 program headers. */
	strbuf_clear(&bytes);
	elf_fixture(&(struct elf_fixture){.soname = "a"}, &bytes);
	bytes.data[16] = ET_REL;
	assert_refused(read_bytes(&bytes, bytes.size, &file, &err), &err, ENOEXEC);
	bytes.data[16] = ET_DYN;
	bytes.data[56] = bytes.data[57] = (char)0xff;
	assert_refused(read_bytes(&bytes, bytes.size, &file, &err), &err, ENOEXEC);

	strbuf_add_string(&script, "#!/bin/sh\n");
	assert_refused(read_bytes(&script, script.size, &file, &err), &err, ENOEXEC);
	assert_string_equal(err.message, "it is a script, no ELF file");
	assert_int_not_equal(err.hint[0], '\0');
}

/* ---- tokens, the cache, the loader's own folders ---- */

static void test_tokens(void **state _unused_)
{
	static const char *const cases[][2] = {
		{"$ORIGIN/../lib", "/opt/app/../lib"},
		{"${ORIGIN}lib", "/opt/applib"},
		{"$ORIGINS", "$ORIGINS"},
		{"$ORIGIN_", "$ORIGIN_"},
		{"${ORIGIN", "${ORIGIN"},
		{"/x/$LIB/$PLATFORM", "/x/lib64/x86_64"},
		{"/${LIB}${PLATFORM}$", "/lib64x86_64$"},
		{"$$LIB$OTHER", "$lib64$OTHER"},
		{"", ""},
	};
	const struct tokens tokens = {"/opt/app/prog", 8, "lib64", "x86_64"};
	_cleanup_strbuf_ struct strbuf path = STRBUF_INIT;
	char many[7 * 1000 + 1];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(token_expand(cases[i][0], strlen(cases[i][0]), &tokens, &path));
		assert_string_equal(path.data, cases[i][1]);
	}
	for (size_t i = 0; i < 1000; i++)
		memcpy(many + 7 * i, "$ORIGIN", 8);
	assert_false(token_expand(many, strlen(many), &tokens, &path));
	assert_true(path.size < 2 * TOKEN_PATH_MOST);
}

static const struct hwcaps plain;

static const struct cache_fixture cache_entries[] = {
	{"libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1", 0x303, 0},
	{"libfoo.so.10", "/ten", 0x303, 0},
	{"libfoo.so.9", "/v3/nine", 0x303, UINT64_C(1) << 62 | 1},
	{"libfoo.so.9", "/old/nine", 0x303, 1},
	{"libfoo.so.9", "/nine", 0x303, 0},
	{"libfoo.so.9", "/lib32/nine", 0x003, 0},
	{"liba.so", "/a", 0x303, 0},
};

static void test_cache(void **state _unused_)
{
	for (int kind = 0; kind < 4; kind++) {
		_cleanup_(cache_done) struct cache cache =
			make_cache(cache_entries, ARRAY_SIZE(cache_entries), kind & 1, kind & 2);

		assert_int_equal(cache.count, ARRAY_SIZE(cache_entries));
		assert_string_equal(
			cache_lookup(&cache, "libz.so.1", 0x303, &plain), cache_entries[0].path);
		assert_string_equal(cache_lookup(&cache, "libfoo.so.10", 0x303, &plain), "/ten");
		assert_string_equal(cache_lookup(&cache, "libfoo.so.9", 0x303, &plain), "/nine");
		assert_string_equal(
			cache_lookup(&cache, "libfoo.so.9", 0x003, &plain), "/lib32/nine");
		assert_string_equal(cache_lookup(&cache, "liba.so", 0x303, &plain), "/a");
		assert_null(cache_lookup(&cache, "liba.so", 0x003, &plain));
		assert_null(cache_lookup(&cache, "libb.so", 0x303, &plain));
		assert_null(cache_lookup(&cache, "", 0x303, &plain));
	}
}

static void test_cache_broken(void **state _unused_)
{
	_cleanup_(cache_done) struct cache cache =
		make_cache(cache_entries, ARRAY_SIZE(cache_entries), false, false);

	/* Cut anywhere, and every byte of the entries turned: a result or none, never a crash. */
	for (size_t size = 0; size < cache.size; size++) {
		_cleanup_(cache_done) struct cache cut = CACHE_NONE;
		char *copy = calloc(1, size + 1);

		assert_non_null(copy);
		memcpy(copy, cache.data, size);
		cache_take(&cut, copy, size);
		if (size < 48 + ARRAY_SIZE(cache_entries) * 24)
			assert_int_equal(cut.count, 0);
		(void)cache_lookup(&cut, "libfoo.so.9", 0x303, &plain);
	}
	for (size_t at = 20; at < 48 + ARRAY_SIZE(cache_entries) * 24; at++) {
		_cleanup_(cache_done) struct cache bad = CACHE_NONE;
		char *copy = malloc(cache.size + 1);

		assert_non_null(copy);
		memcpy(copy, cache.data, cache.size + 1);
		copy[at] = (char)~copy[at];
		cache_take(&bad, copy, cache.size);
		(void)cache_lookup(&bad, "libfoo.so.9", 0x303, &plain);
	}
}

static void test_loader_folders(void **state _unused_)
{
	static const char debian[] =
		"x\0\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/"
		"\0/usr/lib/\0\0rest";
	static const char fedora[] = "\x05/lib64/\0/usr/lib64/\0\0";
	static const char none[] = "/usr/lib\0/lib";
	_cleanup_strv_ struct strv a = STRV_INIT, b = STRV_INIT, c = STRV_INIT;

	loader_scan_folders(debian, sizeof(debian), &a);
	assert_int_equal(a.count, 4);
	assert_string_equal(a.items[0], "/lib/x86_64-linux-gnu");
	assert_string_equal(a.items[3], "/usr/lib");
	loader_scan_folders(fedora, sizeof(fedora), &b);
	assert_int_equal(b.count, 2);
	assert_string_equal(b.items[0], "/lib64");
	loader_scan_folders(none, sizeof(none), &c);
	assert_int_equal(c.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_linkage),
		cmocka_unit_test(test_reader_truncated),
		cmocka_unit_test(test_reader_bounds),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_cache_broken),
		cmocka_unit_test(test_loader_folders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
