/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "kbuild/configure.h"
#include "kbuild/wanted.h"
#include "kconfig/expr.h"
#include "kconfig/values.h"
#include "kernel/config_text.h"

/* A tree of files in memory: name and text in turn. */
struct files {
	const char *const *pairs;
};

static int read_pair(
	void *userdata, const char *path, struct strbuf *text, struct caisson_error *err)
{
	const struct files *files = userdata;

	for (size_t i = 0; files->pairs[i] != NULL; i += 2) {
		if (strcmp(files->pairs[i], path) == 0) {
			strbuf_add_string(text, files->pairs[i + 1]);
			return 0;
		}
	}
	return caisson_fail(err, ENOENT, "open %s", path);
}

static int read_files(
	const char *const *pairs, struct kconfig **ret_tree, struct caisson_error *err)
{
	struct files files = {pairs};
	struct kconfig_reader reader = {read_pair, &files};

	return kconfig_read(&reader, "6.1.192", ret_tree, err);
}

static struct kconfig *read_one(const char *text)
{
	const char *const pairs[] = {"Kconfig", text, NULL};
	struct caisson_error err = {0};
	struct kconfig *tree = NULL;

	assert_ok(read_files(pairs, &tree, &err), &err);
	return tree;
}

static struct kconfig_values *read_values(const struct kconfig *tree, const char *text)
{
	struct caisson_error err = {0};
	struct kconfig_values *values = NULL;

	assert_ok(kconfig_values_read(tree, text, strlen(text), &values, &err), &err);
	return values;
}

static void assert_explained(const struct kconfig_values *values, const char *option,
	const char *wanted, const char *expected)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	assert_int_equal(kconfig_explain(values, option, wanted, &text), 0);
	assert_string_equal(text.data != NULL ? text.data : "", expected);
}

static void assert_depends(const struct kconfig_node *node, const char *expected)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	kconfig_expr_print(node->depends, &text);
	assert_string_equal(text.data, expected);
}

static void test_syntax(void **state _unused_)
{
	_cleanup_kconfig_ struct kconfig *tree = read_one(
		"mainmenu \"Linux/$(ARCH) $(KERNELVERSION)\"\n"
		"cc-option = $(success,trap \"rm $$\" EXIT; $(CC) -Werror $(1) -c /dev/null)\n"
		"$(error-if,$(failure,command -v $(CC)),compiler '$(CC)' not found)\n"
		"# a comment\n"
		"config MODULES\n\tbool \"Modules\"\n\tmodules\n"
		"menu \"A menu\"\n\tdepends on OUTER\n\tvisible if SHOWN\n"
		"if INNER # and a comment\n"
		"config A\n"
		"\ttristate \"It's \\\"A\\\"\" if EXPERT\n"
		"\tdepends on (B || !C) && \\\n\t\tD != \"text\"\n"
		"\tselect LIB if B = m\n"
		"\timply OTHER\n"
		"\tdefault m if $(cc-option,-mfoo(bar))\n"
		"\thelp\n\t  config NOT_ONE\n\n\t    more of it\n"
		"config NUMBER\n\tint 'How many' if E>=5\n\trange 1 64\n\tdefault 8\n"
		"endif\nendmenu\n"
		"config LIB\n\ttristate\n"
		"config HEX\n\thex\n\tdefault 0x10\n"
		"config TEXT\n\tstring \"$(SRCARCH)\"\n"
		"config YES\n\tdef_bool \"$(ARCH)\" = \"x86_64\" && \"$(SRCARCH)\" != \"arm\"\n"
		"config LATER\n\tbool\n\ttransitional\n");
	_cleanup_kconfig_values_ struct kconfig_values *values = NULL;
	const struct kconfig_symbol *a = kconfig_find(tree, "CONFIG_A");
	const struct kconfig_symbol *lib = kconfig_find(tree, "CONFIG_LIB");

	assert_null(kconfig_find(tree, "CONFIG_NOT_ONE"));
	assert_null(kconfig_find(tree, "CONFIG_OUTER"));
	assert_non_null(kconfig_find(tree, "LATER"));
	assert_int_equal(kconfig_type(kconfig_find(tree, "CONFIG_A")), KCONFIG_TRISTATE);
	assert_int_equal(kconfig_type(kconfig_find(tree, "CONFIG_NUMBER")), KCONFIG_INT);
	assert_int_equal(kconfig_type(kconfig_find(tree, "CONFIG_HEX")), KCONFIG_HEX);
	assert_int_equal(kconfig_type(kconfig_find(tree, "CONFIG_TEXT")), KCONFIG_STRING);
	assert_int_equal(kconfig_type(kconfig_find(tree, "CONFIG_YES")), KCONFIG_BOOL);
	assert_string_equal(kconfig_version(tree), "6.1.192");
	assert_depends(a->definitions, "(B || !C) && D != \"text\"");
	assert_depends(a->definitions->parent, "INNER");
	assert_depends(a->definitions->parent->parent, "OUTER");
	assert_null(lib->definitions->depends);
	assert_ptr_equal(lib->selected_by->node->symbol, a);
	assert_null(lib->selected_by->reverse);
	values = read_values(tree, "CONFIG_YES=y\n");
	assert_int_equal(
		kconfig_default_range(values, kconfig_find(tree, "CONFIG_YES")).low, KCONFIG_Y);
}

