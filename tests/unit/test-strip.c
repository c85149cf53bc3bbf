/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/io.h"
#include "strip-check.h"
#include "strip-fixture.h"

static int strip_bytes(
	const struct strbuf *bytes, size_t size, struct strbuf *output, const char **ret_why)
{
	/* A block of exactly this size, for the sanitizers. */
	_cleanup_free_ uint8_t *copy = malloc(size > 0 ? size : 1);
	const struct elf_input input = {.data = copy, .fd = -1, .size = size, .name = "it"};
	const char *complaint = NULL;
	size_t start = output->size;
	int r;

	assert_non_null(copy);
	memcpy(copy, bytes->data, size);
	r = elf_strip(&input, output, ret_why, NULL);
	if (r == 0 && *ret_why == NULL) {
		const struct strbuf result = {
			.data = output->data + start, .size = output->size - start};

		complaint = check_stripped(&input, &result);
	}
	if (complaint != NULL)
		fail_msg("%s", complaint);
	return r;
}

static void assert_why(const struct strbuf *bytes, const char *wanted)
{
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	const char *why = NULL;

	strbuf_add_string(&output, "mine");
	assert_int_equal(strip_bytes(bytes, bytes->size, &output, &why), 0);
	if (why == NULL)
		fail_msg("stripped, from %zu to %zu; %s", bytes->size, output.size, wanted);
	assert_string_equal(why, wanted);
	assert_string_equal(output.data, "mine");
}

static void assert_shape(const struct shape *shape, const char *wanted)
{
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;

	build(shape, &bytes);
	assert_why(&bytes, wanted);
}

static const uint16_t types[] = {ET_REL, ET_EXEC, ET_DYN};

static void test_shapes(void **state _unused_)
{
	for (size_t kind = 0; kind < 4 * ARRAY_SIZE(types); kind++) {
		const struct shape shape =
			make_shape(kind & 1 ? 32 : 64, (kind & 2) != 0, types[kind / 4]);
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT, output = STRBUF_INIT;
		_cleanup_strbuf_ struct strbuf other = STRBUF_INIT;
		_cleanup_close_ int fd = memfd_create("it", MFD_CLOEXEC);
		struct elf_input input = {.fd = fd, .name = "it"};
		struct caisson_error err = {0};
		const char *why = "";

		build(&shape, &bytes);
		assert_ok(strip_bytes(&bytes, bytes.size, &output, &why), &err);
		if (why != NULL)
			fail_msg("shape %zu stays: %s", kind, why);
		/* All three debug sections, 99 bytes at a page's start among them. */
		assert_true(bytes.size - output.size > 1333 + 240 + 99 + 1000);

		/* The same from a descriptor, behind what the caller has in there. */
		assert_ok(write_all(fd, bytes.data, bytes.size, "it", &err), &err);
		input.size = bytes.size;
		strbuf_add_char(&other, '!');
		assert_ok(elf_strip(&input, &other, &why, &err), &err);
		assert_null(why);
		assert_int_equal(other.size, output.size + 1);
		assert_memory_equal(other.data + 1, output.data, output.size);
	}
}

/* Section headers of a result, which check_stripped() has compared with what there was. */
static void check_what_goes(const struct shape *shape)
{
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT, output = STRBUF_INIT;
	struct elf_input input = {.fd = -1, .name = "it"};
	_cleanup_(elf_image_done) struct elf_image image = {.input = &input};
	_cleanup_(elf_sections_done) struct elf_sections sections = ELF_SECTIONS_NONE;
	const char *why = NULL;

	build(shape, &bytes);
	assert_int_equal(strip_bytes(&bytes, bytes.size, &output, &why), 0);
	assert_null(why);
	input.data = (const uint8_t *)output.data;
	input.size = output.size;
	assert_int_equal(elf_sections_read(&image, &sections, &why, NULL), 0);
	for (size_t k = 1; k < PIECES; k++) {
		bool goes = k == DEBUG_INFO || k == RELA_DEBUG || k == DEBUG_STR ||
			    (k == GROUP && shape->type == ET_REL);
		const struct piece *piece = &shape->pieces[k];

		assert_int_equal(sections.items[k].type, goes ? SHT_NULL : piece->type);
		assert_string_equal(sections.items[k].name, goes ? "" : piece->name);
		if (!goes && k != BSS)
			assert_int_equal(sections.items[k].offset % piece->align, 0);
	}
	assert_int_equal(sections.table_offset % (is_wide(shape) ? 8 : 4), 0);
	assert_int_equal(sections.table_offset + PIECES * sections.entry_size, output.size);
}

