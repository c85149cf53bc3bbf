/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/toolchain.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/process.h"
#include "kernel/config.h"

enum { SECONDS = 60 };

enum { KCONFIG = 1 << 29, BUILD = 1 << 30, BOTH = KCONFIG | BUILD };

struct tool {
	unsigned int need; /* of these or of toolchain_need */
	const char *name;  /* of the program, or of the header */
	const char *package;
};

/* What "strace -f -e execve" saw in builds of 6.1. make, the compiler and binutils first: without a
   compiler nothing can be said of headers. */
static const struct tool tools[] = {
	{BOTH, "make", "make"},
	{BOTH, "gcc", "gcc"},
	{BUILD, "as", "binutils"},
	{BOTH, "ld", "binutils"},
	{BUILD, "ar", "binutils"},
	{BUILD, "nm", "binutils"},
	{BUILD, "objcopy", "binutils"},
	{BUILD, "objdump", "binutils"},
	{BUILD, "readelf", "binutils"},
	{BUILD, "strip", "binutils"},
	{BOTH, "flex", "flex"},
	{BOTH, "bison", "bison"},
	{BUILD, "bc", "bc"},
	{BUILD, "awk", "mawk"},
	{BUILD, "sed", "sed"},
	{BUILD, "grep", "grep"},
	{BUILD, "find", "findutils"},
	{BUILD, "xargs", "findutils"},
	{BUILD, "cmp", "diffutils"},
	{TOOLCHAIN_PAHOLE, "pahole", "dwarves"},
	{TOOLCHAIN_PERL, "perl", "perl"},
	{TOOLCHAIN_GZIP, "gzip", "gzip"},
	{TOOLCHAIN_BZIP2, "bzip2", "bzip2"},
	{TOOLCHAIN_XZ, "xz", "xz-utils"},
	{TOOLCHAIN_LZ4, "lz4", "lz4"},
	{TOOLCHAIN_LZOP, "lzop", "lzop"},
	{TOOLCHAIN_ZSTD, "zstd", "zstd"},
	{TOOLCHAIN_CPIO, "cpio", "cpio"},
};

static const struct tool headers[] = {
	/* stdio.h is of the C library, without which host programs cannot be made. */
	{BOTH, "stdio.h", "libc6-dev"},
	{TOOLCHAIN_LIBELF, "gelf.h", "libelf-dev"},
	{TOOLCHAIN_OPENSSL, "openssl/opensslv.h", "libssl-dev"},
	{TOOLCHAIN_NCURSES, "ncurses.h", "libncurses-dev"},
};

static const struct {
	const char *option;
	unsigned int need;
} options[] = {
	{"CONFIG_OBJTOOL", TOOLCHAIN_LIBELF},
	{"CONFIG_STACK_VALIDATION", TOOLCHAIN_LIBELF},
	{"CONFIG_UNWINDER_ORC", TOOLCHAIN_LIBELF},
	{"CONFIG_DEBUG_INFO_BTF", TOOLCHAIN_PAHOLE | TOOLCHAIN_LIBELF},
	{"CONFIG_SYSTEM_TRUSTED_KEYRING", TOOLCHAIN_OPENSSL},
	{"CONFIG_MODULE_SIG", TOOLCHAIN_OPENSSL},
	{"CONFIG_OID_REGISTRY", TOOLCHAIN_PERL},
	{"CONFIG_CRYPTO_POLY1305_X86_64", TOOLCHAIN_PERL},
	{"CONFIG_KERNEL_GZIP", TOOLCHAIN_GZIP},
	{"CONFIG_IKCONFIG", TOOLCHAIN_GZIP},
	{"CONFIG_KERNEL_BZIP2", TOOLCHAIN_BZIP2},
	{"CONFIG_KERNEL_LZMA", TOOLCHAIN_XZ},
	{"CONFIG_KERNEL_XZ", TOOLCHAIN_XZ},
	{"CONFIG_KERNEL_LZO", TOOLCHAIN_LZOP},
	{"CONFIG_KERNEL_LZ4", TOOLCHAIN_LZ4},
	{"CONFIG_KERNEL_ZSTD", TOOLCHAIN_ZSTD},
	{"CONFIG_IKHEADERS", TOOLCHAIN_CPIO | TOOLCHAIN_XZ},
};

