/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CAISSON_INITRAMFS_H
#define CAISSON_INITRAMFS_H

#include <caisson/caisson.h>
#include <caisson/closure.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum caisson_initramfs_profile {
	CAISSON_INITRAMFS_MACHINE,   /* what caisson's machines start from */
	CAISSON_INITRAMFS_FIRSTBOOT, /* the same, and what makes a blank disk a volume */
	CAISSON_INITRAMFS_RESCUE,    /* a shell, and the tools for disks and volumes */
	CAISSON_INITRAMFS_CUSTOM,    /* nothing but what is named */
};

/** struct caisson_initramfs_options - what a boot archive is for. Zero is the default. Lists end
 * with NULL, and may be NULL. */
struct caisson_initramfs_options {
	enum caisson_initramfs_profile profile; /* unless a recipe says so */
	const char *programs;                   /* folder with the guest's programs */
	const char *root; /* of kernels, modules and extra programs; NULL: this machine's */
	/* A file, a folder or the name of a kernel that was built here, or a release in /boot;
	   NULL: what machines get, and for other profiles the newest in /boot. */
	const char *kernel;
	const char *modules; /* NULL: the folder of the kernel's release */
	bool pci;            /* virtio over PCI (q35) instead of mmio (microvm) */
	bool no_volumes;     /* without what encrypted volumes need */
	bool no_network;
	bool vsock;
	const char *const *recipes;        /* files, or folders of *.json */
	const char *const *extra_programs; /* "SOURCE[:PATH]", with what they need */
	const char *const *files;          /* "SOURCE[:PATH]"; folders with all that is in them */
	const char *const *extra_modules;  /* names or aliases, with what they need */
	const char *const *microcode;      /* updates of Intel or AMD, which stand in front */
	const char *compress;       /* "KIND[:LEVEL]"; NULL: zstd, where the kernel takes it */
	enum caisson_dlopen dlopen; /* of all programs */
	uint32_t time;              /* of every entry, in seconds since 1970 */
};

/**
 * caisson_initramfs_build() - write the boot archive for these options to @fd, from its start.
 *
 * The same inputs give the same bytes. It holds nothing of one machine: guest.json rides in a
 * second archive behind it. An archive that was made before of the same inputs is not made again.
 * Returns: 0 or a negative errno; nothing is written before everything was found. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_build(struct caisson *caisson,
	const struct caisson_initramfs_options *options, int fd, struct caisson_error *err);

/** struct caisson_initramfs_reason - why an entry is there; valid during the call. */
struct caisson_initramfs_reason {
	const char *path; /* without a leading slash */
	uint64_t size;    /* bytes, uncompressed */
	const char *by;   /* path of the entry that wants it; NULL: none of them */
	const char *why;  /* NULL: not told */
};

/**
 * caisson_initramfs_explain() - call @each for every file, link and device that
 * caisson_initramfs_build() would write, sorted by path.
 *
 * Returns: 0, what @each returned when that was not 0, or a negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_explain(struct caisson *caisson,
	const struct caisson_initramfs_options *options,
	int (*each)(const struct caisson_initramfs_reason *reason, void *userdata), void *userdata,
	struct caisson_error *err);

/** struct caisson_initramfs_entry - one entry of an archive; valid during the call. */
struct caisson_initramfs_entry {
	const char *path;
	mode_t mode;
	uint32_t size;      /* bytes */
	const char *target; /* of a symbolic link; else NULL */
	uint32_t major, minor;
};

/**
 * caisson_initramfs_list() - call @each for every entry of the archive in @fd, in its order.
 * @what: the name that errors call the archive by.
 *
 * Archives that stand one behind the other are read through, each uncompressed or in gzip, bzip2,
 * lzma, xz, lzo, lz4 or zstd. Returns: 0, a negative errno, or what @each returned when that is
 * negative. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_list(int fd, const char *what,
	int (*each)(const struct caisson_initramfs_entry *entry, void *userdata), void *userdata,
	struct caisson_error *err);

/** struct caisson_initramfs_extract_options - what is unpacked, and where to. */
struct caisson_initramfs_extract_options {
	const char *into;         /* a folder that is new or empty */
	const char *const *paths; /* these and what is below them, NULL at the end; NULL: all */
	/* Owners, setuid bits, devices, FIFOs and sockets as in the archive; needs root. Else all
	   belongs to the caller, and special files are passed over. */
	bool same_permissions;
};