static void test_what_goes(void **state _unused_)
{
	for (size_t kind = 0; kind < 4 * ARRAY_SIZE(types); kind++) {
		const struct shape shape =
			make_shape(kind & 1 ? 32 : 64, (kind & 2) != 0, types[kind / 4]);

		check_what_goes(&shape);
	}
}

/* Names that only look like it, or that are loaded, stay. */
static void test_names(void **state _unused_)
{
	static const char *const others[] = {".debugger", ".stable", ".lines", ".gdb_indexes",
		"debug_info", ".gnu.debuglto_", ".gnu_debuglink", ".gnu_debugdata"};
	static const char *const debug[] = {".debug", ".line", ".stab", ".stabstr", ".stab.excl",
		".gdb_index", ".debug_gdb_scripts", ".gnu.debuglto_.debug_info",
		".gnu.linkonce.wi.f"};
	struct shape shape = make_shape(64, false, ET_EXEC);

	shape.pieces[DEBUG_STR].name = ".dynstr";
	shape.pieces[DEBUG_STR].align = 1;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		shape.pieces[DEBUG_INFO].name = others[i];
		assert_shape(&shape, "no debug sections");
	}
	for (size_t i = 0; i < ARRAY_SIZE(debug); i++) {
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT, output = STRBUF_INIT;
		const char *why = NULL;

		shape.pieces[DEBUG_INFO].name = debug[i];
		shape.pieces[DEBUG_INFO].flags = 0;
		build(&shape, &bytes);
		assert_int_equal(strip_bytes(&bytes, bytes.size, &output, &why), 0);
		if (why != NULL)
			fail_msg("%s: %s", debug[i], why);
		shape.pieces[DEBUG_INFO].flags = SHF_ALLOC;
		assert_shape(&shape, "no debug sections");
	}
}

/* ---- what stays as it is ---- */

static void test_links(void **state _unused_)
{
	static const uint32_t mixed[] = {GRP_COMDAT, DEBUG_INFO, COMMENT};
	static const char needed[] = "a section that is needed refers to a debug section";
	struct shape shape = make_shape(64, false, ET_REL);

	shape.pieces[GROUP].words = mixed;
	shape.pieces[GROUP].size = sizeof(mixed);
	assert_shape(&shape, "a section group holds debug sections beside others");
	shape = make_shape(64, false, ET_REL);
	shape.pieces[COMMENT].link = DEBUG_STR;
	assert_shape(&shape, needed);
	shape = make_shape(64, false, ET_REL);
	shape.pieces[RELA_DEBUG].flags = SHF_ALLOC;
	shape.pieces[GROUP].type = SHT_PROGBITS;
	assert_shape(&shape, needed);
	shape = make_shape(32, true, ET_REL);
	shape.pieces[STRINGS].name = ".debug_str";
	assert_shape(&shape, needed);
	shape = make_shape(32, true, ET_REL);
	shape.pieces[NAMES].name = ".debug_names";
	assert_shape(&shape, "its section names stand in a debug section");
}

