/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What compilers and linkers make, stripped by elf_strip() and by objcopy: the same goes, the same
   stays, and the programs do what they did. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/process.h"
#include "strip-check.h"

static const char program[] =
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#define NAME \"program\"\n"
	"static __thread int tls = 5;\n"
	"static int order(const void *a, const void *b) { return *(int *)a - *(int *)b; }\n"
	"__attribute__((constructor)) static void begin(void) { puts(\"begin\"); }\n"
	"extern int twice(int);\n"
	"#ifndef LIBRARY\n"
	"int twice(int x) { return 2 * x; }\n"
	"#endif\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	static int numbers[] = {3, 1, 2};\n"
	"	qsort(numbers, 3, sizeof(int), order);\n"
	"	printf(\"%s %d %d %d %d\\n\", NAME, argc, numbers[0], numbers[2], twice(tls));\n"
	"	return argv[0] == NULL;\n"
	"}\n";

static bool run(const char *folder, struct strbuf *output, const char *format, ...) _printf_(3, 4);

/* A shell's line, in the test's folder. */
static bool run(const char *folder, struct strbuf *output, const char *format, ...)
{
	_cleanup_strbuf_ struct strbuf line = STRBUF_INIT;
	struct caisson_error err = {0};
	va_list args;

	strbuf_add_format(&line, "cd '%s' && ", folder);
	va_start(args, format);
	strbuf_add_formatv(&line, format, args);
	va_end(args);
	assert_true(strbuf_ok(&line));
	if (process_run((const char *const[]){"sh", "-c", line.data, NULL}, NULL, output, &err) <
		0) {
		print_message("# %s: %s\n", line.data, err.message);
		return false;
	}
	return true;
}

static void need_compiler(void)
{
	static const char *const tools[] = {"gcc", "objcopy", "readelf"};

	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		_cleanup_free_ char *path = NULL;

		if (program_find(tools[i], &path, NULL) < 0)
			leave_out("no %s", tools[i]);
	}
}

static void read_into(const char *folder, const char *name, struct strbuf *bytes)
{
	_cleanup_free_ char *path = path_join(folder, name);
	struct caisson_error err = {0};

	assert_non_null(path);
	assert_ok(read_file(path, 64 << 20, bytes, &err), &err);
}

static void write_into(const char *folder, const char *name, const struct strbuf *bytes)
{
	_cleanup_free_ char *path = path_join(folder, name);
	struct caisson_error err = {0};

	assert_non_null(path);
	assert_ok(write_file_atomic(path, bytes->data, bytes->size, 0755, &err), &err);
}

/* NAME -> NAME.out. Returns why it stays. */
static const char *strip_file(const char *folder, const char *name)
{
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT, output = STRBUF_INIT;
	_cleanup_free_ char *to = format_string("%s.out", name);
	struct elf_input input = {.fd = -1, .name = name};
	struct caisson_error err = {0};
	const char *why = NULL, *complaint;

	read_into(folder, name, &bytes);
	input.data = (const uint8_t *)bytes.data;
	input.size = bytes.size;
	assert_ok(elf_strip(&input, &output, &why, &err), &err);
	if (why != NULL)
		return why;
	complaint = check_stripped(&input, &output);
	if (complaint != NULL)
		fail_msg("%s: %s", name, complaint);
	write_into(folder, to, &output);
	return NULL;
}

static void open_sections(
	const struct strbuf *bytes, struct elf_input *input, struct elf_sections *sections)
{
	_cleanup_(elf_image_done) struct elf_image image = {.input = input};
	const char *why = NULL;

	*input = (struct elf_input){
		.data = (const uint8_t *)bytes->data, .fd = -1, .size = bytes->size, .name = "it"};
	assert_int_equal(elf_sections_read(&image, sections, &why, NULL), 0);
}

static bool relocates(const struct elf_section *section)
{
	return section->type == SHT_REL || section->type == SHT_RELA;
}

