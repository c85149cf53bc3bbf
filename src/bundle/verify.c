/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bundle/verify.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/process.h"
#include "bundle/trial.h"
#include "elf/reader.h"

#ifndef EM_LOONGARCH
#define EM_LOONGARCH 258
#endif

struct verify {
	struct place *place;
	const struct closure_options *how;
	bool flat;
	char *reason; /* why something was only read; "" until then */
	size_t reason_size;
};

static int unproved(struct caisson_error *err)
{
	return caisson_hint(err, "the bundle would not run");
}

/* Names of user mode emulators, as QEMU has them. */
static const struct {
	const char *name;
	unsigned int bits;
	uint16_t machine;
	bool big_endian;
} emulators[] = {
	{"i386", 32, EM_386, false},
	{"x86_64", 64, EM_X86_64, false},
	{"aarch64", 64, EM_AARCH64, false},
	{"arm", 32, EM_ARM, false},
	{"riscv64", 64, EM_RISCV, false},
	{"riscv32", 32, EM_RISCV, false},
	{"ppc64le", 64, EM_PPC64, false},
	{"ppc64", 64, EM_PPC64, true},
	{"ppc", 32, EM_PPC, true},
	{"s390x", 64, EM_S390, true},
	{"mips64el", 64, EM_MIPS, false},
	{"mips64", 64, EM_MIPS, true},
	{"mipsel", 32, EM_MIPS, false},
	{"mips", 32, EM_MIPS, true},
	{"loongarch64", 64, EM_LOONGARCH, false},
};

static int read_ident(
	int fd, const char *name, struct elf_ident *ret_ident, struct caisson_error *err)
{
	struct elf_input input = {.fd = fd, .name = name};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", name);
	input.size = (uint64_t)st.st_size;
	return elf_read_ident(&input, ret_ident, err);
}

/* Of this machine's own kind, as far as this program itself tells. */
static bool is_native(const struct elf_ident *ident)
{
	_cleanup_close_ int fd = open_file("/proc/self/exe", O_RDONLY, 0, NULL);
	struct elf_ident own;

	if (fd < 0 || read_ident(fd, "this program", &own, NULL) < 0)
		return false;
	return (own.machine == ident->machine && own.bits == ident->bits &&
		       own.big_endian == ident->big_endian) ||
	       (own.machine == EM_X86_64 && ident->machine == EM_386);
}

/* A static one: in the bundle's root it finds no library of its own. */
static int open_emulator(const char *machine)
{
	static const char *const ends[] = {"-static", ""};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		_cleanup_free_ char *name = format_string("qemu-%s%s", machine, ends[i]);
		_cleanup_free_ char *path = NULL;
		_cleanup_close_ int fd = -1;
		struct elf_file file = ELF_FILE_NONE;
		struct elf_input input = {.name = name};
		struct stat st;
		bool is_static;

		if (name == NULL || program_find(name, &path, NULL) < 0)
			continue;
		fd = open_file(path, O_RDONLY, 0, NULL);
		if (fd < 0 || fstat(fd, &st) < 0)
			continue;
		input.fd = fd;
		input.size = (uint64_t)st.st_size;
		if (elf_read(&input, NULL, &file, NULL) < 0)
			continue;
		is_static = file.linkage == ELF_STATIC || file.linkage == ELF_STATIC_PIE;
		elf_file_done(&file);
		if (is_static)
			return take_fd(&fd);
	}
	return -1;
}

/* The first reason is told. */
static int _printf_(2, 3) say_reason(struct verify *verify, const char *format, ...)
{
	va_list args;

	if (verify->reason[0] != '\0')
		return 0;
	va_start(args, format);
	vsnprintf(verify->reason, verify->reason_size, format, args);
	va_end(args);
	return 0;
}

/* How @loader can be run: 1, with the emulator's descriptor or -1; 0 when not at all. */
static int find_way(struct verify *verify, const struct plan_file *loader, int *ret_emulator,
	struct caisson_error *err)
{
	_cleanup_close_ int fd = view_open_file(verify->place->view, loader->node, err);
	struct elf_ident ident;
	int r = fd < 0 ? fd : read_ident(fd, loader->path, &ident, err);

	if (r < 0)
		return r;
	*ret_emulator = -1;
	if (is_native(&ident))
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(emulators); i++) {
		if (emulators[i].machine != ident.machine || emulators[i].bits != ident.bits ||
			emulators[i].big_endian != ident.big_endian)
			continue;
		*ret_emulator = open_emulator(emulators[i].name);
		if (*ret_emulator >= 0)
			return 1;
		return say_reason(verify, "no static qemu-%s is installed", emulators[i].name);
	}
	return say_reason(verify, "%s is of a machine type that nothing here runs", loader->path);
}