static void test_loaded(void **state _unused_)
{
	struct shape shape = make_shape(64, false, ET_DYN);

	/* A loaded section behind all others, as patchelf leaves them. */
	shape.pieces[STRINGS].flags = SHF_ALLOC;
	assert_shape(&shape, "its debug sections stand among what is loaded");
	shape = make_shape(64, false, ET_DYN);
	shape.pieces[TEXT].type = SHT_NOBITS;
	assert_shape(&shape, "it holds nothing that is loaded");
	shape = make_shape(64, false, ET_DYN);
	shape.pieces[DEBUG_INFO].size = shape.pieces[DEBUG_STR].size = 0;
	shape.pieces[RELA_DEBUG].size = 0;
	shape.pieces[BSS].align = shape.pieces[DEBUG_STR].align = 1;
	assert_shape(&shape, "it would not get smaller");
	shape = make_shape(64, false, ET_DYN);
	shape.pieces[COMMENT].gap = (16 << 20) + 1;
	assert_shape(&shape, "its sections lie far apart");
}

static void test_payload(void **state _unused_)
{
	static const char *const payloads[] = {"P", "~Module signature appended~\n", "\0"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const struct shape shape = make_shape(64, false, types[i]);
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
		size_t size;

		build(&shape, &bytes);
		size = bytes.size;
		for (size_t k = 0; k < ARRAY_SIZE(payloads); k++) {
			bytes.size = size;
			strbuf_add(&bytes, payloads[k], MAX(strlen(payloads[k]), (size_t)1));
			assert_why(&bytes, "something stands behind its end");
		}
		/* In front of a section, where padding was. */
		bytes.size = size;
		bytes.data[4095] = 'P';
		assert_why(&bytes, "something stands between its sections");
	}
}

static void test_headers(void **state _unused_)
{
	static const struct {
		size_t at; /* in Elf64_Ehdr, and Elf64_Phdr behind it */
		unsigned int size;
		uint64_t value;
		const char *why;
	} cases[] = {
		{0, 1, 'E', "it is no ELF file"},
		{4, 1, 3, "it is an ELF file of an unknown kind"},
		{16, 2, ET_CORE, "it is neither program, library nor object file"},
		{16, 2, ET_REL, "it has no usable program headers"},
		{56, 2, 0, "it has no usable program headers"},
		{54, 2, 32, "its program headers have an unknown size"},
		{56, 2, PN_XNUM - 1, "it ends before what its headers point to"},
		{32, 8, UINT64_MAX, "it ends before what its headers point to"},
		{64 + 32, 8, 1 << 20, "it ends before what its headers point to"}, /* p_filesz */
		{40, 8, 0, "it has no section headers"},
		{40, 8, UINT64_MAX, "it ends before what its headers point to"},
		{58, 2, 40, "its section headers have an unknown size"},
		{60, 2, PIECES + 1, "it ends before what its headers point to"},
		{60, 2, PIECES - 1, "its sections have no names"},
		{62, 2, 0, "its sections have no names"},
		{62, 2, COMMENT, "its sections have no names"},
	};
	struct shape shape = make_shape(64, false, ET_DYN);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;

		build(&shape, &bytes);
		put_at(&shape, &bytes, cases[i].at, cases[i].value, cases[i].size);
		assert_why(&bytes, cases[i].why);
	}
}

static void test_overlaps(void **state _unused_)
{
	static const struct {
		unsigned int section;
		bool size; /* the field */
		int change;
	} cases[] = {
		{DEBUG_INFO, false, -1},     /* into what is loaded */
		{COMMENT, true, 2500},       /* over the next one */
		{NAMES, true, 8},            /* into the table of headers */
		{DEBUG_STR, false, -4096},   /* into one that goes, too */
		{TEXT, false, -64 - 56 - 8}, /* into the ELF header */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct shape shape = make_shape(64, true, ET_EXEC);
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
		size_t at;

		build(&shape, &bytes);
		at = bytes.size - (PIECES - cases[i].section) * sizeof(Elf64_Shdr) +
		     (cases[i].size ? 32 : 24);
		put_at(&shape, &bytes, at,
			elf_number((const uint8_t *)bytes.data + at, 8, true) +
				(uint64_t)(int64_t)cases[i].change,
			8);
		assert_why(&bytes, "its sections overlap");
	}
}