/* Both have the same sections in the same order, and what is loaded has the same bytes. */
static void compare_with_objcopy(const char *folder, const char *name)
{
	_cleanup_free_ char *mine = format_string("%s.out", name);
	_cleanup_free_ char *theirs = format_string("%s.ref", name);
	_cleanup_strbuf_ struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
	_cleanup_(elf_sections_done) struct elf_sections left = ELF_SECTIONS_NONE;
	_cleanup_(elf_sections_done) struct elf_sections right = ELF_SECTIONS_NONE;
	struct elf_input left_input, right_input;
	size_t k = 1;

	assert_true(run(folder, NULL, "objcopy --strip-debug %s %s", name, theirs));
	read_into(folder, mine, &a);
	read_into(folder, theirs, &b);
	open_sections(&a, &left_input, &left);
	open_sections(&b, &right_input, &right);
	for (size_t i = 1; i < left.count; i++) {
		const struct elf_section *one = &left.items[i], *other = &right.items[k];

		if (one->type == SHT_NULL)
			continue;
		assert_true(k++ < right.count);
		/* objcopy writes the tables of names and symbols anew, in an order of its own. */
		if (strcmp(one->name, ".symtab") == 0)
			break;
		assert_string_equal(one->name, other->name);
		assert_int_equal(one->flags & SHF_ALLOC, other->flags & SHF_ALLOC);
		if ((one->flags & SHF_ALLOC) == 0 || relocates(one) || !elf_section_has_bytes(one))
			continue;
		assert_int_equal(one->size, other->size);
		assert_memory_equal(a.data + one->offset, b.data + other->offset, one->size);
	}
	assert_true(k > 3);
}

/* readelf finds nothing to complain about, and no debug section. */
static void ask_readelf(const char *folder, const char *name)
{
	_cleanup_strbuf_ struct strbuf complaints = STRBUF_INIT, sections = STRBUF_INIT;

	assert_true(run(folder, &complaints, "readelf -aW %s.out 2>&1 >/dev/null", name));
	if (complaints.size != 0)
		fail_msg("%s: %s", name, complaints.data);
	assert_true(run(folder, &sections, "readelf -SW %s.out", name));
	assert_non_null(strstr(sections.data, ".symtab"));
	assert_null(strstr(sections.data, "debug_"));
	assert_null(strstr(sections.data, ".stab"));
}

static void assert_same_output(const char *folder, const char *name, const char *other)
{
	_cleanup_strbuf_ struct strbuf before = STRBUF_INIT, after = STRBUF_INIT;

	assert_true(run(folder, &before, "LD_LIBRARY_PATH=. ./%s", name));
	assert_true(run(folder, &after, "LD_LIBRARY_PATH=. ./%s", other));
	assert_non_null(strstr(before.data, "program 1 1 3 10"));
	assert_string_equal(before.data, after.data);
}

static int make_sources(void **state)
{
	const struct strbuf source = {.data = (char *)program, .size = sizeof(program) - 1};

	if (make_test_folder(state) < 0)
		return -1;
	write_into(*state, "program.c", &source);
	return 0;
}

static void test_programs(void **state)
{
	static const char *const options[] = {
		"-g",
		"-g -no-pie",
		"-g -static",
		"-g -static-pie",
		"-g3 -gz",
		"-g3 -gdwarf-4 -fdebug-types-section",
		"-ggdb -O2 -flto",
		"-gstabs -w",
		"-g -Wl,--emit-relocs",
		"-g -Wl,-z,noseparate-code -Wl,--build-id=none",
		"-g -Wl,-z,max-page-size=65536 -no-pie",
		"-g -Wl,--compress-debug-sections=zlib-gnu",
		"-g -fuse-ld=gold",
		"-g -fuse-ld=lld",
		"-g -m32",
	};
	const char *folder = *state;

	need_compiler();
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		bool optional = strstr(options[i], "lld") || strstr(options[i], "gold") ||
				strstr(options[i], "-m32");
		const char *why;

		if (!run(folder, NULL, "gcc %s -o it program.c", options[i])) {
			if (!optional)
				fail_msg("gcc %s", options[i]);
			print_message("# SKIP gcc cannot do %s here\n", options[i]);
			continue;
		}
		print_message("# %s\n", options[i]);
		why = strip_file(folder, "it");
		if (why != NULL)
			fail_msg("%s: %s", options[i], why);
		ask_readelf(folder, "it");
		compare_with_objcopy(folder, "it");
		assert_same_output(folder, "it", "it.out");
		assert_string_equal(strip_file(folder, "it.out"), "no debug sections");
	}
}

