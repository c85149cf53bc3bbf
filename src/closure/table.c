/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/table.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/macros.h"

enum {
	FIRST_CAPACITY = 64,
	ATOMS_MOST = 256 << 20, /* bytes; two thousand programs with their libraries take 2 MB */
};

void *table_find(const struct table *table, uint64_t hash,
	bool (*same)(const void *item, const void *key), const void *key)
{
	size_t mask = table->capacity - 1;

	if (table->capacity == 0)
		return NULL;
	for (size_t i = hash & mask; table->slots[i].item != NULL; i = (i + 1) & mask) {
		if (table->slots[i].hash == hash && same(table->slots[i].item, key))
			return table->slots[i].item;
	}
	return NULL;
}

static void table_put(struct table *table, uint64_t hash, void *item)
{
	size_t mask = table->capacity - 1;
	size_t i = hash & mask;

	while (table->slots[i].item != NULL)
		i = (i + 1) & mask;
	table->slots[i] = (struct table_slot){hash, item};
}

static int table_grow(struct table *table)
{
	struct table bigger = TABLE_INIT;

	bigger.capacity = table->capacity > 0 ? 2 * table->capacity : FIRST_CAPACITY;
	bigger.count = table->count;
	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < table->capacity; i++) {
		if (table->slots[i].item != NULL)
			table_put(&bigger, table->slots[i].hash, table->slots[i].item);
	}
	free(table->slots);
	*table = bigger;
	return 0;
}

int table_add(struct table *table, uint64_t hash, void *item)
{
	if (2 * table->count >= table->capacity && table_grow(table) < 0)
		return -ENOMEM;
	table_put(table, hash, item);
	table->count++;
	return 0;
}

void table_done(struct table *table)
{
	free(table->slots);
	*table = TABLE_INIT;
}

int atoms_init(struct atoms *atoms)
{
	_Static_assert(sizeof(atoms->key) == crypto_shorthash_KEYBYTES, "SipHash has 128-bit keys");

	*atoms = (struct atoms){0};
	if (getrandom(atoms->key, sizeof(atoms->key), 0) != (ssize_t)sizeof(atoms->key))
		return -EIO;
	return 0;
}

uint64_t atoms_hash(const struct atoms *atoms, const void *data, size_t size)
{
	unsigned char bytes[crypto_shorthash_BYTES];
	uint64_t hash;

	_Static_assert(sizeof(bytes) == sizeof(hash), "SipHash gives 64 bits");
	crypto_shorthash(bytes, data, size, atoms->key);
	memcpy(&hash, bytes, sizeof(hash));
	return hash;
}

struct text {
	const char *data;
	size_t length;
};

static bool same_text(const void *item, const void *key)
{
	const struct atom *atom = item;
	const struct text *text = key;

	return atom->length == text->length && memcmp(atom->text, text->data, text->length) == 0;
}

struct atom *atom_intern(struct atoms *atoms, const char *data, size_t length)
{
	uint64_t hash = atoms_hash(atoms, data, length);
	struct text text = {data, length};
	_cleanup_free_ struct atom *fresh = NULL;
	struct atom *atom = table_find(&atoms->table, hash, same_text, &text);

	if (atom != NULL)
		return atom;
	if (length > ATOMS_MOST - atoms->bytes)
		return NULL;
	fresh = calloc(1, sizeof(*fresh) + length + 1);
	if (fresh == NULL)
		return NULL;
	fresh->hash = hash;
	fresh->length = length;
	memcpy(fresh->text, data, length);
	if (table_add(&atoms->table, hash, fresh) < 0)
		return NULL;
	atoms->bytes += length;
	return take_ptr(fresh);
}

void atoms_done(struct atoms *atoms)
{
	for (size_t i = 0; i < atoms->table.capacity; i++)
		free(atoms->table.slots[i].item);
	table_done(&atoms->table);
}
