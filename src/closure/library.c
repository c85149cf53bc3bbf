/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/library.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/path.h"
#include "closure/dlopen.h"
#include "closure/wishes.h"

int library_set_open(struct library_set *ret_set, const char *root, const struct elf_watch *watch,
	struct caisson_error *err)
{
	int r;

	*ret_set = (struct library_set){.watch = watch};
	if (atoms_init(&ret_set->atoms) < 0)
		return caisson_refuse(err, EIO, "the kernel gives no random numbers");
	/* The root borrows the atoms, so they are in their place before it. */
	r = root_open(&ret_set->root, root, &ret_set->atoms, err);
	if (r < 0)
		atoms_done(&ret_set->atoms);
	return r;
}

void folders_done(struct folders *folders)
{
	free(folders->items);
	*folders = (struct folders){NULL, 0};
}

static void location_free(struct location *location)
{
	folders_done(&location->rpath);
	folders_done(&location->runpath);
	free(location->links);
	free(location);
}
DEFINE_CLEANUP(struct location *, location_free);

static void object_free(struct object *object)
{
	free(object->failure);
	free(object->shebang);
	free(object->requests);
	free(object->needs);
	free(object->needed_versions);
	free(object->versions);
	wishes_free(object->wishes, object->wish_count);
	free(object);
}
DEFINE_CLEANUP(struct object *, object_free);

static int say_resolve(const char *path, int r, struct caisson_error *err)
{
	if (r == -E2BIG)
		return caisson_refuse(
			err, E2BIG, "resolve %s: too many names have been looked up", path);
	return caisson_fail(err, r, "resolve %s", path);
}

static int take_trail(struct location *location, const struct trail *trail)
{
	if (trail->count == 0)
		return 0;
	location->links = calloc(trail->count, sizeof(*location->links));
	if (location->links == NULL)
		return -ENOMEM;
	memcpy(location->links, trail->links, trail->count * sizeof(*location->links));
	location->link_count = trail->count;
	return 0;
}

int library_locate(struct library_set *set, const char *path, struct location **ret_location,
	struct caisson_error *err)
{
	_cleanup_(location_freep) struct location *location = NULL;
	struct atom *atom = atom_intern(&set->atoms, path, strlen(path));
	struct trail trail;
	int r;

	if (atom != NULL && atom->location != NULL) {
		*ret_location = atom->location;
		return 0;
	}
	location = calloc(1, sizeof(*location));
	if (atom == NULL || location == NULL)
		return say_resolve(path, -ENOMEM, err);
	location->path = atom;
	r = root_resolve(&set->root, path, &trail, &location->node);
	if (r >= 0)
		r = take_trail(location, &trail);
	if (r < 0 && !root_absent(r))
		return say_resolve(path, r, err);
	location->error = r < 0 ? -r : 0;
	atom->location = *ret_location = take_ptr(location);
	return 0;
}

static int take_atom(struct atoms *atoms, const char *text, struct atom **ret_atom)
{
	if (text == NULL)
		return 0;
	*ret_atom = atom_intern(atoms, text, strlen(text));
	return *ret_atom != NULL ? 0 : -ENOMEM;
}