static void test_files(void **state _unused_)
{
	static const char *const pairs[] = {"Kconfig",
		"source \"arch/$(SRCARCH)/Kconfig\"\nif X\nsource \"lib/Kconfig\"\nendif\n",
		"arch/x86/Kconfig", "config X\n\tbool", "lib/Kconfig", "config L\n\tbool\n", NULL};
	_cleanup_kconfig_ struct kconfig *tree = NULL;
	struct caisson_error err = {0};

	assert_ok(read_files(pairs, &tree, &err), &err);
	assert_depends(kconfig_find(tree, "CONFIG_L")->definitions->parent, "X");
}

/* Whatever it is: a sentence with the place, and no crash. */
static void test_hostile(void **state _unused_)
{
	static const char *const cases[] = {"source \"Kconfig\"\n", "source \"gone\"\n",
		"menu \"A\"\n", "endmenu\n", "if A\nendmenu\n", "config\n", "config A B\n",
		"config \"A\"\n", "depends on A\n", "config A\n\tdepends A\n",
		"config A\n\tdepends on\n", "config A\n\tdepends on (B\n",
		"config A\n\tdepends on B C\n", "config A\n\tdepends on B && && C\n",
		"config A\n\tselect\n", "source\n", "source $(shell,x)\n", "config A\n\tdefault\n",
		"\"A\"\n", "config A\n\tdepends on $(cc-option,-m\n", "config A\n\trange 1\n"};
	_cleanup_strbuf_ struct strbuf deep = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(cases) + 3; i++) {
		const char *pairs[] = {"Kconfig", i < ARRAY_SIZE(cases) ? cases[i] : NULL, NULL};
		_cleanup_kconfig_ struct kconfig *tree = NULL;
		struct caisson_error err = {0};

		strbuf_clear(&deep);
		if (i == ARRAY_SIZE(cases))
			strbuf_add_string(&deep, "config A\n\tdepends on ");
		for (int k = 0; k < 5000 && i >= ARRAY_SIZE(cases); k++)
			strbuf_add_string(&deep, i == ARRAY_SIZE(cases)       ? "!("
						 : i == ARRAY_SIZE(cases) + 1 ? "if A\n"
									      : "A ");
		if (pairs[1] == NULL)
			pairs[1] = deep.data;
		if (read_files(pairs, &tree, &err) == 0)
			fail_msg("taken: %.60s", pairs[1]);
		assert_int_not_equal(err.message[0], '\0');
		assert_null(tree);
	}
}

static void write_below(const char *folder, const char *name, const char *text)
{
	_cleanup_free_ char *path = path_join(folder, name);
	struct caisson_error err = {0};

	assert_ok(write_file_atomic(path, text, strlen(text), 0644, &err), &err);
}

