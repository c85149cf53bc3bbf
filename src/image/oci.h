/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The JSON of an OCI image (image-spec 1.1: image-index, manifest, config), and Docker's forms of
 * the same. Pure functions of bytes: nothing is opened, and all of it may be hostile.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/strbuf.h"

#define OCI_JSON_MOST         (4u << 20) /* what registries allow for a manifest */
#define OCI_MANIFESTS_MOST    1024
#define OCI_LAYERS_MOST       512
#define OCI_STRINGS_MOST      4096       /* of Env, Entrypoint, Cmd each */
#define OCI_STRING_MOST       131071     /* Linux: MAX_ARG_STRLEN without its NUL */
#define OCI_STRINGS_SIZE_MOST (1u << 20) /* of Env, Entrypoint and Cmd together */

#if defined(__x86_64__)
#define OCI_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define OCI_ARCHITECTURE "arm64"
#elif defined(__riscv) && __riscv_xlen == 64
#define OCI_ARCHITECTURE "riscv64"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define OCI_ARCHITECTURE "ppc64le"
#elif defined(__s390x__)
#define OCI_ARCHITECTURE "s390x"
#else
#error "which architecture is this, in the words of Go's GOARCH?"
#endif

enum oci_media {
	OCI_MEDIA_OTHER,
	OCI_MEDIA_INDEX,
	OCI_MEDIA_MANIFEST,
	OCI_MEDIA_CONFIG,
	OCI_MEDIA_LAYER,
};

struct oci_descriptor {
	enum oci_media media;
	char *media_type;             /* as it was written */
	char digest[DIGEST_HEX_SIZE]; /* SHA-256 */
	uint64_t size;
	char *os, *architecture; /* of an index's entries; NULL when they say nothing */
	char *tag;               /* org.opencontainers.image.ref.name, or NULL */
	char *image_name;        /* io.containerd.image.name, or NULL */
};

struct oci_descriptors {
	struct oci_descriptor *items;
	size_t count;
};

struct oci_manifest {
	struct oci_descriptor config;
	struct oci_descriptors layers;
};

struct oci_config {
	char *os, *architecture;
	struct strv entrypoint, command, environment;
	char *working_directory, *user, *stop_signal;
	struct strv diff_ids; /* 64 digits each */
};

#define OCI_DESCRIPTORS_NONE ((struct oci_descriptors){.items = NULL})
#define OCI_MANIFEST_NONE    ((struct oci_manifest){.layers.items = NULL})
#define OCI_CONFIG_NONE      ((struct oci_config){.os = NULL})

/* "sha256:" and 64 lower-case digits: only then can it become a file name. */
int oci_digest_parse(
	const char *text, char ret_digest[static DIGEST_HEX_SIZE], struct caisson_error *err);

/* @what names the document in errors. */
int oci_index_parse(const void *data, size_t size, const char *what,
	struct oci_descriptors *ret_index, struct caisson_error *err);
/*
 * Picks the one entry that is meant. @tag may be NULL: then one entry has to be for this machine
 * alone, unless the index is @nested, whose entries are the same image for several machines.
 */
int oci_index_select(const struct oci_descriptors *index, const char *tag, bool nested,
	const char *what, const struct oci_descriptor **ret_descriptor, struct caisson_error *err);
int oci_manifest_parse(const void *data, size_t size, const char *what,
	struct oci_manifest *ret_manifest, struct caisson_error *err);
int oci_config_parse(const void *data, size_t size, const char *what, struct oci_config *ret_config,
	struct caisson_error *err);

void oci_descriptor_done(struct oci_descriptor *descriptor);
void oci_descriptors_done(struct oci_descriptors *descriptors);
void oci_manifest_done(struct oci_manifest *manifest);
void oci_config_done(struct oci_config *config);

#define _cleanup_oci_descriptors_ _cleanup_(oci_descriptors_done)
#define _cleanup_oci_manifest_    _cleanup_(oci_manifest_done)
#define _cleanup_oci_config_      _cleanup_(oci_config_done)
