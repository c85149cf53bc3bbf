/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The less usual rules of closures, in private roots: versions, processors, notes, what is
   dlopened, scripts, ld.so.conf, and the cache that is made here. */
#include "test.h"

#include <errno.h>

#include "closure/cache.h"
#include "closure/closure.h"
#include "closure/hwcaps.h"
#include "closure/wishes.h"
#include "root-fixture.h"

static const struct closure_options plain = {
	.dlopen = CLOSURE_DLOPEN_REQUIRED, .tolerant = true, .report = true};

/* A closure of @program by @options in @root. */
static struct closure *close_over(
	const char *root, const char *program, const struct closure_options *options)
{
	struct closure_options here = *options;
	struct caisson_error err = {0};
	struct closure *closure;

	here.root = root;
	assert_ok(closure_new(&closure, &here, &err), &err);
	assert_ok(closure_add_program(closure, program, &err), &err);
	return closure;
}

static const struct closure_entry *find(struct closure *closure, const char *path)
{
	size_t count;
	const struct closure_entry *entries = closure_entries(closure, &count);

	assert_non_null(entries);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(entries[i].path, path) == 0)
			return &entries[i];
	}
	return NULL;
}

/* Whether @path is in the closure, by @rule. */
static bool found_by(struct closure *closure, const char *path, const char *rule)
{
	const struct closure_entry *entry = find(closure, path);

	return entry != NULL && strcmp(entry->rule, rule) == 0;
}

/* The problems of the first program, one a line. */
static char *problems(struct closure *closure)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	size_t count;
	const struct closure_program *programs = closure_programs(closure, &count);

	assert_true(count > 0);
	for (size_t i = 0; i < programs[0].problem_count; i++)
		strbuf_add_format(&text, "%s\n", programs[0].problems[i].error.message);
	strbuf_add(&text, "", 0);
	return strbuf_take(&text);
}

/* ---- versions ---- */

static void test_versions(void **state)
{
	for (int kind = 0; kind < 4; kind++) {
		const struct elf_fixture base = {
			.bits = kind & 1 ? 32 : 64, .big_endian = kind & 2};
		_cleanup_free_ char *name = format_string("versions-%d", kind);
		_cleanup_free_ char *root = path_join(*state, name), *said = NULL;
		_cleanup_(closure_freep) struct closure *closure = NULL;
		struct elf_fixture file = base;

		file.soname = "ld-linux-aarch64.so.1";
		put_elf(root, "lib/ld-linux-aarch64.so.1", &file);
		file = base;
		file.interpreter = AARCH64_LOADER;
		file.needed[0] = "liba.so";
		file.needed[1] = "libb.so";
		file.needs[0].library = "liba.so";
		file.needs[0].version = "A_1";
		file.needs[1].library = "liba.so";
		file.needs[1].version = "A_3";
		file.needs[2].library = "liba.so";
		file.needs[2].version = "A_4";
		file.needs[2].weak = true;
		file.needs[3].library = "libb.so";
		file.needs[3].version = "B_1";
		put_elf(root, "prog", &file);
		file = base;
		file.soname = "liba.so";
		file.defines[0] = "liba.so";
		file.defines[1] = "A_1";
		file.defines[2] = "A_2";
		put_elf(root, "lib/liba.so", &file);
		/* A library without versions is only older than they are. */
		file = base;
		file.soname = "libb.so";
		put_elf(root, "lib/libb.so", &file);

		closure = close_over(root, "/prog", &plain);
		said = problems(closure);
		assert_string_equal(
			said, "/lib/liba.so lacks the version A_3 of liba.so, which /prog needs\n");
		assert_non_null(find(closure, "/lib/liba.so"));
	}
}

