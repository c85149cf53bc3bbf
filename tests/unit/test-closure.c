/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Closures: of private roots, of the running system (the loader is the judge), of built traps. */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/process.h"
#include "closure/closure.h"
#include "elf-fixture.h"
#include "elf/reader.h"
#include "root-fixture.h"

/* ---- private roots, of another machine ---- */

/* "PATH", "PATH -> TARGET" and so on, one a line. */
static char *list(struct closure *closure, bool rules)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	size_t count;
	const struct closure_entry *entries = closure_entries(closure, &count);

	for (size_t i = 0; i < count; i++) {
		const struct closure_entry *entry = &entries[i];

		strbuf_add_string(&text, entry->path);
		if (entry->kind == CLOSURE_SYMLINK)
			strbuf_add_format(&text, " -> %s", entry->target);
		else if (entry->kind == CLOSURE_FILE)
			assert_int_equal(access(entry->source, R_OK), 0);
		if (rules)
			strbuf_add_format(&text, " (%s)", entry->rule);
		strbuf_add_char(&text, '\n');
	}
	strbuf_add(&text, "", 0);
	return strbuf_take(&text);
}

static int close_over(
	const char *root, const char *program, char **ret_list, struct caisson_error *err)
{
	_cleanup_(closure_freep) struct closure *closure = NULL;
	size_t count;
	int r;

	assert_ok(
		closure_new(&closure,
			&(struct closure_options){.root = root, .dlopen = CLOSURE_DLOPEN_REQUIRED},
			err),
		err);
	r = closure_add_program(closure, program, err);
	if (r < 0)
		assert_true(closure_entries(closure, &count) == NULL || count == 0);
	else if (ret_list != NULL)
		*ret_list = list(closure, false);
	return r;
}

static void test_root(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "root"), *listed = NULL;
	_cleanup_(closure_freep) struct closure *closure = NULL;
	const struct closure_entry *entries;
	struct caisson_error err = {0};
	size_t count;

	put_link(root, "bin", "/usr/bin");
	put_link(root, "usr/bin/tool", "/opt/tool/bin/tool-1");
	put_elf(root, "opt/tool/bin/tool-1",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"libfoo.so.1", "libc.so.6"},
			.runpath = "$ORIGIN/../lib"});
	put_link(root, "opt/tool/lib", "/../../../../usr/lib/tool");
	put_link(root, "usr/lib/tool/libfoo.so.1", "libfoo.so.1.2");
	put_elf(root, "usr/lib/tool/libfoo.so.1.2",
		&(struct elf_fixture){.soname = "libfoo.so.1", .needed = {"libc.so.6"}});

	assert_ok(
		closure_new(&closure,
			&(struct closure_options){.root = root, .dlopen = CLOSURE_DLOPEN_REQUIRED},
			&err),
		&err);
	assert_ok(closure_add_program(closure, "/bin/tool", &err), &err);
	assert_ok(closure_add_program(closure, "/bin/tool", &err), &err);
	listed = list(closure, true);
	assert_string_equal(listed, "/bin -> /usr/bin (program)\n"
				    "/lib -> usr/lib (interpreter)\n"
				    "/opt/tool/bin/tool-1 (program)\n"
				    "/opt/tool/lib -> /../../../../usr/lib/tool (runpath)\n"
				    "/usr/bin/tool -> /opt/tool/bin/tool-1 (program)\n"
				    "/usr/lib/ld-linux-aarch64.so.1 (interpreter)\n"
				    "/usr/lib/libc.so.6 (default folder)\n"
				    "/usr/lib/tool/libfoo.so.1 -> libfoo.so.1.2 (runpath)\n"
				    "/usr/lib/tool/libfoo.so.1.2 (runpath)\n");
	entries = closure_entries(closure, &count);
	assert_int_equal(entries[2].mode, 0755);
	assert_true(entries[2].size > 0);
	assert_null(entries[2].wanted_by);
	assert_string_equal(entries[8].wanted_by, "/opt/tool/bin/tool-1");
}

