/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/modules.h"

#include <errno.h>
#include <libkmod.h>
#include <string.h>

#include "base/io.h"
#include "base/path.h"
#include "elf/strip.h"
#include "kernel/config.h"
#include "kernel/uncompress.h"

enum {
	MODULE_MOST = 256 << 20,
	MODULES_MOST = 4096,
	DEPTH_MOST = 64,
};

DEFINE_CLEANUP(struct kmod_ctx *, kmod_unref);
DEFINE_CLEANUP(struct kmod_module *, kmod_module_unref);
DEFINE_CLEANUP(struct kmod_list *, kmod_module_unref_list);
DEFINE_CLEANUP(struct kmod_list *, kmod_module_info_free_list);

/* One resolution under way. */
struct resolver {
	struct kmod_ctx *context;
	const struct kernel *kernel;
	bool firmware;       /* to be found, too */
	struct strv visited; /* names */
	struct module_list list;
};

void module_list_done(struct module_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].source);
		free(list->items[i].path);
		free(list->items[i].why);
		strv_done(&list->items[i].firmware);
	}
	free(list->items);
	*list = MODULE_LIST_INIT;
}

static void resolver_done(struct resolver *resolver)
{
	strv_done(&resolver->visited);
	module_list_done(&resolver->list);
	kmod_unrefp(&resolver->context);
}

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "resolve kernel modules");
}

static void stay_silent(void *data _unused_, int priority _unused_, const char *file _unused_,
	int line _unused_, const char *function _unused_, const char *format _unused_,
	va_list args _unused_)
{
}

static int open_context(
	const struct kernel *kernel, struct kmod_ctx **ret_context, struct caisson_error *err)
{
	/* None of /etc/modprobe.d: the guest is another machine. modules.softdep is read all the
	 * same. */
	static const char *const no_paths[] = {NULL};
	_cleanup_(kmod_unrefp) struct kmod_ctx *context = kmod_new(kernel->modules, no_paths);
	int r;

	if (context == NULL)
		return out_of_memory(err);
	kmod_set_log_fn(context, stay_silent, NULL);
	r = kmod_load_resources(context);
	if (r < 0) {
		caisson_fail(err, r, "read the module index in %s", kernel->modules);
		return caisson_hint(err, "run depmod %s", kernel->release);
	}
	*ret_context = take_ptr(context);
	return 0;
}

/* Without the suffix of its compression: MODULES/kernel/a/b.ko.xz is kernel/a/b.ko in the folder.
 */
static int archive_path(const struct resolver *resolver, const char *source, char **ret_path,
	struct caisson_error *err)
{
	const char *folder = kmod_get_dirname(resolver->context);
	size_t length = strlen(folder);
	const char *below = source;
	const char *suffix;

	if (strncmp(source, folder, length) == 0 && source[length] == '/' &&
		strstr(source + length, "/../") == NULL)
		below = source + length + 1;
	else /* modules.dep names it by an absolute path elsewhere */
		below = path_base(source);
	suffix = strstr(path_base(below), ".ko");
	if (suffix == NULL || strpbrk(below, " \n\t") != NULL)
		return caisson_refuse(err, EINVAL, "%s has no name of a kernel module", source);
	*ret_path = format_string("/lib/modules/%s/%s%.*s", resolver->kernel->release,
		below == path_base(source) ? "extra/" : "", (int)(suffix - below) + 3, below);
	return *ret_path != NULL ? 0 : out_of_memory(err);
}

/* "firmware=" of .modinfo. What cannot be read will be told of when the module is packed. */
static void find_firmware(struct kmod_module *module, struct strv *firmware)
{
	_cleanup_(kmod_module_info_free_listp) struct kmod_list *info = NULL;
	const struct kmod_list *item;

	if (kmod_module_get_info(module, &info) < 0)
		return;
	kmod_list_foreach(item, info)
	{
		const char *value = kmod_module_info_get_value(item);

		if (strcmp(kmod_module_info_get_key(item), "firmware") == 0 && value != NULL &&
			value[0] != '/' && strstr(value, "..") == NULL)
			strv_add(firmware, value);
	}
}

