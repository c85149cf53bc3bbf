/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A hash table of pointers that it does not own, and interned texts ("atoms") on top of it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
	uint64_t hash;
	void *item;
};

struct table {
	struct table_slot *slots;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

#define TABLE_INIT ((struct table){NULL, 0, 0})

void *table_find(const struct table *table, uint64_t hash,
	bool (*same)(const void *item, const void *key), const void *key);
/* @item must not be in the table yet. -ENOMEM. */
int table_add(struct table *table, uint64_t hash, void *item);
/* The items stay: they are their owner's. */
void table_done(struct table *table);

struct location;
struct loaded;

/* A text that exists once: two atoms are equal when their pointers are. */
struct atom {
	uint64_t hash;
	size_t length;
	struct location *location; /* what stands at this path (library.h) */
	/* Which object of the program at hand answers to this name (load.c): valid when
	   @generation is that program's. */
	uint64_t generation;
	struct loaded *loaded;
	char text[];
};

/* The hash is keyed (SipHash), so that hostile names cannot be made to collide. */
struct atoms {
	struct table table;
	uint8_t key[16];
	size_t bytes; /* in all texts: hostile files are not to fill the memory */
};

/* -EIO when the kernel gives no random key. */
int atoms_init(struct atoms *atoms);
/* NULL when memory, or the bound on it, runs out. */
struct atom *atom_intern(struct atoms *atoms, const char *text, size_t length);
uint64_t atoms_hash(const struct atoms *atoms, const void *data, size_t size);
void atoms_done(struct atoms *atoms);