static void test_root_refuses(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "hostile"), *fifo = NULL, *library = NULL;
	struct caisson_error err = {0};

	put_link(root, "loop/a", "b");
	put_link(root, "loop/b", "/loop/a");
	put_link(root, "outside", "../../../../../../../../etc/passwd");
	put(root, "text", "hello", 5);
	fifo = path_join(root, "fifo");
	assert_int_equal(mkfifo(fifo, 0644), 0);
	assert_refused(close_over(root, "/loop/a", NULL, &err), &err, ELOOP);
	assert_refused(close_over(root, "/outside", NULL, &err), &err, ENOENT);
	assert_refused(close_over(root, "/text", NULL, &err), &err, ENOEXEC);
	assert_refused(close_over(root, "/text/", NULL, &err), &err, ENOTDIR);
	assert_refused(close_over(root, "/fifo", NULL, &err), &err, ENOEXEC);
	assert_refused(close_over(root, "/lib", NULL, &err), &err, ENOEXEC);
	assert_refused(close_over(root, "text", NULL, &err), &err, EINVAL);
	assert_refused(close_over(root, "/none", NULL, &err), &err, ENOENT);

	/* The same things as libraries. */
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER, .needed = {"libfifo.so"}});
	library = path_join(root, "usr/lib/libfifo.so");
	assert_int_equal(mkfifo(library, 0644), 0);
	assert_refused(close_over(root, "/prog", NULL, &err), &err, ENOEXEC);
	assert_int_equal(unlink(library), 0);
	put_link(root, "usr/lib/libfifo.so", "libfifo.so");
	assert_refused(close_over(root, "/prog", NULL, &err), &err, ENOENT);
	assert_non_null(strstr(err.message, "libfifo.so, which /prog needs"));
	put_elf(root, "prog2", &(struct elf_fixture){.interpreter = "/lib/none"});
	assert_refused(close_over(root, "/prog2", NULL, &err), &err, ENOENT);
	assert_non_null(strstr(err.message, "/lib/none, the interpreter of /prog2"));
}

/* A library of another class or machine earlier in the path is passed over; a broken one is not. */
static void test_wrong_class(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "classes"), *listed = NULL;
	struct caisson_error err = {0};

	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"libx.so"},
			.runpath = "/w32:/other:/right"});
	put_elf(root, "w32/libx.so", &(struct elf_fixture){.bits = 32, .machine = EM_ARM});
	put_elf(root, "other/libx.so", &(struct elf_fixture){.machine = EM_X86_64});
	put_elf(root, "right/libx.so", &(struct elf_fixture){.soname = "libx.so"});
	assert_ok(close_over(root, "/prog", &listed, &err), &err);
	assert_string_equal(listed, "/lib -> usr/lib\n/prog\n/right/libx.so\n"
				    "/usr/lib/ld-linux-aarch64.so.1\n");
	put(root, "other/libx.so", "\177ELF", 4);
	assert_refused(close_over(root, "/prog", NULL, &err), &err, ENOEXEC);
	assert_non_null(strstr(err.message, "needed by /prog: /other/libx.so"));
}

/* The first library with a soname answers to it, however the others are called. */
static void test_order(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "order"), *listed = NULL;
	struct caisson_error err = {0};

	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"/a/liba.so", "libb.so"},
			.auxiliary = "libnone.so",
			.runpath = "/b"});
	put_elf(root, "a/liba.so", &(struct elf_fixture){.soname = "libdeep.so"});
	put_elf(root, "b/libb.so", &(struct elf_fixture){.needed = {"libdeep.so", "libb.so"}});
	assert_ok(close_over(root, "/prog", &listed, &err), &err);
	assert_string_equal(listed, "/a/liba.so\n/b/libb.so\n/lib -> usr/lib\n/prog\n"
				    "/usr/lib/ld-linux-aarch64.so.1\n");
}

/* DT_RPATH holds for requests further down, through a library that has none of its own, and not
   through one that has a DT_RUNPATH; musl hands either down. */