static void test_versions_strict(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "strict");
	_cleanup_(closure_freep) struct closure *closure = NULL;
	const struct closure_options options = {.root = root};
	struct caisson_error err = {0};
	size_t count;

	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"libc.so.6"},
			.needs = {{"libc.so.6", "GLIBC_9.9", false}}});
	put_elf(root, "usr/lib/libc.so.6",
		&(struct elf_fixture){.soname = "libc.so.6", .defines = {"GLIBC_2.17"}});
	assert_ok(closure_new(&closure, &options, &err), &err);
	assert_refused(closure_add_program(closure, "/prog", &err), &err, ENOENT);
	assert_non_null(strstr(err.message, "lacks the version GLIBC_9.9 of libc.so.6"));
	assert_true(closure_entries(closure, &count) == NULL && count == 0);
}

/* ---- processors ---- */

static void test_hwcaps_folders(void **state _unused_)
{
	const struct elf_ident x86_64 = {.bits = 64, .machine = EM_X86_64};
	const struct elf_ident arm = {.bits = 64, .machine = EM_AARCH64};
	const struct hwcaps_choice level = {HWCAPS_LEVEL, "x86-64-v3"}, host = {HWCAPS_HOST, NULL};
	const struct hwcaps_choice baseline = {HWCAPS_BASELINE, NULL};
	struct hwcaps hwcaps;

	hwcaps_set(&hwcaps, machine_find(&x86_64), 37, true, &baseline);
	assert_int_equal(hwcaps.folder_count, 0);
	/* What any processor has, of the older ones: tls/x86_64, tls, x86_64. */
	hwcaps_set(&hwcaps, machine_find(&x86_64), 36, true, &baseline);
	assert_int_equal(hwcaps.folder_count, 3);
	assert_string_equal(hwcaps.folders[0], "tls/x86_64");
	hwcaps_set(&hwcaps, machine_find(&x86_64), 37, true, &level);
	assert_int_equal(hwcaps.folder_count, 2);
	assert_string_equal(hwcaps.folders[0], "glibc-hwcaps/x86-64-v3");
	assert_string_equal(hwcaps.folders[1], "glibc-hwcaps/x86-64-v2");
	assert_string_equal(hwcaps.levels[1], "x86-64-v2");
	/* A loader that is older than the levels; a machine that has others. */
	hwcaps_set(&hwcaps, machine_find(&x86_64), 31, false, &level);
	assert_int_equal(hwcaps.level_count, 0);
	hwcaps_set(&hwcaps, machine_find(&arm), 37, true, &level);
	assert_int_equal(hwcaps.folder_count, 0);
	assert_true(hwcaps_is_level("power9"));
	assert_false(hwcaps_is_level("x86-64-v9"));
#ifdef __x86_64__
	/* "tls" is the last of the older ones but for those of the processor; gone from 2.37 on. */
	hwcaps_set(&hwcaps, machine_find(&x86_64), 31, false, &host);
	assert_true(hwcaps.folder_count > 3);
	assert_int_equal(strncmp(hwcaps.folders[0], "tls/", 4), 0);
	hwcaps_set(&hwcaps, machine_find(&x86_64), 37, true, &host);
	for (size_t i = 0; i < hwcaps.folder_count; i++)
		assert_int_equal(strncmp(hwcaps.folders[i], "glibc-hwcaps/", 13), 0);
	hwcaps_set(&hwcaps, machine_find(&arm), 36, true, &host);
	assert_int_equal(hwcaps.folder_count, 3);
	assert_string_equal(hwcaps.folders[0], "tls/aarch64");
#endif
}

/* The bytes of a glibc loader that knows glibc-hwcaps, in front of an ELF file's. */
static void put_x86_loader(const char *root)
{
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
	static const char constants[] =
		"glibc-hwcaps\0stable release version 2.40.\0/lib64/\0/usr/lib64/\0";

	elf_fixture(&(struct elf_fixture){.machine = EM_X86_64, .soname = "ld-linux-x86-64.so.2"},
		&bytes);
	strbuf_add(&bytes, constants, sizeof(constants));
	put(root, "lib64/ld-linux-x86-64.so.2", bytes.data, bytes.size);
}