/**
 * caisson_initramfs_extract() - unpack the archive in @fd as the kernel would.
 * @what: the name that errors call the archive by.
 * @log: is told what was left out; NULL for silence.
 *
 * Later entries take the place of earlier ones, links in paths are followed inside, and nothing is
 * written outside of the folder, whatever the archive holds. Returns: 0 or a negative errno; a
 * folder that was made here is removed again then. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_extract(int fd, const char *what,
	const struct caisson_initramfs_extract_options *options, const struct caisson_log *log,
	struct caisson_error *err);

/** struct caisson_initramfs_member - one part of a boot archive that the kernel takes as a whole.
 */
struct caisson_initramfs_member {
	uint64_t offset, size; /* bytes in the file */
	uint64_t content;      /* bytes, uncompressed */
	uint64_t entries;
	const char *compression; /* "none", "gzip", "bzip2", "lzma", "xz", "lzo", "lz4", "zstd" */
	const char *check;   /* what guards the contents: "crc32", "none"; NULL: not to be known */
	uint64_t window;     /* how far back the contents refer, in bytes; 0: not to be known */
	const char *refused; /* why no kernel takes it; NULL: it does */
	const char *damage;  /* why its entries cannot all be read; NULL: they can */
};

/** struct caisson_initramfs_microcode - one update of processor microcode. */
struct caisson_initramfs_microcode {
	const char *vendor; /* "GenuineIntel", "AuthenticAMD" */
	uint32_t signature; /* of the processor: CPUID leaf 1, EAX */
	uint32_t revision;
	uint32_t date;       /* 0xMMDDYYYY */
	uint32_t platforms;  /* Intel: a mask of platform IDs; else 0 */
	size_t member;       /* which member it stands in */
	const char *problem; /* why a kernel would not take it; NULL: it does */
};

/** struct caisson_initramfs_info - what a boot archive says about itself. */
struct caisson_initramfs_info {
	uint64_t size; /* bytes of the file */
	const struct caisson_initramfs_member *members;
	size_t member_count;
	const struct caisson_initramfs_microcode *microcode;
	size_t microcode_count;
	uint64_t equivalences;       /* lines of AMD's table of processors that are the same */
	const char *const *releases; /* of kernels that it has modules for; NULL at the end */
	const char *init;            /* what /init leads to; NULL: there is none */
	const char *init_kind;       /* "script (/bin/sh)", "program (static)", ... */
	const char *maker;  /* "dracut 059-4", "initramfs-tools", ...; NULL: it does not show */
	const char *damage; /* why the file could not be read to its end; NULL: it could */
};

/**
 * caisson_initramfs_inspect() - look at the parts of the archive in @fd.
 * @what: the name that errors call the archive by.
 * @ret_info: owned by the caller: caisson_initramfs_info_free().
 *
 * What is damaged further on is told in the result and is no error. Returns: 0 or a negative errno.
 * Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_inspect(int fd, const char *what,
	struct caisson_initramfs_info **ret_info, struct caisson_error *err);

/** caisson_initramfs_info_free() - free what caisson_initramfs_inspect() gave; NULL is fine.
 * Since: 0.1. */
CAISSON_EXPORT void caisson_initramfs_info_free(struct caisson_initramfs_info *info);

/** What differs between an entry of two archives; bits of caisson_initramfs_difference.what. */
enum caisson_initramfs_difference_kind {
	CAISSON_INITRAMFS_ADDED = 1 << 0,   /* the second has it alone */
	CAISSON_INITRAMFS_REMOVED = 1 << 1, /* the first has it alone */
	CAISSON_INITRAMFS_TYPE = 1 << 2, /* a file here, a link there; nothing else is compared */
	CAISSON_INITRAMFS_MODE = 1 << 3,
	CAISSON_INITRAMFS_OWNER = 1 << 4,
	CAISSON_INITRAMFS_CONTENT = 1 << 5,
	CAISSON_INITRAMFS_TARGET = 1 << 6, /* where a link leads */
	CAISSON_INITRAMFS_DEVICE = 1 << 7, /* its numbers */
};

/** struct caisson_initramfs_difference - one path that is not the same; valid during the call. */
struct caisson_initramfs_difference {
	const char *path;
	unsigned int what;
	const struct caisson_initramfs_entry *a, *b; /* NULL where it is not there */
};