static void test_rpath_chain(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "chain"), *glibc = NULL, *musl = NULL;
	const char *musl_loader = "/lib/ld-musl-aarch64.so.1";
	struct caisson_error err = {0};

	put_elf(root, "usr/lib/ld-musl-aarch64.so.1", &(struct elf_fixture){.soname = "x"});
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER, .needed = {"/a/liba.so"}});
	put_elf(root, "a/liba.so",
		&(struct elf_fixture){.needed = {"libmiddle.so"}, .rpath = "/none:$ORIGIN/x/"});
	put_elf(root, "a/x/libmiddle.so", &(struct elf_fixture){.needed = {"libb.so"}});
	put_elf(root, "a/x/libb.so", &(struct elf_fixture){.soname = "libb.so"});
	assert_ok(close_over(root, "/prog", &glibc, &err), &err);
	assert_non_null(strstr(glibc, "/a/x/libb.so\n"));
	put_elf(root, "a/x/libmiddle.so",
		&(struct elf_fixture){.needed = {"libb.so"}, .runpath = "/none"});
	assert_refused(close_over(root, "/prog", NULL, &err), &err, ENOENT);
	assert_string_equal(err.message, "libb.so, which /a/x/libmiddle.so needs, was not found");
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = musl_loader, .needed = {"/a/liba.so"}});
	assert_ok(close_over(root, "/prog", &musl, &err), &err);
	assert_non_null(strstr(musl, "/a/x/libb.so\n"));
}

static void test_cancellation(void **state)
{
	_cleanup_free_ char *root = make_root(*state, "threads"), *listed = NULL, *without = NULL;
	struct caisson_error err = {0};

	put_elf(root, "prog",
		&(struct elf_fixture){
			.interpreter = AARCH64_LOADER, .needed = {"libargon2.so.1", "libc.so.6"}});
	put_elf(root, "usr/lib/libargon2.so.1",
		&(struct elf_fixture){.import = "pthread_exit", .needed = {"libc.so.6"}});
	assert_refused(close_over(root, "/prog", NULL, &err), &err, ENOENT);
	assert_string_equal(err.message, "libgcc_s.so.1, which /lib/libc.so.6 needs to end or "
					 "cancel a thread, was not found");
	put_elf(root, "usr/lib/libgcc_s.so.1", &(struct elf_fixture){.needed = {"libextra.so"}});
	put_elf(root, "usr/lib/libextra.so", &(struct elf_fixture){.needed = {"libc.so.6"}});
	assert_ok(close_over(root, "/prog", &listed, &err), &err);
	assert_non_null(strstr(listed, "/usr/lib/libgcc_s.so.1\n"));
	assert_non_null(strstr(listed, "/usr/lib/libextra.so\n"));
	/* Another symbol does not want it. */
	put_elf(root, "usr/lib/libargon2.so.1",
		&(struct elf_fixture){.import = "pthread_create", .needed = {"libc.so.6"}});
	assert_ok(close_over(root, "/prog", &without, &err), &err);
	assert_null(strstr(without, "libgcc_s"));
}

/* ---- the running system, with its loader as the judge ---- */

static void add_real(struct strv *set, const char *path)
{
	char real[PATH_MAX];

	assert_non_null(realpath(path, real));
	if (!strv_contains(set, real))
		strv_add(set, real);
}

/* What ld.so prints: "NAME => PATH (0x...)" and "PATH (0x...)"; false when something is not found.
 */
static bool parse_loader(char *text, struct strv *set)
{
	bool whole = true;

	for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
		char *arrow = strstr(line, " => "), *path, *end;

		path = arrow != NULL ? arrow + 4 : line + strspn(line, "\t ");
		whole = whole && strstr(line, "not found") == NULL;
		end = strstr(path, " (0x");
		if (path[0] != '/' || end == NULL)
			continue;
		*end = '\0';
		add_real(set, path);
	}
	return whole;
}

/* @trace: by starting the program under LD_TRACE_LOADED_OBJECTS, as $ORIGIN is then the real one.
 */
static bool ask_loader(const char *program, const char *interpreter, bool trace, struct strv *set)
{
	const char *const list_it[] = {interpreter, "--list", program, NULL};
	const char *const trace_it[] = {"env", "LD_TRACE_LOADED_OBJECTS=1", program, NULL};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct caisson_error err = {0};

	if (process_run(trace ? trace_it : list_it, NULL, &output, &err) < 0 || output.size == 0)
		return false;
	add_real(set, program);
	add_real(set, interpreter);
	return parse_loader(output.data, set);
}