static void test_hwcaps_choice(void **state)
{
	static const char *const kinds[] = {
		NULL, "x86-64-v2", "x86-64-v3", "x86-64-v4", "all", "baseline"};
	static const bool wanted[][3] = {
		/* the plain one, v2, v4 */
		{true, false, false},
		{false, true, false},
		{false, true, false},
		{false, false, true},
		{true, true, true},
		{true, false, false},
	};
	_cleanup_free_ char *root = path_join(*state, "levels");
	const struct elf_fixture library = {.machine = EM_X86_64, .soname = "libx.so"};

	put_x86_loader(root);
	put_elf(root, "prog",
		&(struct elf_fixture){.machine = EM_X86_64,
			.interpreter = "/lib64/ld-linux-x86-64.so.2",
			.needed = {"libx.so"},
			.runpath = "/opt"});
	put_elf(root, "opt/libx.so", &library);
	put_elf(root, "opt/glibc-hwcaps/x86-64-v2/libx.so", &library);
	put_elf(root, "opt/glibc-hwcaps/x86-64-v4/libx.so", &library);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct closure_options options = plain;
		_cleanup_(closure_freep) struct closure *closure = NULL;

		options.hwcaps = kinds[i];
		closure = close_over(root, "/prog", &options);
		assert_int_equal(find(closure, "/opt/libx.so") != NULL, wanted[i][0]);
		assert_int_equal(
			find(closure, "/opt/glibc-hwcaps/x86-64-v2/libx.so") != NULL, wanted[i][1]);
		assert_int_equal(
			find(closure, "/opt/glibc-hwcaps/x86-64-v4/libx.so") != NULL, wanted[i][2]);
	}
}

static void test_hwcaps_wrong(void **state _unused_)
{
	struct closure_options options = plain;
	struct caisson_error err = {0};
	struct closure *closure = NULL;

	options.hwcaps = "pentium";
	assert_refused(closure_new(&closure, &options, &err), &err, EINVAL);
}

/* ---- search ---- */

static void test_library_path(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "path");
	struct closure_options options = plain;
	_cleanup_(closure_freep) struct closure *with = NULL, *without = NULL;

	put_elf(root, "prog",
		&(struct elf_fixture){
			.interpreter = AARCH64_LOADER, .needed = {"libx.so"}, .runpath = "/run"});
	put_elf(root, "run/libx.so", &(struct elf_fixture){.soname = "libx.so"});
	put_elf(root, "env/libx.so", &(struct elf_fixture){.soname = "libx.so"});
	without = close_over(root, "/prog", &options);
	assert_true(found_by(without, "/run/libx.so", "runpath"));
	options.library_path = "/none;:/env/:/run";
	with = close_over(root, "/prog", &options);
	assert_true(found_by(with, "/env/libx.so", "library path"));
	assert_null(find(with, "/run/libx.so"));
}

/* What depends on where a program is started is in no closure: it is missing, and the hint says
   why. */
static void test_relative(void **state)
{
	static const char *const paths[] = {"lib", "/opt::/lib", ":/opt", "/opt:", "./x"};
	_cleanup_free_ char *root = make_root(*state, "relative");

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_(closure_freep) struct closure *closure = NULL;
		const struct closure_program *program;
		size_t count;

		put_elf(root, "prog",
			&(struct elf_fixture){.interpreter = AARCH64_LOADER,
				.needed = {"libx.so"},
				.runpath = paths[i]});
		closure = close_over(root, "/prog", &plain);
		program = closure_programs(closure, &count);
		assert_int_equal(program->problem_count, 1);
		assert_non_null(strstr(program->problems[0].error.hint, "is started in"));
	}
}