/**
 * caisson_initramfs_diff() - call @each for every path that differs between two archives.
 *
 * What the kernel makes of each is compared, whatever the compression, the order of entries and the
 * times. Returns: the number of differences, a negative errno, or what @each returned when that is
 * negative. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_diff(int a, const char *what_a, int b, const char *what_b,
	int (*each)(const struct caisson_initramfs_difference *difference, void *userdata),
	void *userdata, struct caisson_error *err);

/** struct caisson_initramfs_verify_options - what an archive is held against. Zero is fine. */
struct caisson_initramfs_verify_options {
	/* The image of the kernel that it is to start with, for its .config and its built-in
	   modules; NULL: none. */
	const char *kernel;
	const char *temporary; /* a folder for temporary files; NULL: /tmp */
};

/**
 * caisson_initramfs_verify() - call @each for everything in the archive that would not work.
 * @path: the entry that it is about; NULL: the archive. @problem: one sentence, no full stop.
 *
 * Whether the kernel takes it (compression, format), init, programs with their interpreters and
 * libraries, modules with what they depend on. Nothing of the archive is run. Returns: the number
 * of problems, a negative errno, or what @each returned when that is negative. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_verify(int fd, const char *what,
	const struct caisson_initramfs_verify_options *options,
	int (*each)(const char *path, const char *problem, void *userdata), void *userdata,
	struct caisson_error *err);

/** struct caisson_initramfs_bom_options - of a bill of materials. Zero is fine. */
struct caisson_initramfs_bom_options {
	bool cyclonedx;   /* CycloneDX 1.5 instead of SPDX 2.3, both as JSON */
	const char *root; /* the system whose packages the files may be of; NULL: this one */
	int64_t created;  /* seconds since 1970 that the document says it was made at */
};

/**
 * caisson_initramfs_bom() - make a bill of materials of the archive in @fd.
 * @what: the name that errors, and the document, call the archive by.
 * @ret_text: JSON, owned by the caller: free().
 *
 * Each file is named with its SHA-256 and, where its content is what a Debian package of @root
 * installed, that package. The same archive and packages give the same text. Returns: 0 or a
 * negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_bom(int fd, const char *what,
	const struct caisson_initramfs_bom_options *options, char **ret_text,
	struct caisson_error *err);

/** Longest digest in hexadecimal (SHA-512), in bytes with its NUL. */
#define CAISSON_INITRAMFS_DIGEST_MAX 129

/** struct caisson_initramfs_measure_options - what a boot archive is started with. Zero is fine. */
struct caisson_initramfs_measure_options {
	const char *kernel;  /* the image that QEMU is given; NULL: none, and no SEV hashes */
	const char *cmdline; /* the kernel command line; NULL: an empty one */
	/* For the launch digest of SEV-SNP (NULL: none): the firmware's image, how many processors,
	   their signature (CPUID leaf 1, EAX), and SEV_FEATURES of their save areas (0: 1, SNP). */
	const char *firmware;
	unsigned int vcpus;
	uint32_t vcpu_signature;
	uint64_t guest_features;
};

/** struct caisson_initramfs_measurement - digests, in hexadecimal; "" where there is none. */
struct caisson_initramfs_measurement {
	uint64_t size; /* of all files together, bytes */
	struct caisson_initramfs_bank {
		const char *name; /* "sha1", "sha256", "sha384", "sha512" */
		char digest[CAISSON_INITRAMFS_DIGEST_MAX]; /* of the whole archive */
		/* A PCR that was 0 and has been extended with it, and with nothing else. */
		char extended[CAISSON_INITRAMFS_DIGEST_MAX];
	} banks[4];
	/* SHA-256 of what QEMU's kernel-hashes=on puts into the guest's memory, and of that table.
	 */
	char sev_kernel[65], sev_initrd[65], sev_cmdline[65], sev_table[65];
	char snp_launch[97]; /* SHA-384: MEASUREMENT of the attestation report */
};

/**
 * caisson_initramfs_measure() - compute what a machine's start with this archive is measured as.
 * @paths: files that together are the archive, one behind the other, NULL at the end.
 *
 * Returns: 0 or a negative errno. Since: 0.1.
 */
CAISSON_EXPORT int caisson_initramfs_measure(const char *const *paths,
	const struct caisson_initramfs_measure_options *options,
	struct caisson_initramfs_measurement *ret_measurement, struct caisson_error *err);

#ifdef __cplusplus
}
#endif

#endif