/* The files of a closure; without those that only the table of dlopen.c and the loader's
   configuration add. */
static bool ask_closure(
	const char *program, bool dlopened, struct strv *set, struct caisson_error *err)
{
	_cleanup_(closure_freep) struct closure *closure = NULL;
	const struct closure_entry *entries;
	size_t count;

	assert_ok(closure_new(&closure,
			  &(struct closure_options){.dlopen = CLOSURE_DLOPEN_REQUIRED}, err),
		err);
	if (closure_add_program(closure, program, err) < 0)
		return false;
	entries = closure_entries(closure, &count);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			assert_true(strcmp(entries[i - 1].path, entries[i].path) < 0);
		if (entries[i].kind == CLOSURE_FILE &&
			strcmp(entries[i].rule, "configuration") != 0 &&
			(dlopened || strcmp(entries[i].rule, "dlopen") != 0))
			strv_add(set, entries[i].path);
	}
	return true;
}

static bool same_set(struct strv *a, struct strv *b)
{
	strv_sort(a);
	strv_sort(b);
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	}
	return true;
}

/* @whole and @wanted are what the loader says. */
static bool closure_agrees(const char *program, bool whole, struct strv *wanted)
{
	_cleanup_strv_ struct strv got = STRV_INIT;
	struct caisson_error err = {0};
	bool closed = ask_closure(program, false, &got, &err);
	bool same;

	if (!closed || !whole) {
		/* Both have to say that something is missing. */
		if (closed != whole)
			print_message("# %s: ld.so is %s, the closure: %s\n", program,
				whole ? "content" : "not", err.message);
		return closed == whole;
	}
	same = same_set(wanted, &got);
	for (size_t i = 0; !same && i < wanted->count; i++)
		print_message("# %s: ld.so %s\n", program, wanted->items[i]);
	for (size_t i = 0; !same && i < got.count; i++)
		print_message("# %s: closure %s\n", program, got.items[i]);
	return same;
}

/* The interpreter of a program; NULL for what is no dynamic program of glibc's. */
static char *interpreter_of(const char *path)
{
	_cleanup_(elf_file_done) struct elf_file file = ELF_FILE_NONE;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct elf_input input = {.fd = fd, .name = path};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	input.size = (uint64_t)st.st_size;
	if (elf_read(&input, NULL, &file, NULL) < 0 || file.interpreter == NULL ||
		strstr(file.interpreter, "ld-linux") == NULL)
		return NULL;
	return strdup(file.interpreter);
}

static void test_cryptsetup(void **state _unused_)
{
	_cleanup_free_ char *interpreter = interpreter_of("/usr/sbin/cryptsetup");
	_cleanup_strv_ struct strv wanted = STRV_INIT, got = STRV_INIT;
	struct caisson_error err = {0};
	bool unwinder = false;

	if (interpreter == NULL)
		leave_out("no dynamic /usr/sbin/cryptsetup (Debian: cryptsetup-bin)");
	assert_true(ask_loader("/usr/sbin/cryptsetup", interpreter, false, &wanted));
	assert_true(wanted.count > 5);
	assert_true(ask_closure("/usr/sbin/cryptsetup", true, &got, &err));
	for (size_t i = 0; i < got.count; i++)
		unwinder = unwinder || strcmp(path_base(got.items[i]), "libgcc_s.so.1") == 0;
	assert_true(unwinder);
	for (size_t i = 0; i < got.count; i++) {
		if (strcmp(path_base(got.items[i]), "libgcc_s.so.1") == 0)
			add_real(&wanted, got.items[i]);
	}
	assert_true(same_set(&wanted, &got));
}

/* Programs for one shell to list: a process of ours each would take most of the test's time. */
struct batch {
	struct strv arguments; /* interpreter and program, in turn */
	size_t compared, different;
};

enum { BATCH_MOST = 64 };