static void test_loader_config(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "conf"), *said = NULL;
	_cleanup_(closure_freep) struct closure *closure = NULL;
	_cleanup_(cache_done) struct cache cache = CACHE_NONE;
	static const struct hwcaps none = {.folder_count = 0};
	static const char conf[] = "# folders\ninclude ld.so.conf.d/*.conf\nhwcap 1 x\n";
	const struct closure_entry *made;
	char *copy;

	put(root, "etc/ld.so.conf", conf, sizeof(conf) - 1);
	put(root, "etc/ld.so.conf.d/a.conf", "  /opt/a/lib/ \n", 14);
	put(root, "etc/ld.so.conf.d/b.conf", "include /etc/ld.so.conf\n", 24);
	put(root, "etc/ld.so.conf.d/c.txt", "/opt/c\n", 7);
	put_elf(root, "opt/a/lib/libx.so.1", &(struct elf_fixture){.soname = "libx.so.1"});
	put_elf(root, "opt/c/liby.so", &(struct elf_fixture){.soname = "liby.so"});
	put_elf(root, "prog",
		&(struct elf_fixture){
			.interpreter = AARCH64_LOADER, .needed = {"libx.so.1", "liby.so"}});
	/* Files that include each other end somewhere. */
	{
		struct closure_options options = plain;
		struct caisson_error err = {0};
		_cleanup_(closure_freep) struct closure *loop = NULL;

		options.root = root;
		assert_ok(closure_new(&loop, &options, &err), &err);
		assert_refused(closure_add_program(loop, "/prog", &err), &err, E2BIG);
	}
	put(root, "etc/ld.so.conf.d/b.conf", "\n", 1);
	closure = close_over(root, "/prog", &plain);
	assert_true(found_by(closure, "/opt/a/lib/libx.so.1", "ld.so.conf"));
	said = problems(closure);
	assert_string_equal(said, "liby.so, which /prog needs, was not found\n");
	/* The loader reads no ld.so.conf: a cache comes along, with what was found in it. */
	made = find(closure, "/etc/ld.so.cache");
	assert_non_null(made);
	assert_int_equal(made->kind, CLOSURE_DATA);
	copy = calloc(1, made->size + 1);
	assert_non_null(copy);
	memcpy(copy, made->data, made->size);
	cache_take(&cache, copy, made->size);
	assert_int_equal(cache.count, 1);
	assert_string_equal(
		cache_lookup(&cache, "libx.so.1", 0xa03, &none), "/opt/a/lib/libx.so.1");
	assert_null(cache_lookup(&cache, "libc.so.6", 0xa03, &none));
}

static void test_cache_order(void **state _unused_)
{
	struct cache_line lines[] = {
		{"libb.so.2", "/b2", 0x303},
		{"liba.so", "/a", 0x303},
		{"libb.so.10", "/b10", 0x303},
		{"libb.so.2", "/b2-32", 0x003},
		{"libc.so.6", "/c", 0x303},
	};
	static const struct hwcaps none = {.folder_count = 0};

	for (int big_endian = 0; big_endian < 2; big_endian++) {
		_cleanup_(cache_done) struct cache cache = CACHE_NONE;
		struct strbuf bytes = STRBUF_INIT;
		size_t size;

		cache_write(lines, ARRAY_SIZE(lines), big_endian, &bytes);
		assert_true(strbuf_ok(&bytes));
		size = bytes.size;
		cache_take(&cache, strbuf_take(&bytes), size);
		assert_int_equal(cache.count, ARRAY_SIZE(lines));
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
			assert_string_equal(
				cache_lookup(&cache, lines[i].soname, lines[i].flags, &none),
				lines[i].path);
	}
}

