/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/installed.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/staging.h"
#include "kernel/image.h"
#include "kernel/keep.h"

enum { MANIFEST_MOST = 1 << 20, NAME_MOST = KERNEL_RELEASE_SIZE, PROFILE_MOST = 32 };

bool kernel_installed_name_valid(const char *name)
{
	return kernel_release_valid(name) && strchr(name, '-') != NULL;
}

void kernel_installed_done(struct kernel_installed *installed)
{
	free(installed->name);
	free(installed->folder);
	free(installed->release);
	free(installed->profile);
	free(installed->source);
	strv_done(&installed->arguments);
	*installed = (struct kernel_installed){.arguments = STRV_INIT};
}

void kernel_installed_list_done(struct kernel_installed_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		kernel_installed_done(&list->items[i]);
	free(list->items);
	*list = KERNEL_INSTALLED_LIST_NONE;
}

/* STATE/kernels, which need not be there: looking makes nothing. */
static char *kernels_folder(const struct state *state)
{
	return path_join(state->dir, KERNEL_INSTALLED_FOLDER);
}

/* Where the link "default" leads, when it is one of ours that is there; else NULL. */
static char *default_name(const char *kernels)
{
	_cleanup_free_ char *path = path_join(kernels, KERNEL_DEFAULT_LINK);
	char target[NAME_MOST + 2];
	ssize_t n = path != NULL ? readlink(path, target, sizeof(target)) : -1;
	struct stat st;

	if (n <= 0 || (size_t)n >= sizeof(target))
		return NULL;
	target[n] = '\0';
	if (!kernel_installed_name_valid(target) || stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return NULL;
	return strdup(target);
}

int kernel_installed_folder(
	const struct state *state, const char *name, char **ret_folder, struct caisson_error *err)
{
	_cleanup_free_ char *kernels = kernels_folder(state), *chosen = NULL, *folder = NULL;
	struct stat st;

	if (kernels == NULL)
		return caisson_fail(err, ENOMEM, "find a kernel");
	chosen = name != NULL ? strdup(name) : default_name(kernels);
	if (chosen == NULL || !kernel_installed_name_valid(chosen))
		return 0;
	folder = path_join(kernels, chosen);
	if (folder == NULL)
		return caisson_fail(err, ENOMEM, "find a kernel");
	if (lstat(folder, &st) < 0)
		return errno == EACCES ? caisson_fail(err, errno, "open %s", folder) : 0;
	if (!S_ISDIR(st.st_mode))
		return 0;
	*ret_folder = take_ptr(folder);
	return 1;
}

static int copy_text(struct json_object *object, const char *field, bool required, char **ret_text,
	struct caisson_error *err)
{
	const char *text = NULL;
	int r = json_get_string(object, field, required, &text, err);

	if (r < 0 || text == NULL)
		return r;
	*ret_text = strdup(text);
	return *ret_text != NULL ? 0 : caisson_fail(err, ENOMEM, "read a kernel's manifest");
}

static int read_size(
	struct json_object *object, const char *file, uint64_t *ret_size, struct caisson_error *err)
{
	struct json_object *files = NULL, *one = NULL;
	int r = json_get_object(object, "files", true, &files, err);

	if (r == 0)
		r = json_get_object(files, file, true, &one, err);
	return r == 0 ? json_get_uint(one, "size", true, INT64_MAX, ret_size, err) : r;
}

/* They come onto the terminal, in columns. */
static int check_names(const struct kernel_installed *installed, struct caisson_error *err)
{
	size_t length = strlen(installed->profile);

	if (!kernel_release_valid(installed->release))
		return caisson_refuse(err, EINVAL, "the field 'release' is no kernel's release");
	/* It may be one that another version of caisson has. */
	if (length == 0 || length > PROFILE_MOST ||
		strspn(installed->profile, "abcdefghijklmnopqrstuvwxyz0123456789-") != length)
		return caisson_refuse(err, EINVAL, "the field 'profile' is no profile's name");
	return 0;
}

static int read_manifest(
	struct json_object *object, struct kernel_installed *installed, struct caisson_error *err)
{
	struct json_object *source = NULL;
	uint64_t version = 0;
	int r = json_get_uint(object, "version", true, UINT32_MAX, &version, err);

	if (r == 0 && version != 1)
		r = caisson_refuse(
			err, EINVAL, "version %llu is not known here", (unsigned long long)version);
	if (r == 0)
		r = copy_text(object, "release", true, &installed->release, err);
	if (r == 0)
		r = copy_text(object, "profile", true, &installed->profile, err);
	if (r == 0)
		r = check_names(installed, err);
	if (r == 0)
		r = json_get_object(object, "source", false, &source, err);
	if (r == 0 && source != NULL)
		r = copy_text(source, "from", false, &installed->source, err);
	if (r == 0)
		r = json_get_strings(object, "arguments", false, &installed->arguments, err);
	if (r == 0)
		r = read_size(object, KERNEL_BZIMAGE, &installed->bzimage_size, err);
	if (r == 0)
		r = read_size(object, KERNEL_VMLINUX, &installed->vmlinux_size, err);
	return r;
}

int kernel_installed_read(
	const char *folder, struct kernel_installed *ret_installed, struct caisson_error *err)
{
	_cleanup_kernel_installed_ struct kernel_installed installed = {.arguments = STRV_INIT};
	_cleanup_free_ char *path = path_join(folder, KERNEL_MANIFEST);
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_json_ struct json_object *object = NULL;
	struct stat st;
	int r;

	installed.name = strdup(path_base(folder));
	installed.folder = strdup(folder);
	if (path == NULL || installed.name == NULL || installed.folder == NULL)
		return caisson_fail(err, ENOMEM, "read a kernel's manifest");
	if (stat(folder, &st) < 0)
		return caisson_fail(err, errno, "open %s", folder);
	installed.when = st.st_mtim;
	r = read_file(path, MANIFEST_MOST, &text, err);
	if (r < 0)
		return r;
	r = json_parse(text.data, text.size, path, &object, err);
	if (r < 0)
		return r;
	r = read_manifest(object, &installed, err);
	if (r < 0)
		return caisson_wrap(err, "%s", path);
	*ret_installed = installed;
	installed = (struct kernel_installed){.arguments = STRV_INIT};
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	const struct kernel_installed *x = a, *y = b;

	if (x->when.tv_sec != y->when.tv_sec)
		return x->when.tv_sec > y->when.tv_sec ? -1 : 1;
	if (x->when.tv_nsec != y->when.tv_nsec)
		return x->when.tv_nsec > y->when.tv_nsec ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int add_item(struct kernel_installed_list *list, struct kernel_installed *item,
	struct caisson_error *err)
{
	struct kernel_installed *grown =
		reallocarray(list->items, list->count + 1, sizeof(*list->items));

	if (grown == NULL)
		return caisson_fail(err, ENOMEM, "list kernels");
	list->items = grown;
	list->items[list->count++] = *item;
	*item = (struct kernel_installed){.arguments = STRV_INIT};
	return 0;
}

static int add_folder(struct kernel_installed_list *list, const char *kernels, const char *name,
	const char *chosen, const struct caisson_log *log, struct caisson_error *err)
{
	_cleanup_kernel_installed_ struct kernel_installed item = {.arguments = STRV_INIT};
	_cleanup_free_ char *folder = path_join(kernels, name);
	struct caisson_error why = {0};
	struct stat st;

	if (folder == NULL)
		return caisson_fail(err, ENOMEM, "list kernels");
	if (!kernel_installed_name_valid(name) || lstat(folder, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	if (kernel_installed_read(folder, &item, &why) < 0) {
		log_warning(log, "the kernel %s cannot be used: %s", name, why.message);
		return 0;
	}
	item.is_default = chosen != NULL && strcmp(chosen, name) == 0;
	return add_item(list, &item, err);
}

int kernel_installed_list(const struct state *state, const struct caisson_log *log,
	struct kernel_installed_list *ret_list, struct caisson_error *err)
{
	_cleanup_kernel_installed_list_ struct kernel_installed_list list =
		KERNEL_INSTALLED_LIST_NONE;
	_cleanup_free_ char *kernels = kernels_folder(state), *chosen = NULL;
	_cleanup_closedir_ DIR *folder = kernels != NULL ? opendir(kernels) : NULL;
	int r = 0;

	if (kernels == NULL)
		return caisson_fail(err, ENOMEM, "list kernels");
	if (folder == NULL && errno != ENOENT)
		return caisson_fail(err, errno, "open %s", kernels);
	chosen = default_name(kernels);
	for (struct dirent *entry; folder != NULL && r == 0 && (entry = readdir(folder)) != NULL;)
		r = add_folder(&list, kernels, entry->d_name, chosen, log, err);
	if (r < 0)
		return r;
	if (list.count > 0)
		qsort(list.items, list.count, sizeof(*list.items), newest_first);
	*ret_list = list;
	list = KERNEL_INSTALLED_LIST_NONE;
	return 0;
}

/* A link has no lock to be swept by: one that is left over is replaced by the next. */
int kernel_installed_set_default(
	const struct state *state, const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *kernels = kernels_folder(state), *link = NULL, *fresh = NULL;

	link = kernels != NULL ? path_join(kernels, KERNEL_DEFAULT_LINK) : NULL;
	fresh = kernels != NULL ? path_join(kernels, "." KERNEL_DEFAULT_LINK) : NULL;
	if (link == NULL || fresh == NULL)
		return caisson_fail(err, ENOMEM, "choose a kernel");
	if (name == NULL) {
		if (unlink(link) < 0 && errno != ENOENT)
			return caisson_fail(err, errno, "remove %s", link);
		return sync_directory(kernels, err);
	}
	(void)unlink(fresh);
	if (symlink(name, fresh) < 0 || rename(fresh, link) < 0)
		return caisson_fail(err, errno, "create %s", link);
	return sync_directory(kernels, err);
}

/* Under a hidden name first, so that half a kernel is never found. */
static int remove_folder(const char *kernels, const char *folder, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_free_ char *inside = NULL;
	int r = staging_directory(&staging, kernels, err);

	if (r < 0)
		return r;
	inside = path_join(staging.path, "removed");
	if (inside == NULL)
		return caisson_fail(err, ENOMEM, "remove %s", folder);
	if (rename(folder, inside) < 0)
		return caisson_fail(err, errno, "remove %s", folder);
	return sync_directory(kernels, err);
}

/* Nobody else adds, removes or chooses one until @ret_lock is closed. */
static int take_kernel(const struct state *state, const char *name, char **ret_kernels,
	char **ret_folder, int *ret_lock, struct caisson_error *err)
{
	_cleanup_free_ char *kernels = NULL, *folder = NULL;
	_cleanup_close_ int lock = -1;
	int r = state_folder(state, KERNEL_INSTALLED_FOLDER, &kernels, err);

	if (r == 0)
		r = keep_lock(kernels, &lock, err);
	if (r == 0)
		r = kernel_installed_folder(state, name, &folder, err);
	if (r < 0)
		return r;
	if (r == 0) {
		caisson_refuse(err, ENOENT, "there is no installed kernel '%s'", name);
		return caisson_hint(err, "'caisson kernel list' shows what there is");
	}
	*ret_kernels = take_ptr(kernels);
	*ret_folder = take_ptr(folder);
	*ret_lock = take_fd(&lock);
	return 0;
}

int kernel_installed_choose(const struct state *state, const char *name, struct caisson_error *err)
{
	_cleanup_free_ char *kernels = NULL, *folder = NULL;
	_cleanup_close_ int lock = -1;
	int r = take_kernel(state, name, &kernels, &folder, &lock, err);

	return r < 0 ? r : kernel_installed_set_default(state, name, err);
}

int kernel_installed_remove(const struct state *state, const char *name, struct caisson_error *err)
{
	_cleanup_kernel_installed_list_ struct kernel_installed_list list =
		KERNEL_INSTALLED_LIST_NONE;
	_cleanup_free_ char *kernels = NULL, *folder = NULL, *chosen = NULL;
	_cleanup_close_ int lock = -1;
	int r = take_kernel(state, name, &kernels, &folder, &lock, err);

	if (r < 0)
		return r;
	chosen = default_name(kernels);
	r = remove_folder(kernels, folder, err);
	if (r < 0 || chosen == NULL || strcmp(chosen, name) != 0)
		return r;
	r = kernel_installed_list(state, NULL, &list, err);
	if (r < 0)
		return r;
	return kernel_installed_set_default(state, list.count > 0 ? list.items[0].name : NULL, err);
}