static void compare_one(
	struct batch *batch, const char *interpreter, const char *program, char *text)
{
	_cleanup_strv_ struct strv wanted = STRV_INIT;
	bool whole;

	add_real(&wanted, program);
	add_real(&wanted, interpreter);
	whole = parse_loader(text, &wanted);
	batch->compared++;
	batch->different += closure_agrees(program, whole, &wanted) ? 0 : 1;
}

static void compare_batch(struct batch *batch)
{
	static const char script[] = "while test $# -gt 0; do \"$1\" --list \"$2\" 2>&1 || "
				     "echo not found; echo end; shift 2; done";
	const char *argv[4 + 2 * BATCH_MOST + 1] = {"sh", "-c", script, "sh"};
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	struct strv *arguments = &batch->arguments;
	struct caisson_error err = {0};
	char *text;

	for (size_t i = 0; i < arguments->count; i++)
		argv[4 + i] = arguments->items[i];
	assert_ok(process_run(argv, NULL, &output, &err), &err);
	text = output.data;
	for (size_t i = 0; i < arguments->count; i += 2) {
		char *end = strstr(text, "end\n");

		assert_non_null(end);
		*end = '\0';
		compare_one(batch, arguments->items[i], arguments->items[i + 1], text);
		text = end + 4;
	}
	strv_done(arguments);
	*arguments = STRV_INIT;
}

static void compare_folder(const char *folder, struct batch *batch)
{
	_cleanup_closedir_ DIR *dir = opendir(folder);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		_cleanup_free_ char *path = path_join(folder, entry->d_name), *interpreter = NULL;
		struct stat st;

		if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		interpreter = interpreter_of(path);
		if (interpreter == NULL)
			continue;
		strv_add(&batch->arguments, interpreter);
		strv_add(&batch->arguments, path);
		if (batch->arguments.count == (size_t)2 * BATCH_MOST)
			compare_batch(batch);
	}
	if (batch->arguments.count > 0)
		compare_batch(batch);
}

static void test_all_programs(void **state _unused_)
{
	struct batch batch = {.arguments = STRV_INIT};

	compare_folder("/usr/bin", &batch);
	compare_folder("/usr/sbin", &batch);
	print_message("# compared %zu programs with ld.so --list, %zu differ\n", batch.compared,
		batch.different);
	if (batch.compared == 0)
		leave_out("no program of glibc's in /usr/bin");
	assert_int_equal(batch.different, 0);
}

/* ---- programs built for the purpose ---- */

static int run_in(const char *folder, const char *command)
{
	_cleanup_free_ char *text = format_string("cd '%s' && %s", folder, command);
	const char *const argv[] = {"sh", "-c", text, NULL};
	struct caisson_error err = {0};
	int r = process_run(argv, NULL, NULL, &err);

	if (r < 0)
		print_message("# %s: %s\n", command, err.message);
	return r;
}

static bool have(const char *program)
{
	_cleanup_free_ char *path = NULL;

	if (program_find(program, &path, NULL) == 0)
		return true;
	print_message("# SKIP no %s\n", program);
	return false;
}

/*
 * Traps, each a program in a folder of its own that wants liba, which wants libb:
 *   runpath:  the program's RUNPATH is not for liba's requests, so libb is missing
 *   rpath:    its RPATH is, so libb is found
 *   hidden:   liba has a RUNPATH, which hides the program's RPATH: libb is missing
 *   origin:   $ORIGIN of a program that is reached through a link in another folder
 *   slash:    NEEDED with a slash
 *   tokens:   ${ORIGIN} and ${LIB} in a library's own RUNPATH
 */