static void test_audit(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "audit"), *said = NULL;
	_cleanup_(closure_freep) struct closure *closure = NULL;

	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"libc.so.6"},
			.audit = "libnone.so:/opt/audit.so"});
	put_elf(root, "opt/audit.so", &(struct elf_fixture){.needed = {"libc.so.6", "libx.so"}});
	put_elf(root, "usr/lib/libx.so", &(struct elf_fixture){.soname = "libx.so"});
	closure = close_over(root, "/prog", &plain);
	assert_true(found_by(closure, "/opt/audit.so", "audit"));
	assert_non_null(find(closure, "/usr/lib/libx.so"));
	said = problems(closure);
	assert_string_equal(said, "");
}

/* ---- what is dlopened ---- */

static void test_notes(void **state)
{
	static const char note[] = "[{\"soname\":[\"libnone.so\",\"libz.so\"],\"feature\":\"z\"},"
				   "{\"soname\":[\"libr.so\"],\"priority\":\"required\"},"
				   "{\"soname\":[\"libs.so\"],\"priority\":\"suggested\"}]";
	static const char *const files[] = {
		"/usr/lib/libr.so", "/usr/lib/libz.so", "/usr/lib/libs.so"};
	_cleanup_free_ char *root = make_root(*state, "notes"), *said = NULL;

	put_elf(root, "prog",
		&(struct elf_fixture){
			.interpreter = AARCH64_LOADER, .needed = {"libc.so.6"}, .note = note});
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		put_elf(root, files[i] + 1, &(struct elf_fixture){.soname = "x"});
	for (enum closure_dlopen level = CLOSURE_DLOPEN_NONE; level <= CLOSURE_DLOPEN_ALL;
		level++) {
		struct closure_options options = plain;
		_cleanup_(closure_freep) struct closure *closure = NULL;

		options.dlopen = level;
		closure = close_over(root, "/prog", &options);
		for (unsigned int i = 0; i < ARRAY_SIZE(files); i++)
			assert_int_equal(found_by(closure, files[i], "dlopen note"), i < level);
	}
	{
		_cleanup_free_ char *required = path_join(root, "usr/lib/libr.so");
		_cleanup_(closure_freep) struct closure *closure = NULL;

		assert_int_equal(unlink(required), 0);
		closure = close_over(root, "/prog", &plain);
		said = problems(closure);
		assert_string_equal(
			said, "libr.so, which /prog needs to be dlopened, was not found\n");
	}
}

static void test_wishes(void **state _unused_)
{
	static const char *const odd[] = {"", "{", "null", "[]", "[1,null,\"x\"]",
		"{\"soname\":[]}", "[{\"soname\":[]}]", "[{\"soname\":\"libx.so\"}]",
		"[{\"feature\":\"x\"}]", "[{\"soname\":[\"a\"],\"priority\":3}]",
		"[[[[[[[[[[]]]]]]]]]]"};
	struct library_wish *wishes = NULL;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		assert_int_equal(wishes_add(odd[i], &wishes, &count), 0);
		assert_int_equal(count, 0);
	}
	assert_int_equal(wishes_add("[{\"soname\":[\"a\",\"b\"]}]", &wishes, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(wishes[0].priority, CLOSURE_DLOPEN_RECOMMENDED);
	assert_int_equal(wishes[0].names.count, 2);
	wishes_free(wishes, count);
}

static void test_name_services(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "nss");
	static const char conf[] = "passwd: files [!UNAVAIL=return] ldap # no one\n"
				   "hosts: mdns4_minimal [NOTFOUND=return] dns\n"
				   "netgroup: nis ../../evil\n";
	struct closure_options options = plain;
	_cleanup_(closure_freep) struct closure *required = NULL, *recommended = NULL;
	_cleanup_strv_ struct strv left_out = STRV_INIT;

	put(root, "etc/nsswitch.conf", conf, sizeof(conf) - 1);
	put_elf(root, "usr/lib/libnss_ldap.so.2", &(struct elf_fixture){.needed = {"libldap.so"}});
	put_elf(root, "usr/lib/libnss_mdns4_minimal.so.2", &(struct elf_fixture){.soname = "m"});
	put_elf(root, "usr/lib/libnss_nis.so.2", &(struct elf_fixture){.soname = "n"});
	put_elf(root, "usr/lib/libldap.so", &(struct elf_fixture){.soname = "libldap.so"});
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"libc.so.6"},
			.import = "getpwnam_r"});
	required = close_over(root, "/prog", &options);
	assert_null(find(required, "/usr/lib/libnss_ldap.so.2"));
	closure_left_out(required, &left_out);
	assert_int_equal(left_out.count, 1);
	assert_string_equal(left_out.items[0], "users and groups (NSS) (recommended)");
	options.dlopen = CLOSURE_DLOPEN_RECOMMENDED;
	options.config = true;
	recommended = close_over(root, "/prog", &options);
	assert_true(found_by(recommended, "/usr/lib/libnss_ldap.so.2", "dlopen"));
	assert_true(found_by(recommended, "/usr/lib/libldap.so", "default folder"));
	assert_true(found_by(recommended, "/etc/nsswitch.conf", "configuration"));
	/* It asks for users, not for hosts. */
	assert_null(find(recommended, "/usr/lib/libnss_mdns4_minimal.so.2"));
	assert_null(find(recommended, "/usr/lib/libnss_nis.so.2"));
}

