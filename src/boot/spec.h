/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a boot archive is to hold, as people say it: a profile, recipe files, options. Everything
 * keeps the word of who asked for it, for errors and for --explain. docs/initramfs-recipe.md has
 * the form of a recipe.
 */
#pragma once

#include <caisson/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/strbuf.h"
#include "boot/compress.h"
#include "closure/closure.h"

enum spec_profile {
	SPEC_MACHINE,   /* what caisson's machines start from */
	SPEC_FIRSTBOOT, /* the same, and what makes a blank disk a volume */
	SPEC_RESCUE,    /* a shell, and the tools for disks and volumes */
	SPEC_CUSTOM,    /* nothing but what is named */
};

struct spec_item {
	char *source; /* a file of this machine or root; a module's name; a link's target; a text */
	char *path;   /* in the archive; NULL: where it stands */
	char *why;    /* who asked for it */
	mode_t mode;  /* 0: as the source has it */
	bool optional; /* left away when it is not there */
};

struct spec_items {
	struct spec_item *items;
	size_t count, capacity;
};

struct spec {
	bool has_profile;
	enum spec_profile profile;
	struct spec_items programs, files, texts, links, modules;
	bool has_compression;
	struct compression_choice compression;
	bool has_dlopen;
	enum closure_dlopen dlopen;
};

#define SPEC_PROFILES "machine firstboot rescue custom"

/* Copies what is given; @path and @why may be NULL. */
int spec_add(struct spec_items *items, const char *source, const char *path, const char *why,
	mode_t mode, bool optional, struct caisson_error *err);
/* "SOURCE[:PATH]" of an option called @option. */
int spec_add_pair(
	struct spec_items *items, const char *text, const char *option, struct caisson_error *err);
int spec_profile_parse(const char *text, enum spec_profile *ret_profile, struct caisson_error *err);
const char *spec_profile_word(enum spec_profile profile);
/* Adds a recipe, or, of a folder, every *.json in it, in order. What it says of profile,
   compression and dlopen holds unless said before. */
int spec_read(struct spec *spec, const char *path, struct caisson_error *err);
/* Reads the text of a recipe that errors call @what. */
int spec_parse(struct spec *spec, const char *text, size_t size, const char *what,
	struct caisson_error *err);
/* Adds what the profile brings beside the guest's own programs. */
int spec_add_profile(struct spec *spec, struct caisson_error *err);
void spec_done(struct spec *spec);

#define _cleanup_spec_ _cleanup_(spec_done)