/* Found, but is it ours? */
static int check_path(
	struct verify *verify, const char *program, const char *path, struct caisson_error *err)
{
	struct view_node *node;

	if (view_resolve(verify->place->view, path, true, &node) >= 0 && node->file != NULL)
		return 0;
	caisson_refuse(
		err, EPROTO, "%s would load %s, which is no file of this bundle", program, path);
	return unproved(err);
}

/* A line of the loader's --list: "NAME => PATH (0x...)", "PATH (0x...)", "vdso (0x...)"; any other
   is a complaint. */
static int check_line(
	struct verify *verify, const char *program, char *line, struct caisson_error *err)
{
	char *arrow, *end;

	line += strspn(line, " \t");
	if (line[0] == '\0' || strcmp(line, "statically linked") == 0)
		return 0;
	/* A vdso may have no name. */
	end = strncmp(line, "(0x", 3) == 0 ? line : strstr(line, " (0x");
	arrow = strstr(line, " => ");
	if (end != NULL && strstr(line, "not found") == NULL) {
		const char *path = arrow != NULL && arrow < end ? arrow + 4 : line;

		*end = '\0';
		/* Without an arrow it is the vdso. */
		return path[0] == '/' || path != line ? check_path(verify, program, path, err) : 0;
	}
	text_flatten(line);
	caisson_refuse(err, EPROTO, "%s: its loader says: %s", program, line);
	return unproved(err);
}

static int check_output(struct verify *verify, const char *program, struct strbuf *output,
	int status, struct caisson_error *err)
{
	char *rest = output->data, *line;
	int r = 0;

	if (status == 0 && output->size == 0) {
		caisson_refuse(err, EPROTO, "%s: its loader says nothing", program);
		return unproved(err);
	}

	/* A NUL ends it: no loader writes one. */
	while (rest != NULL && (line = strsep(&rest, "\n")) != NULL && r >= 0)
		r = check_line(verify, program, line, err);
	if (r >= 0 && status != 0) {
		caisson_refuse(err, EPROTO, "%s: its loader ended with status %d", program, status);
		return unproved(err);
	}
	return r;
}

/* 1: proved; 0: cannot be run. */
static int list(struct verify *verify, const struct plan_program *program, const char *subject,
	int emulator, struct caisson_error *err)
{
	_cleanup_free_ char *loader = view_path(program->loader_file->node);
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	const char *argv[8];
	const struct trial trial = {verify->how->root, verify->place->view->fd, emulator, argv};
	size_t count = 0;
	int status = 0, r;

	if (loader == NULL)
		return caisson_fail(err, ENOMEM, "verify %s", subject);
	if (emulator >= 0)
		argv[count++] = "qemu";
	argv[count++] = emulator >= 0 ? loader : program->loader;
	if (verify->how->library_path != NULL) {
		argv[count++] = "--library-path";
		argv[count++] = verify->how->library_path;
	}
	argv[count++] = "--list";
	argv[count++] = subject;
	argv[count] = NULL;
	r = trial_run(&trial, &output, &status, verify->reason, verify->reason_size, err);
	if (r <= 0)
		return r;
	r = check_output(verify, subject, &output, status, err);
	return r < 0 ? r : 1;
}

/* By the same rules as before, but inside the bundle alone. */
static int read_again(struct verify *verify, const char *subject, struct caisson_error *err)
{
	_cleanup_(closure_freep) struct closure *closure = NULL;
	const struct closure_entry *entries;
	size_t count;
	int r;

	r = closure_new(&closure, verify->how, err);
	if (r >= 0)
		r = closure_add_program(closure, subject, err);
	if (r < 0) {
		if (err != NULL)
			err->code = EPROTO;
		caisson_wrap(err, "in the bundle");
		return unproved(err);
	}
	entries = closure_entries(closure, &count);
	for (size_t i = 0; i < count && r >= 0; i++) {
		/* A cache of the folder's own may be read, and is then no part of the bundle. */
		if (entries[i].kind == CLOSURE_FILE && entries[i].role != CLOSURE_CONFIG)
			r = check_path(verify, subject, entries[i].path, err);
	}
	return r;
}