static void test_plugin_folders(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "plugins");
	static const char pam[] = "auth required pam_unix.so nullok\n@include other\n"
				  "auth optional /opt/pam_own.so\nauth optional ../pam_evil.so\n";
	struct closure_options options = plain;
	_cleanup_(closure_freep) struct closure *closure = NULL;

	options.dlopen = CLOSURE_DLOPEN_ALL;
	options.config = true;
	put(root, "etc/pam.d/login", pam, sizeof(pam) - 1);
	put(root, "etc/security/opasswd", "x", 1);
	put(root, "etc/security/limits.conf", "x", 1);
	put(root, "etc/security/limits.d/more.conf", "x", 1);
	put_elf(root, "usr/lib/libpam.so.0", &(struct elf_fixture){.soname = "libpam.so.0"});
	put_elf(root, "usr/lib/security/pam_unix.so", &(struct elf_fixture){.soname = "u"});
	put_elf(root, "usr/lib/security/pam_idle.so", &(struct elf_fixture){.soname = "i"});
	put_elf(root, "opt/pam_own.so", &(struct elf_fixture){.soname = "o"});
	put_elf(root, "usr/lib/pam_evil.so", &(struct elf_fixture){.soname = "e"});
	put_elf(root, "usr/lib/gconv/UTF-16.so", &(struct elf_fixture){.soname = "g"});
	put(root, "usr/lib/gconv/gconv-modules", "x\n", 2);
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"libpam.so.0", "libc.so.6"},
			.import = "iconv_open"});
	closure = close_over(root, "/prog", &options);
	assert_true(found_by(closure, "/usr/lib/security/pam_unix.so", "dlopen"));
	assert_int_equal(find(closure, "/usr/lib/security/pam_unix.so")->role, CLOSURE_PLUGIN);
	assert_true(found_by(closure, "/opt/pam_own.so", "dlopen"));
	assert_null(find(closure, "/usr/lib/security/pam_idle.so"));
	assert_null(find(closure, "/usr/lib/pam_evil.so"));
	assert_true(found_by(closure, "/usr/lib/gconv/UTF-16.so", "dlopen"));
	assert_true(found_by(closure, "/usr/lib/gconv/gconv-modules", "data"));
	assert_non_null(find(closure, "/etc/security/limits.conf"));
	assert_non_null(find(closure, "/etc/security/limits.d/more.conf"));
	/* Hashes of the passwords that were. */
	assert_null(find(closure, "/etc/security/opasswd"));
}

/* ---- scripts, reports ---- */