/* Of more than 65279 sections the header only says where else to look. */
static void test_many_sections(void **state _unused_)
{
	const struct shape shape = make_shape(64, true, ET_REL);
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT, output = STRBUF_INIT;
	size_t table;
	const char *why = NULL;

	build(&shape, &bytes);
	table = bytes.size - PIECES * sizeof(Elf64_Shdr);
	put_at(&shape, &bytes, 60, 0, 2);
	put_at(&shape, &bytes, 62, SHN_XINDEX, 2);
	put_at(&shape, &bytes, table + 32, PIECES, 8);
	put_at(&shape, &bytes, table + 40, NAMES, 4);
	assert_int_equal(strip_bytes(&bytes, bytes.size, &output, &why), 0);
	assert_null(why);
	put_at(&shape, &bytes, table + 32, UINT64_MAX / 2, 8);
	assert_why(&bytes, "it has too many sections");
}

/* The table of section headers where Go's linker puts it: among what is loaded. */
static void test_table_in_front(void **state _unused_)
{
	const size_t size = PIECES * sizeof(Elf64_Shdr);
	struct shape shape = make_shape(64, false, ET_EXEC);
	_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT, output = STRBUF_INIT;
	const char *why = NULL;

	shape.pieces[TEXT].size = size;
	build(&shape, &bytes);
	memcpy(bytes.data + 128, bytes.data + bytes.size - size, size);
	bytes.size -= size;
	put_at(&shape, &bytes, 40, 128, 8);
	/* To the end of .shstrtab: what aligned the table is behind everything now. */
	bytes.size -= 1;
	while (bytes.data[bytes.size - 1] == '\0')
		bytes.size--;
	bytes.size++;
	assert_int_equal(strip_bytes(&bytes, bytes.size, &output, &why), 0);
	if (why != NULL)
		fail_msg("it stays: %s", why);
}

static void test_truncated(void **state _unused_)
{
	for (size_t kind = 0; kind < 2 * ARRAY_SIZE(types); kind++) {
		const struct shape shape =
			make_shape(kind & 1 ? 32 : 64, (kind & 1) != 0, types[kind / 2]);
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;

		build(&shape, &bytes);
		for (size_t size = 0; size < bytes.size; size++) {
			_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
			const char *why = NULL;

			assert_int_equal(strip_bytes(&bytes, size, &output, &why), 0);
			assert_non_null(why);
		}
	}
}

/* Every bit of every header: whatever comes of it, strip_bytes() looks at the result. */
static void test_flipped(void **state _unused_)
{
	for (size_t kind = 0; kind < 2 * ARRAY_SIZE(types); kind++) {
		const struct shape shape =
			make_shape(kind & 1 ? 32 : 64, (kind & 1) != 0, types[kind / 2]);
		_cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
		size_t table;

		build(&shape, &bytes);
		table = bytes.size - PIECES * (is_wide(&shape) ? 64 : 40);
		for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
			_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
			const char *why = NULL;

			if (bit == 8 * 128)
				bit = 8 * table;
			bytes.data[bit / 8] ^= (char)(1 << bit % 8);
			assert_int_equal(strip_bytes(&bytes, bytes.size, &output, &why), 0);
			bytes.data[bit / 8] ^= (char)(1 << bit % 8);
		}
	}
}

static void test_unreadable(void **state _unused_)
{
	const struct elf_input input = {.fd = -1, .size = 4096, .name = "it"};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct caisson_error err = {0};
	const char *why = NULL;

	assert_refused(elf_strip(&input, &output, &why, &err), &err, EBADF);
	assert_null(why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_what_goes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_loaded),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_many_sections),
		cmocka_unit_test(test_table_in_front),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