/* Names that musl's loader, which is its C library too, answers to itself. */
static bool is_of_musl(const char *name)
{
	static const char *const names[] = {
		"libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet."};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

static int check_requests(struct verify *verify, const struct plan_program *program,
	const char *subject, const struct elf_file *file, struct caisson_error *err)
{
	bool musl = strncmp(path_base(program->loader), "ld-musl-", 8) == 0;

	for (size_t i = 0; i < file->request_count; i++) {
		const struct elf_request *request = &file->requests[i];
		_cleanup_free_ char *path = path_join("/lib", request->name);
		struct view_node *node;

		if (path == NULL)
			return caisson_fail(err, ENOMEM, "verify %s", subject);
		if (request->kind == ELF_AUXILIARY || (musl && is_of_musl(request->name)) ||
			(view_resolve(verify->place->view, path, true, &node) >= 0 &&
				node->file != NULL))
			continue;
		caisson_refuse(err, EPROTO, "%s needs %s, which is not in the bundle", subject,
			request->name);
		return unproved(err);
	}
	return 0;
}

/* A flat bundle has no interpreter where its programs name one, so that each file is read by
 * itself.
 */
static int read_flat(struct verify *verify, const struct plan_program *program,
	const struct plan_file *subject, struct caisson_error *err)
{
	_cleanup_close_ int fd = view_open_file(verify->place->view, subject->node, err);
	struct elf_input input = {.fd = fd, .size = subject->size, .name = subject->path};
	struct elf_file file = ELF_FILE_NONE;
	struct caisson_error why = {0};
	int r = fd < 0 ? fd : elf_read(&input, NULL, &file, &why);

	if (fd < 0)
		return r;
	/* Configuration, or data of a library. */
	if (r == -ENOEXEC)
		return 0;
	if (r < 0 && err != NULL)
		*err = why;
	if (r >= 0)
		r = check_requests(verify, program, subject->path, &file, err);
	elf_file_done(&file);
	return r;
}

/* Somebody else than its owner has to be able to read it. */
static bool readable(const struct verify *verify, const struct plan *plan, size_t index)
{
	struct stat st;

	if (geteuid() != 0)
		return true;
	if (fstat(verify->place->view->fd, &st) < 0 || (st.st_mode & 0001) == 0)
		return false;
	for (size_t i = 0; i < plan->file_count; i++) {
		const struct plan_file *file = plan->files[i];

		if (plan_marked(file, index) && file->source != NULL &&
			file->role != CLOSURE_CONFIG && (file->mode & 0004) == 0)
			return false;
	}
	return true;
}

static bool is_file(size_t index, const struct plan_file *file)
{
	return file->node != NULL && file->node->file == file && plan_marked(file, index) &&
	       file->source != NULL;
}

/* What the program opens by itself is looked at by itself. */
static bool is_subject(const struct plan_file *file)
{
	return file->role == CLOSURE_PROGRAM || file->role == CLOSURE_PLUGIN ||
	       (file->role == CLOSURE_LIBRARY && strncmp(file->rule, "dlopen", 6) == 0);
}

static int verify_file(struct verify *verify, const struct plan_program *program,
	struct plan_file *file, int way, int emulator, struct caisson_error *err)
{
	_cleanup_free_ char *path = view_path(file->node);
	int r = 0;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "verify %s", program->asked);
	/* What many programs open by themselves is looked at once. */
	if (file->proved_by == program->loader_file)
		return 0;
	file->proved_by = program->loader_file;
	if (way > 0 && is_subject(file))
		r = list(verify, program, path, emulator, err);
	if (r != 0 || (way > 0 && !is_subject(file)))
		return r;
	if (verify->flat)
		return read_flat(verify, program, file, err);
	return is_subject(file) ? read_again(verify, path, err) : 0;
}

static int verify_program(struct verify *verify, size_t index, struct caisson_error *err)
{
	const struct plan *plan = verify->place->plan;
	const struct plan_program *program = &plan->programs[index];
	_cleanup_close_ int emulator = -1;
	int way, r = 0;

	if (program->loader_file == NULL)
		return 0;
	way = find_way(verify, program->loader_file, &emulator, err);
	if (way < 0)
		return way;
	if (way > 0 && !readable(verify, plan, index))
		way = say_reason(verify, "%s, or a library of it, is for its owner's eyes alone",
			program->asked);
	for (size_t i = 0; i < plan->file_count && r >= 0; i++) {
		if (is_file(index, plan->files[i]))
			r = verify_file(verify, program, plan->files[i], way, emulator, err);
	}
	return r;
}

int verify_bundle(struct place *place, const struct closure_options *how, bool flat,
	enum caisson_bundle_proof *ret_proof, char *ret_reason, size_t reason_size,
	struct caisson_error *err)
{
	struct verify verify = {place, how, flat, ret_reason, reason_size};

	ret_reason[0] = '\0';
	for (size_t i = 0; i < place->plan->program_count; i++) {
		int r = verify_program(&verify, i, err);

		if (r < 0)
			return r;
	}
	*ret_proof = ret_reason[0] != '\0' ? CAISSON_BUNDLE_BY_READING : CAISSON_BUNDLE_BY_LOADER;
	return 0;
}