static int append(struct resolver *resolver, struct kmod_module *module, const char *why,
	struct caisson_error *err)
{
	const char *source = kmod_module_get_path(module);
	struct module_list *list = &resolver->list;
	_cleanup_free_ char *path = NULL;
	struct module *item;
	int r;

	r = archive_path(resolver, source, &path, err);
	if (r < 0)
		return r;
	if (list->count == list->capacity) {
		size_t capacity = MAX(list->capacity * 2, (size_t)32);
		void *items = reallocarray(list->items, capacity, sizeof(*list->items));

		if (items == NULL)
			return out_of_memory(err);
		list->items = items;
		list->capacity = capacity;
	}
	item = &list->items[list->count];
	*item = (struct module){.source = strdup(source), .why = strdup(why)};
	list->count++;
	if (item->source == NULL || item->why == NULL)
		return out_of_memory(err);
	item->path = take_ptr(path);
	if (resolver->firmware)
		find_firmware(module, &item->firmware);
	return strv_ok(&item->firmware) ? 0 : out_of_memory(err);
}

static int visit(struct resolver *resolver, struct kmod_module *module, const char *why,
	unsigned int depth, struct caisson_error *err);

static int visit_list(struct resolver *resolver, const struct kmod_list *modules, const char *name,
	unsigned int depth, struct caisson_error *err)
{
	const struct kmod_list *item;
	char why[128];

	snprintf(why, sizeof(why), "for the module %s", name);
	kmod_list_foreach(item, modules)
	{
		_cleanup_(kmod_module_unrefp) struct kmod_module *module =
			kmod_module_get_module(item);
		int r = visit(resolver, module, why, depth + 1, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* What it needs, then itself, then what it would like to come after it. */
static int visit(struct resolver *resolver, struct kmod_module *module, const char *why,
	unsigned int depth, struct caisson_error *err)
{
	_cleanup_(kmod_module_unref_listp) struct kmod_list *before = NULL, *needed = NULL,
							    *after = NULL;
	const char *name = kmod_module_get_name(module);
	const char *source = kmod_module_get_path(module);
	int r;

	/* Built in, or a soft dependency that is not there. */
	if (source == NULL || strv_contains(&resolver->visited, name))
		return 0;
	if (depth > DEPTH_MOST || resolver->visited.count >= MODULES_MOST)
		return caisson_refuse(err, ELOOP, "the module %s depends on too many others", name);
	strv_add(&resolver->visited, name);
	if (!strv_ok(&resolver->visited))
		return out_of_memory(err);
	/* Negative when there are none to be had; the lists stay empty then. */
	(void)kmod_module_get_softdeps(module, &before, &after);
	needed = kmod_module_get_dependencies(module);
	r = visit_list(resolver, before, name, depth, err);
	if (r == 0)
		r = visit_list(resolver, needed, name, depth, err);
	if (r == 0)
		r = append(resolver, module, why, err);
	if (r == 0)
		r = visit_list(resolver, after, name, depth, err);
	return r;
}

static int resolve_one(struct resolver *resolver, const struct kernel_papers *papers,
	const struct kernel_requirement *requirement, struct caisson_error *err)
{
	_cleanup_(kmod_module_unrefp) struct kmod_module *module = NULL;
	_cleanup_free_ char *why = NULL;
	const char *source;
	int r;

	r = kmod_module_new_from_name(resolver->context, requirement->module, &module);
	if (r < 0)
		return caisson_fail(err, r, "look for the module %s", requirement->module);
	source = kmod_module_get_path(module);
	if (source == NULL) {
		/* kernel_check() has seen it in modules.dep: libkmod reads modules.dep.bin. */
		if (requirement->optional || !kernel_modules_contain(papers->dep.data,
						     papers->dep.size, requirement->module))
			return 0;
		caisson_refuse(err, ESTALE,
			"the module index in %s is out of date: %s is not in it",
			resolver->kernel->modules, requirement->module);
		return caisson_hint(err, "run depmod %s", resolver->kernel->release);
	}
	if (access(source, R_OK) < 0) {
		if (requirement->optional)
			return 0;
		return caisson_fail(err, errno, "read the module %s", source);
	}
	why = format_string("%s, without which %s", requirement->option, requirement->reason);
	return why != NULL ? visit(resolver, module, why, 0, err) : out_of_memory(err);
}

/* By name, or by an alias, which may stand for several. */
static int resolve_wanted(
	struct resolver *resolver, const struct spec_item *wanted, struct caisson_error *err)
{
	_cleanup_(kmod_module_unref_listp) struct kmod_list *found = NULL;
	_cleanup_free_ char *why =
		format_string("asked for by %s", wanted->why != NULL ? wanted->why : "the recipe");
	const struct kmod_list *item;
	int r = kmod_module_new_from_lookup(resolver->context, wanted->source, &found);

	if (why == NULL)
		return out_of_memory(err);
	if (r < 0 || found == NULL) {
		if (wanted->optional)
			return 0;
		caisson_refuse(err, ENOENT, "the kernel %s has no module %s, %s",
			resolver->kernel->release, wanted->source, why);
		return caisson_hint(err, "modules are named as modinfo(8) names them");
	}
	kmod_list_foreach(item, found)
	{
		_cleanup_(kmod_module_unrefp) struct kmod_module *module =
			kmod_module_get_module(item);

		r = visit(resolver, module, why, 0, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int modules_resolve(const struct kernel *kernel, unsigned int features,
	const struct spec_items *wanted, struct module_list *ret_list, struct caisson_error *err)
{
	_cleanup_(resolver_done) struct resolver resolver = {
		NULL, kernel, false, STRV_INIT, MODULE_LIST_INIT};
	_cleanup_kernel_papers_ struct kernel_papers papers = {0};
	size_t count;
	const struct kernel_requirement *table = kernel_requirements(&count);
	int r;

	r = kernel_check(kernel, features, err);
	if (r == 0 && kernel->modules != NULL)
		r = kernel_papers_read(kernel, &papers, err);
	if (r == 0 && kernel->modules != NULL)
		r = open_context(kernel, &resolver.context, err);
	for (size_t i = 0; r == 0 && kernel->modules != NULL && i < count; i++) {
		if ((table[i].feature & features) != 0 && table[i].module != NULL &&
			!table[i].on_demand)
			r = resolve_one(&resolver, &papers, &table[i], err);
	}
	/* What a machine is made of asks for none; reading every module costs more than finding it.
	 */
	resolver.firmware = true;
	for (size_t i = 0; r == 0 && kernel->modules != NULL && wanted != NULL && i < wanted->count;
		i++)
		r = resolve_wanted(&resolver, &wanted->items[i], err);
	if (r < 0)
		return r;
	*ret_list = resolver.list;
	resolver.list = MODULE_LIST_INIT;
	return 0;
}

/* "~Module signature appended~" ends a signed module (kernel/module/signing.c): elf_strip() leaves
   such a file alone, as something stands behind its end. */
static int add_stripped(const char *path, const struct elf_input *input, struct strbuf *buffer,
	bool *ret_added, struct caisson_error *err)
{
	const char *why = NULL;
	int r = elf_strip(input, buffer, &why, err);

	if (r < 0)
		return caisson_wrap(err, "%s", path);
	*ret_added = why == NULL;
	return 0;
}

int module_read(const char *path, struct strbuf *buffer, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf file = STRBUF_INIT, plain = STRBUF_INIT;
	const struct strbuf *module = &file;
	struct elf_input input = {.fd = -1, .name = path};
	size_t length = strlen(path);
	bool added = false;
	int r = read_file(path, MODULE_MOST, &file, err);

	if (r == 0 && (length < 3 || strcmp(path + length - 3, ".ko") != 0)) {
		r = uncompress_data(file.data, file.size, MODULE_MOST, path, &plain, NULL, err);
		module = &plain;
	}
	if (r < 0)
		return r;
	input.data = (const uint8_t *)(module->data != NULL ? module->data : "");
	input.size = module->size;
	r = add_stripped(path, &input, buffer, &added, err);
	if (r < 0 || added)
		return r;
	strbuf_add(buffer, module->data, module->size);
	return strbuf_ok(buffer) ? 0 : caisson_fail(err, ENOMEM, "read %s", path);
}

int module_strip(
	int fd, uint64_t size, const char *path, struct strbuf *buffer, struct caisson_error *err)
{
	const struct elf_input input = {.fd = fd, .size = size, .name = path};
	bool added = false;
	int r = add_stripped(path, &input, buffer, &added, err);

	return r < 0 ? r : added;
}