/* Nothing outside the folder is read, and nothing that is no file. */
static void test_folder(void **state)
{
	static const char makefile[] =
		"# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 0\nEXTRAVERSION = -rc3\n";
	static const char *const sources[] = {
		"../outside", "/etc/passwd", "link", "fifo", "folder"};
	_cleanup_free_ char *folder = path_join(*state, "source");
	_cleanup_free_ char *link = NULL, *fifo = NULL, *sub = NULL;
	_cleanup_kconfig_ struct kconfig *tree = NULL;
	struct caisson_error err = {0};

	assert_ok(make_directories(folder, 0755, &err), &err);
	link = path_join(folder, "link");
	fifo = path_join(folder, "fifo");
	sub = path_join(folder, "folder");
	write_below(*state, "outside", "config A\n\tbool\n");
	assert_int_equal(symlink("../outside", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_refused(kconfig_open(folder, &tree, &err), &err, EINVAL);
	assert_non_null(strstr(err.message, "is not the source of a Linux kernel"));
	write_below(folder, "Makefile", "all:\n\ttrue\n");
	assert_refused(kconfig_open(folder, &tree, &err), &err, EINVAL);
	write_below(folder, "Makefile", makefile);
	assert_refused(kconfig_open(folder, &tree, &err), &err, ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		_cleanup_free_ char *text = format_string("source \"%s\"\n", sources[i]);

		write_below(folder, "Kconfig", text);
		assert_true(kconfig_open(folder, &tree, &err) < 0);
		assert_non_null(strstr(err.message, "Kconfig:1"));
	}
	write_below(folder, "Kconfig", "config A\n\tbool\n");
	assert_ok(kconfig_open(folder, &tree, &err), &err);
	assert_string_equal(kconfig_version(tree), "6.12.0-rc3");
}

static const char disks[] =
	"config MODULES\n\tbool \"Modules\"\n\tmodules\n"
	"config EXPERT\n\tbool \"Expert\"\n"
	"menuconfig MD\n\tbool \"Disks\"\n\tdepends on BLOCK\n"
	"config BLOCK\n\tdef_bool y\n"
	"if MD\n"
	"config DM\n\ttristate \"Mapper\"\n\tselect DAX\n"
	"config DM_CRYPT\n\ttristate \"Crypt\"\n\tdepends on DM\n"
	"\tselect CRYPTO_LIB\n"
	"endif\n"
	"config DAX\n\ttristate\n"
	"config CRYPTO_LIB\n\ttristate\n\tselect CRYPTO_MORE\n"
	"config CRYPTO_MORE\n\ttristate\n"
	"choice\n\tprompt \"Allocator\"\n\tdefault SLUB\n"
	"config SLAB\n\tbool \"SLAB\"\n"
	"config SLUB\n\tbool \"SLUB\" if BLOCK\n"
	"config SLOB\n\tbool \"SLOB\"\n\tdepends on EXPERT\n"
	"endchoice\n"
	"config MULTI\n\tbool \"Users\" if EXPERT\n\tdefault y\n"
	"config QUIET\n\tbool \"Quiet\" if EXPERT\n"
	"config LONE\n\tbool\n"
	"config CC_CAN\n\tdef_bool $(cc-option,-mfoo)\n"
	"config FOO\n\tbool \"Foo\"\n\tdepends on CC_CAN\n"
	"config BAR\n\tbool \"Bar\"\n\tdepends on $(cc-option,-mbar)\n"
	"config SIG\n\tbool \"Signatures\"\n\tdepends on MODULES\n"
	"config ONLY_M\n\ttristate \"A module\"\n\tdepends on m\n"
	"config OTHERS\n\tbool \"Others\"\n\tdepends on ARM || DM || (FOO && MD)\n"
	"config ARMS\n\tbool \"Arms\"\n\tdepends on ARM || MD\n"
	"config NOT_MD\n\tbool \"Not\"\n\tdepends on !MD\n"
	"config FAST\n\tdef_bool EXPERT && BLOCK\n"
	"config CPUS\n\tint \"Processors\" if EXPERT\n\trange 1 64\n\tdefault 8\n"
	"config SIZE\n\tint \"Size\"\n\trange 1 64\n\tdefault 8\n"
	"config NAME\n\tstring \"Name\"\n"
	"config LOOP_A\n\tbool \"A\"\n\tdepends on LOOP_B\n"
	"config LOOP_B\n\tbool \"B\"\n\tdepends on LOOP_A\n";

static void test_nearest(void **state _unused_)
{
	static const struct {
		const char *option, *nearest;
	} cases[] = {
		{"CONFIG_DM_CRPYT", "DM_CRYPT"},
		{"CONFIG_DM_CRYPTO", "DM_CRYPT"},
		{"DM_CRYP", "DM_CRYPT"},
		{"CONFIG_MULTY", "MULTI"},
		{"CONFIG_", NULL},
		{"CONFIG_SOMETHING_ELSE", NULL},
	};
	_cleanup_kconfig_ struct kconfig *tree = read_one(disks);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct kconfig_symbol *nearest = kconfig_nearest(tree, cases[i].option);

		assert_int_equal(nearest != NULL, cases[i].nearest != NULL);
		if (nearest != NULL)
			assert_string_equal(kconfig_name(nearest), cases[i].nearest);
	}
}

static void test_explain(void **state _unused_)
{
	static const struct {
		const char *option, *wanted, *why;
	} cases[] = {
		{"CONFIG_NONE", "y", "does not exist in 6.1.192"},
		{"CONFIG_NONE", "n", ""},
		{"CONFIG_BLOCK", "y", ""},
		{"CONFIG_MD", "y", "nothing stands against it: it was not asked for"},
		{"CONFIG_DM", "y", "needs CONFIG_MD, which is not set"},
		{"CONFIG_DM_CRYPT", "y",
			"needs CONFIG_DM, which needs CONFIG_MD, which is not set"},
		{"CONFIG_DAX", "y", "has no prompt: set by CONFIG_DM's select"},
		{"CONFIG_LONE", "y", "has no prompt, and nothing selects it"},
		{"CONFIG_SLAB", "y", "another member of the choice is set: CONFIG_SLUB"},
		{"CONFIG_SLOB", "y", "needs CONFIG_EXPERT, which is not set"},
		{"CONFIG_SLUB", "n",
			"one member of its choice \"Allocator\" has to be set: ask for another"},
		{"CONFIG_MULTI", "n",
			"is on by default, and can be turned off only with CONFIG_EXPERT, which is not "
			"set"},
		{"CONFIG_QUIET", "y", "can be set only with CONFIG_EXPERT, which is not set"},
		{"CONFIG_CC_CAN", "y",
			"has no prompt: it says what the compiler or a tool can do "
			"($(cc-option,-mfoo))"},
		{"CONFIG_FOO", "y",
			"needs CONFIG_CC_CAN, which says what the compiler or a tool can do "
			"($(cc-option,-mfoo))"},
		{"CONFIG_BAR", "y", "needs something that the compiler or a tool cannot do"},
		{"CONFIG_SIG", "y", "needs CONFIG_MODULES, which is not set"},
		{"CONFIG_ONLY_M", "y", "needs modules, and CONFIG_MODULES is not set"},
		{"CONFIG_OTHERS", "y",
			"needs CONFIG_DM or CONFIG_FOO with CONFIG_MD, and neither is so"},
		{"CONFIG_ARMS", "y", "needs CONFIG_MD, which is not set"},
		{"CONFIG_FAST", "y",
			"has no prompt: it comes with CONFIG_EXPERT, which is not set"},
		{"CONFIG_CPUS", "16", "can be set only with CONFIG_EXPERT, which is not set"},
		{"CONFIG_CPUS", "8", ""},
		{"CONFIG_SIZE", "65", "65 is not in the range 1 to 64"},
		{"CONFIG_SIZE", "\"x\"", "takes a number, and not \"x\""},
		{"CONFIG_NAME", "\"a\"", "is \"b\", and not \"a\""},
		{"CONFIG_NAME", "\"b\"", ""},
		{"CONFIG_BLOCK", "n", "has no prompt: it is on by itself"},
		{"CONFIG_BLOCK", "64", "is y or not set, and cannot be 64"},
		{"CONFIG_LOOP_A", "y",
			"needs CONFIG_LOOP_B, which needs CONFIG_LOOP_A, which needs CONFIG_LOOP_B, which "
			"needs CONFIG_LOOP_A, which needs CONFIG_LOOP_B, which needs CONFIG_LOOP_A, "
			"which needs CONFIG_LOOP_B, which needs CONFIG_LOOP_A, which is not set"},
	};
	_cleanup_kconfig_ struct kconfig *tree = read_one(disks);
	_cleanup_kconfig_values_ struct kconfig_values *values =
		read_values(tree, "# CONFIG_MODULES is not set\nCONFIG_BLOCK=y\nCONFIG_SLUB=y\n"
				  "# CONFIG_SLAB is not set\nCONFIG_MULTI=y\nCONFIG_CPUS=8\n"
				  "CONFIG_SIZE=8\nCONFIG_NAME=\"b\"\n");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_explained(values, cases[i].option, cases[i].wanted, cases[i].why);
}

static void test_explain_set(void **state _unused_)
{
	static const struct {
		const char *option, *wanted, *why;
	} cases[] = {
		{"CONFIG_DAX", "n",
			"was set by CONFIG_DM's select although \"# CONFIG_DAX is not set\" was asked"},
		{"CONFIG_CRYPTO_MORE", "n",
			"was set by CONFIG_CRYPTO_LIB's select, and that by CONFIG_DM_CRYPT's select "
			"although \"# CONFIG_CRYPTO_MORE is not set\" was asked"},
		{"CONFIG_NOT_MD", "y", "needs CONFIG_MD off, and it is y"},
		{"CONFIG_DM", "m", ""},
		{"CONFIG_DM_CRYPT", "m", ""},
		{"CONFIG_DM_CRYPT", "y", "needs CONFIG_DM, which is a module"},
		{"CONFIG_DM", "n", "is on, although it can be turned off: it was not asked for"},
	};
	_cleanup_kconfig_ struct kconfig *tree = read_one(disks);
	_cleanup_kconfig_values_ struct kconfig_values *values =
		read_values(tree, "CONFIG_MODULES=y\nCONFIG_BLOCK=y\nCONFIG_MD=y\nCONFIG_DM=m\n"
				  "CONFIG_DM_CRYPT=m\nCONFIG_DAX=m\nCONFIG_CRYPTO_LIB=m\n"
				  "CONFIG_CRYPTO_MORE=m\nCONFIG_SLUB=y\n");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_explained(values, cases[i].option, cases[i].wanted, cases[i].why);
	assert_true(kconfig_is_asked(values, kconfig_find(tree, "CONFIG_DM")));
	assert_false(kconfig_is_asked(values, kconfig_find(tree, "CONFIG_DAX")));
	assert_true(kconfig_is_selected(values, kconfig_find(tree, "CONFIG_DAX")));
	assert_false(kconfig_is_selected(values, kconfig_find(tree, "CONFIG_DM")));
}

/* Documentation/kbuild/kconfig-language.rst, "Menu dependencies". */
static void test_expressions(void **state _unused_)
{
	static const struct {
		const char *expr;
		char low, high;
	} cases[] = {{"Y", 'y', 'y'}, {"M", 'm', 'm'}, {"N", 'n', 'n'}, {"!M", 'm', 'm'},
		{"!N", 'y', 'y'}, {"Y && M", 'm', 'm'}, {"N || M", 'm', 'm'}, {"M && !M", 'm', 'm'},
		{"N && Y || Y", 'y', 'y'}, {"N && (Y || Y)", 'n', 'n'}, {"!N && N", 'n', 'n'},
		{"M = m", 'y', 'y'}, {"M != m", 'n', 'n'}, {"M != n && Y", 'y', 'y'},
		{"INT = 10", 'y', 'y'}, {"INT < 9", 'n', 'n'}, {"INT > 9", 'y', 'y'},
		{"INT >= 10", 'y', 'y'}, {"INT <= 9", 'n', 'n'}, {"HEX > 0xf", 'y', 'y'},
		{"TEXT = \"x y\"", 'y', 'y'}, {"TEXT != ''", 'y', 'y'}, {"GONE", 'n', 'n'},
		{"GONE = n", 'n', 'n'}, {"$(cc-option,-m)", 'n', 'y'},
		{"$(cc-option,-m) && N", 'n', 'n'}, {"$(cc-option,-m) || Y", 'y', 'y'},
		{"!$(cc-option,-m) && M", 'n', 'm'}, {"\"$(CC)\" = \"gcc\"", 'n', 'y'},
		{"m", 'm', 'm'}, {"y", 'y', 'y'}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = format_string(
			"config MODULES\n\tbool \"M\"\n\tmodules\nconfig Y\n\tbool\nconfig M\n"
			"\ttristate\nconfig N\n\tbool\nconfig INT\n\tint\nconfig HEX\n\thex\n"
			"config TEXT\n\tstring\nconfig A\n\ttristate \"A\"\n\tdepends on %s\n",
			cases[i].expr);
		_cleanup_kconfig_ struct kconfig *tree = read_one(text);
		_cleanup_kconfig_values_ struct kconfig_values *values = read_values(tree,
			"CONFIG_MODULES=y\nCONFIG_Y=y\nCONFIG_M=m\nCONFIG_INT=10\n"
			"CONFIG_HEX=0x10\nCONFIG_TEXT=\"x y\"\n");
		struct kconfig_range range =
			kconfig_depends_range(values, kconfig_find(tree, "CONFIG_A"));

		if ("nmy"[range.low] != cases[i].low || "nmy"[range.high] != cases[i].high)
			fail_msg(
				"%s: %c to %c", cases[i].expr, "nmy"[range.low], "nmy"[range.high]);
	}
}

static void test_lines(void **state _unused_)
{
	static const char text[] = "CONFIG_A=y\r\n# CONFIG_B is not set\n# a comment\n\n"
				   "CONFIG_C=\"a b\"\nnonsense\nCONFIG_=y\nCONFIG_D=\n# CONFIG_E";
	static const struct {
		int r;
		const char *option, *value;
	} lines[] = {{1, "CONFIG_A", "y"}, {1, "CONFIG_B", "n"}, {1, NULL, NULL}, {1, NULL, NULL},
		{1, "CONFIG_C", "\"a b\""}, {-EINVAL, NULL, NULL}, {-EINVAL, NULL, NULL},
		{1, "CONFIG_D", ""}, {1, NULL, NULL}, {0, NULL, NULL}};
	struct config_reader reader = config_reader(text, strlen(text));

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct config_line line;

		assert_int_equal(config_line_next(&reader, &line), lines[i].r);
		if (lines[i].r <= 0)
			continue;
		assert_int_equal(line.number, i + 1);
		assert_int_equal(line.option != NULL, lines[i].option != NULL);
		if (line.option == NULL)
			continue;
		assert_int_equal(line.option_size, strlen(lines[i].option));
		assert_memory_equal(line.option, lines[i].option, line.option_size);
		assert_int_equal(line.value_size, strlen(lines[i].value));
		assert_memory_equal(line.value, lines[i].value, line.value_size);
	}
}