unsigned int toolchain_needs(const char *config, size_t size)
{
	unsigned int needs = 0;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (kernel_config_value(config, size, options[i].option) == 'y')
			needs |= options[i].need;
	}
	return needs;
}

static bool is_there(const char *program, const char *folders)
{
	_cleanup_free_ char *found = NULL;

	if (folders == NULL)
		return program_find(program, &found, NULL) == 0;
	while (*folders != '\0') {
		size_t length = strcspn(folders, ":");
		_cleanup_free_ char *path = format_string("%.*s/%s", (int)length, folders, program);

		if (path != NULL && access(path, X_OK) == 0)
			return true;
		folders += length + (folders[length] == ':');
	}
	return false;
}

/* Asks the compiler, who knows where it looks. */
static bool has_header(const char *header)
{
	const char *const arguments[] = {
		"gcc", "-fsyntax-only", "-include", header, "-x", "c", "/dev/null", NULL};

	return process_run_for(arguments, SECONDS, NULL) == 0;
}

struct missing {
	struct strv names, packages;
};

static void add_missing(struct missing *missing, const struct tool *tool, bool header)
{
	if (header)
		strv_add_format(&missing->names, "<%s>", tool->name);
	else
		strv_add(&missing->names, tool->name);
	if (!strv_contains(&missing->packages, tool->package))
		strv_add(&missing->packages, tool->package);
}

static void add_words(struct strbuf *text, const struct strv *words, const char *last)
{
	for (size_t i = 0; i < words->count; i++) {
		if (i > 0)
			strbuf_add_string(text, i + 1 == words->count ? last : ", ");
		strbuf_add_string(text, words->items[i]);
	}
}

static int refuse_missing(
	const struct missing *missing, const char *done, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf names = STRBUF_INIT, packages = STRBUF_INIT;

	add_words(&names, &missing->names, " and ");
	for (size_t i = 0; i < missing->packages.count; i++)
		strbuf_add_format(&packages, " %s", missing->packages.items[i]);
	if (!strv_ok(&missing->names) || !strv_ok(&missing->packages) || !strbuf_ok(&names) ||
		!strbuf_ok(&packages))
		return caisson_fail(err, ENOMEM, "look for the programs that build a kernel");
	caisson_refuse(err, ENOENT, "a kernel cannot be %s here: %s %s missing", done, names.data,
		missing->names.count > 1 ? "are" : "is");
	return caisson_hint(err, "apt-get install%s", packages.data);
}

static int check(unsigned int needs, const char *folders, struct caisson_error *err)
{
	struct missing missing = {STRV_INIT, STRV_INIT};
	bool compiler = is_there("gcc", folders);
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		if ((tools[i].need & needs) != 0 && !is_there(tools[i].name, folders))
			add_missing(&missing, &tools[i], false);
	}
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		if ((headers[i].need & needs) != 0 && (!compiler || !has_header(headers[i].name)))
			add_missing(&missing, &headers[i], true);
	}
	if (missing.names.count > 0 || !strv_ok(&missing.names))
		r = refuse_missing(&missing, needs == KCONFIG ? "configured" : "built", err);
	strv_done(&missing.names);
	strv_done(&missing.packages);
	return r;
}

int toolchain_check(unsigned int needs, const char *folders, struct caisson_error *err)
{
	return check(needs | BUILD, folders, err);
}

int toolchain_check_kconfig(const char *folders, struct caisson_error *err)
{
	return check(KCONFIG, folders, err);
}

int toolchain_version(const char *program, char **ret_version, struct caisson_error *err)
{
	const char *const arguments[] = {program, "--version", NULL};
	struct process_options process = PROCESS_OPTIONS_INIT;
	_cleanup_strbuf_ struct strbuf output = STRBUF_INIT;
	int r;

	process.seconds = SECONDS;
	r = process_run(arguments, &process, &output, err);
	if (r < 0)
		return r;
	if (output.data != NULL)
		output.data[strcspn(output.data, "\n")] = '\0';
	*ret_version = strdup(output.data != NULL ? output.data : "");
	return *ret_version != NULL ? 0 : caisson_fail(err, ENOMEM, "run %s", program);
}