static const char build_traps[] =
	"set -e\n"
	"for t in runpath rpath hidden origin slash tokens; do mkdir -p $t/lib $t/none; done\n"
	"echo 'int b(void){return 0;}' >b.c\n"
	"echo 'int b(void); int a(void){return b();}' >a.c\n"
	"echo 'int a(void); int main(void){return a();}' >m.c\n"
	"cc=\"gcc -fPIC\"; so='-shared -Wl,-soname'\n"
	"build() { # folder, flags of liba, flags of the program\n"
	"  test -f $1/lib/libb.so || $cc $so,libb.so -o $1/lib/libb.so b.c\n"
	"  $cc $so,liba.so $2 -o $1/lib/liba.so a.c -L$1/lib -lb\n"
	"  $cc $3 -o $1/prog m.c -L$1/lib -la -Wl,--allow-shlib-undefined\n"
	"}\n"
	"new='-Wl,--enable-new-dtags,-rpath,' old='-Wl,--disable-new-dtags,-rpath,'\n"
	"build runpath '' $new$PWD/runpath/lib\n"
	"build rpath '' $old$PWD/rpath/lib\n"
	"build hidden $new$PWD/hidden/none $old$PWD/hidden/lib\n"
	"build origin ${new}'$ORIGIN' ${new}'$ORIGIN/lib'\n"
	"mkdir -p links && ln -s ../origin/prog links/prog\n"
	"$cc -shared -o slash/lib/libb.so b.c\n"
	"$cc -shared -o slash/lib/liba.so a.c $PWD/slash/lib/libb.so\n"
	"$cc -o slash/prog m.c $PWD/slash/lib/liba.so\n"
	"$cc $so,libb.so -o tokens/lib/libb.so b.c\n"
	"build tokens ${new}'${ORIGIN}/../${LIB}:${ORIGIN}' ${new}'$ORIGIN/lib'\n";

static void test_traps(void **state)
{
	static const struct {
		const char *program;
		bool whole;
	} traps[] = {
		{"runpath/prog", false},
		{"rpath/prog", true},
		{"hidden/prog", false},
		{"origin/prog", true},
		{"links/prog", true},
		{"slash/prog", true},
		{"tokens/prog", true},
	};
	_cleanup_free_ char *folder = path_join(*state, "traps"), *interpreter = NULL;

	if (!have("gcc"))
		skip();
	assert_ok(make_directories(folder, 0755, NULL), &(struct caisson_error){0});
	assert_int_equal(run_in(folder, build_traps), 0);
	for (size_t i = 0; i < ARRAY_SIZE(traps); i++) {
		_cleanup_free_ char *program = path_join(folder, traps[i].program);
		_cleanup_free_ char *loader = interpreter_of(program);
		_cleanup_strv_ struct strv wanted = STRV_INIT, got = STRV_INIT;
		struct caisson_error err = {0};
		bool whole;

		assert_non_null(loader);
		whole = ask_loader(program, loader, true, &wanted);
		assert_int_equal(whole, traps[i].whole);
		assert_true(closure_agrees(program, whole, &wanted));
		assert_int_equal(ask_closure(program, false, &got, &err), traps[i].whole);
		if (!traps[i].whole) {
			assert_int_equal(err.code, ENOENT);
			assert_non_null(strstr(err.message, "libb.so, which "));
			assert_non_null(strstr(err.message, "/lib/liba.so needs"));
		}
	}
}

static void test_musl(void **state)
{
	static const char build[] =
		"set -e; mkdir -p musl/lib; cd musl\n"
		"echo 'int b(void){return 0;}' >b.c; echo 'int b(void); int main(void){return b();}' >m.c\n"
		"musl-gcc -shared -fPIC -o lib/libb.so b.c\n"
		"musl-gcc -o prog m.c -Llib -lb -Wl,-rpath,'$ORIGIN/lib'\n";
	_cleanup_free_ char *program = path_join(*state, "musl/prog"), *listed = NULL;
	struct caisson_error err = {0};

	if (!have("musl-gcc"))
		skip();
	assert_int_equal(run_in(*state, build), 0);
	assert_ok(close_over(NULL, program, &listed, &err), &err);
	assert_non_null(strstr(listed, "/musl/lib/libb.so\n"));
	assert_non_null(strstr(listed, "ld-musl-"));
	assert_non_null(strstr(listed, "linux-musl/libc.so\n"));
	assert_null(strstr(listed, "ld-linux"));
	assert_null(strstr(listed, ".path"));
}

