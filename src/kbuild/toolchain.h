/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the build of a kernel calls: looked for before it begins, and all that is missing named at
   once. */
#pragma once

#include <caisson/error.h>
#include <stddef.h>

#include "base/strbuf.h"

/* Beside what every build needs, by what the configuration says. */
enum toolchain_need {
	TOOLCHAIN_LIBELF = 1 << 0,  /* CONFIG_OBJTOOL: the headers of libelf */
	TOOLCHAIN_PAHOLE = 1 << 1,  /* CONFIG_DEBUG_INFO_BTF */
	TOOLCHAIN_OPENSSL = 1 << 2, /* certificates and signatures: the headers of libcrypto */
	TOOLCHAIN_PERL = 1 << 3,    /* CONFIG_OID_REGISTRY, generated assembler */
	TOOLCHAIN_GZIP = 1 << 4,    /* the compression of the bzImage, and CONFIG_IKCONFIG */
	TOOLCHAIN_BZIP2 = 1 << 5,
	TOOLCHAIN_XZ = 1 << 6,
	TOOLCHAIN_LZ4 = 1 << 7,
	TOOLCHAIN_LZOP = 1 << 8,
	TOOLCHAIN_ZSTD = 1 << 9,
	TOOLCHAIN_CPIO = 1 << 10,    /* CONFIG_IKHEADERS */
	TOOLCHAIN_NCURSES = 1 << 11, /* make menuconfig: the headers of ncurses */
};

/* What the text of a .config asks for. */
unsigned int toolchain_needs(const char *config, size_t size);
/* -ENOENT naming all that is missing, with the command that installs it on Debian. @folders: where
   programs are looked for, "/usr/bin:/bin"; NULL: where they are run from. */
int toolchain_check(unsigned int needs, const char *folders, struct caisson_error *err);
/* The same for a configuration alone. */
int toolchain_check_kconfig(const char *folders, struct caisson_error *err);
/* The first line that "@program --version" says; "" when it says nothing. Owned by the caller. */
int toolchain_version(const char *program, char **ret_version, struct caisson_error *err);
