/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an ELF file says about how it is to be loaded, read as the kernel and the loader do: from
 * the program headers alone (section headers may be gone, or lie), 32 and 64 bits, both byte
 * orders. Every offset is checked against the file; time and memory are bounded whatever it holds.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

enum {
	ELF_NEEDED_MOST = 4096,     /* libraries that one file may ask for */
	ELF_NAME_MOST = 4096,       /* bytes in a name or the interpreter's path, with the NUL */
	ELF_RUNPATH_MOST = 1 << 16, /* bytes in a DT_RPATH or DT_RUNPATH, with the NUL */
	ELF_VERSIONS_MOST = 16384,  /* symbol versions that one file may need, or define */
	ELF_NOTES_MOST = 64 << 10,  /* bytes of .note.dlopen in one file */
};

/* Bytes to read: @data when that is not NULL, else @fd by pread(). Not mapped, as a file that is
   cut while it is read would then kill this process. */
struct elf_input {
	const uint8_t *data;
	int fd;
	uint64_t size;
	const char *name; /* for errors */
};

struct elf_ident {
	unsigned int bits; /* 32 or 64 */
	bool big_endian;
	uint8_t os_abi;
	uint16_t type;    /* ET_EXEC, ET_DYN, ... */
	uint16_t machine; /* EM_... */
	uint32_t flags;   /* e_flags: the machine's own, floating point ABI among others */
};

enum elf_linkage {
	ELF_STATIC,     /* neither interpreter nor dynamic section */
	ELF_STATIC_PIE, /* relocates itself: a dynamic section that asks for nothing */
	ELF_DYNAMIC,    /* a program with an interpreter */
	ELF_SHARED,     /* a library */
};

enum elf_request_kind {
	ELF_NEEDED,
	ELF_FILTER,    /* DT_FILTER: has to be there, is loaded in front */
	ELF_AUXILIARY, /* DT_AUXILIARY: the same, but may be missing */
};

struct elf_request {
	enum elf_request_kind kind;
	char *name;
};

/* A symbol version (gABI supplement of the LSB, "Symbol Versioning"). */
struct elf_version {
	char *name;
	uint32_t hash; /* as it stands in the file: the loader compares it, too */
	bool weak;     /* of a needed one: may be missing */
};

/* The versions that are needed of one library. */
struct elf_need {
	char *library;       /* as in DT_NEEDED */
	size_t first, count; /* in needed_versions */
};

struct elf_file {
	struct elf_ident ident;
	enum elf_linkage linkage;
	char *interpreter; /* NULL when absent, as the next three */
	char *soname;
	char *rpath; /* only when there is no DT_RUNPATH, which hides it */
	char *runpath;
	uint64_t flags_1; /* DT_FLAGS_1 */
	struct elf_request *requests;
	size_t request_count;
	uint32_t imports; /* bit N: refers to symbol N of @watch without defining it */
	char *audit,
		*depaudit; /* DT_AUDIT, DT_DEPAUDIT: names with ':' between; NULL when absent */
	struct elf_need *needs;
	size_t need_count;
	struct elf_version *needed_versions, *versions; /* DT_VERNEED, DT_VERDEF */
	size_t needed_version_count, version_count;
	/* JSON texts of the notes that say what the file dlopens (systemd.io/ELF_DLOPEN_METADATA).
	 */
	struct strv notes;
};

#define ELF_FILE_NONE ((struct elf_file){0})

/* Names of symbols to look for; at most 32. */
struct elf_watch {
	const char *const *symbols;
	size_t count;
};

/* What kind of ELF file it is, whether it could be loaded or not; -ENOEXEC for what is none. */
int elf_read_ident(
	const struct elf_input *input, struct elf_ident *ret_ident, struct caisson_error *err);
/* -ENOEXEC for what could not be run or loaded, with the reason; -E2BIG for what is beyond a bound.
   @watch: NULL when nothing that is dlopened matters; notes are not read then, either. */
int elf_read(const struct elf_input *input, const struct elf_watch *watch,
	struct elf_file *ret_file, struct caisson_error *err);
void elf_file_done(struct elf_file *file);