static void test_musl_path_file(void **state)
{
	const struct elf_fixture loader = {.machine = EM_AARCH64, .soname = "ignored"};
	_cleanup_free_ char *root = path_join(*state, "musl-root"), *listed = NULL;
	struct caisson_error err = {0};

	put_elf(root, "opt/lib/ld-musl-aarch64.so.1", &loader);
	put(root, "opt/etc/ld-musl-aarch64.path", "/none\n/some:/more\n", 18);
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = "/opt/lib/ld-musl-aarch64.so.1",
			.needed = {"libx.so", "libc.so", "libm.so.6"}});
	put_elf(root, "more/libx.so", &(struct elf_fixture){.soname = "libother.so"});
	assert_ok(close_over(root, "/prog", &listed, &err), &err);
	assert_string_equal(listed, "/more/libx.so\n/opt/etc/ld-musl-aarch64.path\n"
				    "/opt/lib/ld-musl-aarch64.so.1\n/prog\n");
	/* The first of that name counts, fit or not. */
	put_elf(root, "some/libx.so", &(struct elf_fixture){.bits = 32, .machine = EM_ARM});
	assert_refused(close_over(root, "/prog", NULL, &err), &err, ENOEXEC);
}

static void test_static(void **state)
{
	_cleanup_free_ char *program = path_join(*state, "static"), *listed = NULL, *want = NULL;
	struct caisson_error err = {0};

	if (!have("gcc"))
		skip();
	assert_int_equal(
		run_in(*state,
			"echo 'int main(void){return 0;}' >s.c && gcc -static -o static s.c"),
		0);
	assert_ok(close_over(NULL, program, &listed, &err), &err);
	want = format_string("%s\n", program);
	assert_string_equal(listed, want);
}

/* A library that only the cache knows where to find: the cache is listed then. */
static void test_cache_in_root(void **state)
{
	static const struct cache_fixture entries[] = {
		{"libdefault.so", "/lib/libdefault.so", 0xa03, 0},
		{"libcached.so", "/opt/cached/libcached.so", 0xa03, 0},
		{"libabi.so", "/opt/other/libabi.so", 0x303, 0},
	};
	_cleanup_free_ char *root = make_root(*state, "cached"), *without = NULL, *with = NULL;
	_cleanup_(cache_done) struct cache cache = make_cache(entries, 3, false, false);
	struct caisson_error err = {0};

	put(root, "etc/ld.so.cache", cache.data, cache.size);
	put_elf(root, "usr/lib/libdefault.so", &(struct elf_fixture){.soname = "a"});
	put_elf(root, "opt/cached/libcached.so", &(struct elf_fixture){.soname = "b"});
	put_elf(root, "opt/other/libabi.so", &(struct elf_fixture){.soname = "c"});
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER, .needed = {"libdefault.so"}});
	assert_ok(close_over(root, "/prog", &without, &err), &err);
	assert_null(strstr(without, "/etc/ld.so.cache"));
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"libdefault.so", "libcached.so"}});
	assert_ok(close_over(root, "/prog", &with, &err), &err);
	assert_string_equal(with, "/etc/ld.so.cache\n/lib -> usr/lib\n"
				  "/opt/cached/libcached.so\n/prog\n"
				  "/usr/lib/ld-linux-aarch64.so.1\n/usr/lib/libdefault.so\n");
	/* DF_1_NODEFLIB keeps out of the loader's folders, and of the cache's entries there. */
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER,
			.needed = {"libdefault.so"},
			.flags_1 = DF_1_NODEFLIB});
	assert_refused(close_over(root, "/prog", NULL, &err), &err, ENOENT);
	/* An entry of another ABI is none. */
	put_elf(root, "prog",
		&(struct elf_fixture){.interpreter = AARCH64_LOADER, .needed = {"libabi.so"}});
	assert_refused(close_over(root, "/prog", NULL, &err), &err, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_root_refuses),
		cmocka_unit_test(test_wrong_class),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_rpath_chain),
		cmocka_unit_test(test_cancellation),
		cmocka_unit_test(test_cache_in_root),
		cmocka_unit_test(test_cryptsetup),
		cmocka_unit_test(test_all_programs),
		cmocka_unit_test(test_traps),
		cmocka_unit_test(test_musl),
		cmocka_unit_test(test_musl_path_file),
		cmocka_unit_test(test_static),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