static int take_versions(struct atoms *atoms, const struct elf_version *from, size_t count,
	struct library_version **versions)
{
	if (count == 0)
		return 0;
	*versions = calloc(count, sizeof(**versions));
	if (*versions == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		(*versions)[i] =
			(struct library_version){.hash = from[i].hash, .weak = from[i].weak};
		if (take_atom(atoms, from[i].name, &(*versions)[i].name) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int take_needs(struct atoms *atoms, const struct elf_file *file, struct object *object)
{
	if (take_versions(atoms, file->versions, file->version_count, &object->versions) < 0 ||
		take_versions(atoms, file->needed_versions, file->needed_version_count,
			&object->needed_versions) < 0)
		return -ENOMEM;
	object->version_count = file->version_count;
	if (file->need_count == 0)
		return 0;
	object->needs = calloc(file->need_count, sizeof(*object->needs));
	if (object->needs == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < file->need_count; i++) {
		const struct elf_need *need = &file->needs[i];

		object->needs[i].versions = object->needed_versions + need->first;
		object->needs[i].count = need->count;
		if (take_atom(atoms, need->library, &object->needs[i].library) < 0)
			return -ENOMEM;
	}
	object->need_count = file->need_count;
	return 0;
}

/* From the reader's form to one in which names are compared by pointer. */
static int take_file(struct library_set *set, const struct elf_file *file, struct object *object)
{
	struct atoms *atoms = &set->atoms;

	object->linkage = file->linkage;
	object->flags_1 = file->flags_1;
	object->imports = file->imports;
	if (take_atom(atoms, file->interpreter, &object->interpreter) < 0 ||
		take_atom(atoms, file->soname, &object->soname) < 0 ||
		take_atom(atoms, file->rpath, &object->rpath) < 0 ||
		take_atom(atoms, file->runpath, &object->runpath) < 0 ||
		take_atom(atoms, file->audit, &object->audit) < 0 ||
		take_atom(atoms, file->depaudit, &object->depaudit) < 0 ||
		take_needs(atoms, file, object) < 0)
		return -ENOMEM;
	if (file->request_count == 0)
		return 0;
	object->requests = calloc(file->request_count, sizeof(*object->requests));
	if (object->requests == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < file->request_count; i++) {
		struct library_request *request = &object->requests[i];

		request->kind = file->requests[i].kind;
		if (take_atom(atoms, file->requests[i].name, &request->name) < 0)
			return -ENOMEM;
	}
	object->request_count = file->request_count;
	return 0;
}

/* Which rules it is the caller of, and what it says itself. */
static int take_callings(struct library_set *set, const struct elf_file *file, const char *name,
	struct object *object)
{
	if (set->watch == NULL)
		return 0;
	/* libc.so.6 has an interpreter of its own, and a soname. */
	if (object->soname != NULL || object->linkage == ELF_SHARED)
		object->rules = dlopen_rules_of(
			object->soname != NULL ? object->soname->text : path_base(name));
	for (size_t i = 0; i < file->notes.count; i++) {
		if (wishes_add(file->notes.items[i], &object->wishes, &object->wish_count) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The first line of a script, as much of it as the kernel looks at (fs/binfmt_script.c). */
static int read_shebang(int fd, struct object *object)
{
	char line[256];
	ssize_t size = pread(fd, line, sizeof(line) - 1, 0);

	if (size < 3 || memcmp(line, "#!", 2) != 0)
		return 0;
	line[size] = '\0';
	object->shebang = strndup(line + 2, strcspn(line + 2, "\n"));
	return object->shebang != NULL ? 0 : -ENOMEM;
}

static int read_object(struct library_set *set, int fd, const struct node *node, const char *name,
	struct object *object, struct caisson_error *err)
{
	const struct elf_input input = {.fd = fd, .size = node->size, .name = name};
	_cleanup_(elf_file_done) struct elf_file file = ELF_FILE_NONE;
	struct caisson_error why = {0};
	int r;

	r = elf_read_ident(&input, &object->ident, &why);
	object->is_elf = r >= 0;
	if (r >= 0)
		r = elf_read(&input, set->watch, &file, &why);
	if (r >= 0)
		r = take_file(set, &file, object);
	if (r >= 0)
		r = take_callings(set, &file, name, object);
	if (r == -ENOMEM)
		return caisson_fail(err, ENOMEM, "read %s", name);
	if (r >= 0)
		return 0;
	object->failure = malloc(sizeof(*object->failure));
	if (object->failure == NULL)
		return caisson_fail(err, ENOMEM, "read %s", name);
	*object->failure = why;
	if (!object->is_elf && read_shebang(fd, object) < 0)
		return caisson_fail(err, ENOMEM, "read %s", name);
	return 0;
}

static bool same_file(const void *item, const void *key)
{
	const struct object *object = item;
	const struct node *node = key;

	return object->device == node->device && object->inode == node->inode;
}

int library_read(struct library_set *set, struct location *location, struct caisson_error *err)
{
	_cleanup_(object_freep) struct object *object = NULL;
	_cleanup_free_ char *name = NULL;
	_cleanup_close_ int fd = -1;
	struct node *node = location->node;
	uint64_t hash;
	int r;

	if (location->object != NULL || (location->object = node->object) != NULL)
		return 0;
	fd = root_open_file(&set->root, node, err);
	if (fd < 0)
		return fd;
	hash = node->inode * UINT64_C(0x9e3779b97f4a7c15) ^ node->device;
	location->object = node->object = table_find(&set->objects, hash, same_file, node);
	if (node->object != NULL)
		return 0; /* a hard link */
	name = root_path(&set->root, node);
	object = calloc(1, sizeof(*object));
	if (object == NULL || name == NULL)
		return caisson_fail(err, ENOMEM, "read %s", location->path->text);
	object->device = node->device;
	object->inode = node->inode;
	r = read_object(set, fd, node, name, object, err);
	if (r < 0)
		return r;
	if (table_add(&set->objects, hash, object) < 0)
		return caisson_fail(err, ENOMEM, "read %s", name);
	location->object = node->object = take_ptr(object);
	return 0;
}

int folders_add(struct library_set *set, struct folders *folders, const char *path,
	struct caisson_error *err)
{
	enum { FOLDERS_MOST = 4096 };
	char plain[PATH_MAX];
	size_t length = strnlen(path, sizeof(plain));
	struct location *location;
	int r;

	while (length > 0 && path[length - 1] == '/')
		length--;
	if (path[0] != '/' || length == sizeof(plain))
		return 0;
	memcpy(plain, path, length);
	plain[length] = '\0';
	r = library_locate(set, length > 0 ? plain : "/", &location, err);
	if (r < 0)
		return r;
	if (location->node == NULL || location->node->kind != NODE_FOLDER)
		return 0;
	if (folders->count == FOLDERS_MOST)
		return caisson_refuse(
			err, E2BIG, "a search path has more than %d folders", (int)FOLDERS_MOST);
	if ((folders->count & (folders->count - 1)) == 0) { /* a power of two, or none: full */
		size_t capacity = folders->count > 0 ? 2 * folders->count : 1;
		void *bigger = reallocarray(folders->items, capacity, sizeof(*folders->items));

		if (bigger == NULL)
			return caisson_fail(err, ENOMEM, "read a search path");
		folders->items = bigger;
	}
	folders->items[folders->count++] = location;
	return 0;
}

void library_set_done(struct library_set *set)
{
	for (size_t i = 0; i < set->objects.capacity; i++) {
		if (set->objects.slots[i].item != NULL)
			object_free(set->objects.slots[i].item);
	}
	table_done(&set->objects);
	for (size_t i = 0; i < set->atoms.table.capacity; i++) {
		struct atom *atom = set->atoms.table.slots[i].item;

		if (atom != NULL && atom->location != NULL)
			location_free(atom->location);
	}
	root_done(&set->root);
	atoms_done(&set->atoms);
}