static void test_wanted(void **state)
{
	_cleanup_free_ char *first = path_join(*state, "first.config");
	_cleanup_free_ char *second = path_join(*state, "second.config");
	_cleanup_strv_ struct strv files = STRV_INIT;
	_cleanup_wanted_ struct wanted wanted = WANTED_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, merged = STRBUF_INIT;
	static const char base[] = "CONFIG_A=m\nCONFIG_Z=y\n# CONFIG_B is not set\n# words\n";
	struct caisson_error err = {0};

	write_below(*state, "first.config",
		"CONFIG_A=y\nCONFIG_B=y\n\n#: build: new\n#: since 6.5\nCONFIG_NEW=y\n");
	write_below(*state, "second.config", "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=64\n");
	strv_add(&files, first);
	strv_add(&files, second);
	assert_ok(wanted_init(&wanted, NULL, &files, KERNEL_VERSION(6, 1), &err), &err);
	wanted_write(&wanted, &text);
	assert_string_equal(text.data, "\n# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=64\n");
	wanted_merge(&wanted, base, strlen(base), &merged);
	assert_string_equal(
		merged.data, "CONFIG_Z=y\n\n# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=64\n");
	assert_ptr_equal(wanted.items[0].overridden, wanted_find(&wanted, "CONFIG_A"));
	assert_true(wanted.items[1].again);
	assert_null(wanted_find(&wanted, "CONFIG_NEW"));
	strv_add(&files, "/nonexistent");
	wanted_done(&wanted);
	assert_refused(wanted_init(&wanted, NULL, &files, 0, &err), &err, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_explain_set),
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_wanted),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