/* Without a C library, as a 32-bit one is seldom there. */
static void test_narrow_program(void **state)
{
	const char *folder = *state;

	need_compiler();
	if (!run(folder, NULL,
		    "echo 'static int n = 7; void _start(void); void _start(void) {"
		    "__asm__ volatile(\"int $0x80\" :: \"a\"(1), \"b\"(n)); }' >narrow.c &&"
		    "gcc -g -m32 -static -no-pie -nostdlib -ffreestanding -o narrow narrow.c") ||
		!run(folder, NULL, "./narrow; test $? = 7"))
		leave_out("no 32-bit programs here");
	assert_null(strip_file(folder, "narrow"));
	ask_readelf(folder, "narrow");
	compare_with_objcopy(folder, "narrow");
	assert_true(run(folder, NULL, "./narrow.out; test $? = 7"));
}

/* A library with symbol versions, and who was linked against it before. */
static void test_library(void **state)
{
	const char *folder = *state;

	need_compiler();
	assert_true(run(folder, NULL,
		"echo 'int twice(int x); int twice(int x) { return 2 * x; }' >twice.c &&"
		"echo 'ONE { global: twice; local: *; };' >twice.map &&"
		"gcc -g -shared -fPIC -o libtwice.so -Wl,--version-script=twice.map twice.c &&"
		"gcc -g -DLIBRARY -o user program.c -L. -ltwice"));
	assert_null(strip_file(folder, "libtwice.so"));
	assert_null(strip_file(folder, "user"));
	ask_readelf(folder, "libtwice.so");
	compare_with_objcopy(folder, "libtwice.so");
	assert_true(run(folder, NULL, "mv libtwice.so.out libtwice.so"));
	assert_same_output(folder, "user", "user.out");
}

static void test_objects(void **state)
{
	static const char *const options[] = {
		"-g",
		"-g3", /* groups of macros */
		"-g -gz -ffunction-sections -fdata-sections",
		"-gdwarf-4 -O2 -fPIC",
		"-gstabs -w",
	};
	const char *folder = *state;

	need_compiler();
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *why;

		assert_true(run(
			folder, NULL, "gcc %s -c -o it.o program.c && gcc -o it it.o", options[i]));
		why = strip_file(folder, "it.o");
		if (why != NULL)
			fail_msg("%s: %s", options[i], why);
		ask_readelf(folder, "it.o");
		compare_with_objcopy(folder, "it.o");
		/* A linker takes it, alone and in a larger object. */
		assert_true(run(folder, NULL,
			"mv it.o.out its.o && gcc -o its its.o &&"
			"ld -r -o larger.o its.o && gcc -o large larger.o"));
		assert_same_output(folder, "it", "its");
		assert_same_output(folder, "it", "large");
	}
}

static void test_payloads(void **state)
{
	const char *folder = *state;

	need_compiler();
	assert_true(run(folder, NULL, "gcc -g -o it program.c && printf PK >>it"));
	assert_string_equal(strip_file(folder, "it"), "something stands behind its end");
	assert_true(run(folder, NULL,
		"gcc -g -c -o it.o program.c && printf '~Module signature appended~\\n' >>it.o"));
	assert_string_equal(strip_file(folder, "it.o"), "something stands behind its end");
	assert_true(
		run(folder, NULL, "gcc -g -o it program.c && objcopy --only-keep-debug it dbg"));
	assert_string_equal(strip_file(folder, "dbg"), "it holds nothing that is loaded");
}

static int find_libc(struct dl_phdr_info *info, size_t size _unused_, void *userdata)
{
	if (strstr(info->dlpi_name, "/libc.so") == NULL)
		return 0;
	*(char **)userdata = strdup(info->dlpi_name);
	return 1;
}

static void test_system_library(void **state _unused_)
{
	_cleanup_free_ char *path = NULL;
	const char *why;

	dl_iterate_phdr(find_libc, &path);
	if (path == NULL)
		leave_out("this test has no libc.so of its own");
	why = strip_file("/", path);
	assert_non_null(why);
	assert_string_equal(why, "no debug sections");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_narrow_program),
		cmocka_unit_test(test_library),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_payloads),
		cmocka_unit_test(test_system_library),
	};

	return cmocka_run_group_tests(tests, make_sources, remove_test_folder);
}