static void test_scripts(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "scripts"), *said = NULL;
	_cleanup_(closure_freep) struct closure *plain_script = NULL, *by_env = NULL, *none = NULL;
	const struct closure_program *programs;
	struct caisson_error err = {0};
	size_t count;

	put_elf(root, "bin/sh",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER, .needed = {"libc.so.6"}});
	put_elf(root, "usr/bin/env",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER, .needed = {"libc.so.6"}});
	put_link(root, "usr/bin/python3", "/bin/sh");
	put(root, "one", "#! /bin/sh -e\n", 14);
	put(root, "two", "#!/one\n", 7);
	put(root, "three", "#!/usr/bin/env -S X=1 python3 -u\n", 33);
	put(root, "loop", "#!/loop\n", 8);
	put(root, "missing", "#!/bin/none\n", 12);
	plain_script = close_over(root, "/two", &plain);
	programs = closure_programs(plain_script, &count);
	assert_int_equal(count, 3);
	assert_string_equal(programs[2].path, "/two");
	assert_int_equal(programs[2].linkage, CLOSURE_IS_SCRIPT);
	assert_string_equal(programs[2].interpreter, "/one");
	assert_string_equal(programs[0].wanted_by, "/one");
	assert_true(found_by(plain_script, "/bin/sh", "program"));
	assert_true(found_by(plain_script, "/one", "script"));
	by_env = close_over(root, "/three", &plain);
	assert_non_null(find(by_env, "/usr/bin/python3"));
	assert_non_null(find(by_env, "/usr/bin/env"));
	assert_non_null(find(by_env, "/bin/sh"));
	none = close_over(root, "/missing", &plain);
	said = problems(none);
	assert_string_equal(said, "/missing: open /bin/none: No such file or directory\n");
	assert_refused(closure_add_program(none, "/loop", &err), &err, ELOOP);
}

static void test_report(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "report"), *said = NULL;
	_cleanup_(closure_freep) struct closure *closure = NULL;
	const struct closure_program *program;
	size_t count;

	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"liba.so", "libnone.so", "libbad.so"}});
	put_elf(root, "usr/lib/liba.so",
		&(struct elf_fixture){.soname = "liba.so", .needed = {"libmore.so", "libc.so.6"}});
	put(root, "usr/lib/libbad.so", "bad", 3);
	closure = close_over(root, "/prog", &plain);
	program = closure_programs(closure, &count);
	assert_int_equal(count, 1);
	assert_int_equal(program->linkage, CLOSURE_DYNAMIC);
	assert_int_equal(program->libc, CLOSURE_GLIBC);
	assert_string_equal(program->machine, "aarch64-linux-gnu");
	assert_string_equal(program->interpreter, AARCH64_LOADER);
	assert_int_equal(program->object_count, 4);
	assert_string_equal(program->objects[2].name, "liba.so");
	assert_string_equal(program->objects[2].path, "/lib/liba.so");
	assert_string_equal(program->objects[2].real, "/usr/lib/liba.so");
	assert_int_equal(program->objects[2].by, 0);
	assert_int_equal(program->objects[3].by, 2);
	assert_int_equal(program->use_count, 6);
	assert_int_equal(program->uses[1].object, CLOSURE_NONE);
	said = problems(closure);
	assert_string_equal(said, "libnone.so, which /prog needs, was not found\n"
				  "needed by /prog: /usr/lib/libbad.so is no ELF file\n"
				  "libmore.so, which /lib/liba.so needs, was not found\n");
	assert_int_equal(program->problems[1].kind, CLOSURE_BROKEN);
	assert_string_equal(program->problems[2].wanted_by, "/lib/liba.so");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_versions_strict),
		cmocka_unit_test(test_hwcaps_folders),
		cmocka_unit_test(test_hwcaps_choice),
		cmocka_unit_test(test_hwcaps_wrong),
		cmocka_unit_test(test_library_path),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_loader_config),
		cmocka_unit_test(test_cache_order),
		cmocka_unit_test(test_audit),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_name_services),
		cmocka_unit_test(test_plugin_folders),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_report),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
