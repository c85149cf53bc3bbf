/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Base archives in STATE/initramfs: KEY.img, and beside it RECIPE.deps, a manifest:
 *
 *   caisson-initramfs 2
 *   boot ID                          of the host: nothing is synced, or used, beyond it
 *   archive KEY.img DEV INODE SIZE MTIME
 *   input IDENTITY PATH              one line for each file that decides about the archive
 *   end
 *
 * RECIPE is the SHA-256 of what the caller asked for, KEY that of the recipe and all inputs with
 * their identities. A hit reads the manifest and stats what it lists: no ELF file, no module index.
 * Whatever is not exactly as the manifest says is built anew.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "base/log.h"
#include "base/path.h"
#include "base/staging.h"
#include "boot/build.h"
#include "boot/compress.h"
#include "kernel/keep.h"

#define MANIFEST_MAGIC "caisson-initramfs 2\n"
#define BOOT_ID        "/proc/sys/kernel/random/boot_id"
enum { MANIFEST_MOST = 8 << 20, ATTEMPTS = 3 };

static int out_of_memory(struct caisson_error *err)
{
	return caisson_fail(err, ENOMEM, "look for a boot archive");
}

/* "input IDENTITY PATH"; of a link, its own identity and that of what it leads to. */
static void add_input(struct strbuf *text, const char *path)
{
	struct stat st;

	strbuf_add_string(text, "input ");
	if (lstat(path, &st) < 0) {
		strbuf_add_string(text, "absent");
	} else {
		keep_identity(text, &st, true);
		if (S_ISLNK(st.st_mode) && stat(path, &st) == 0) {
			strbuf_add_char(text, '>');
			keep_identity(text, &st, true);
		}
	}
	strbuf_add_format(text, " %s\n", path);
}

/* A hard link to the archive (a machine that pins it) changes its ctime, not its contents. */
static int add_archive(struct strbuf *text, const char *folder, const char *name, char **ret_path)
{
	_cleanup_free_ char *path = path_join(folder, name);
	struct stat st;

	if (path == NULL)
		return -ENOMEM;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	strbuf_add_format(text, "archive %s ", name);
	keep_identity(text, &st, false);
	strbuf_add_char(text, '\n');
	*ret_path = take_ptr(path);
	return 0;
}

static void describe_items(const struct spec_items *items, const char *word, struct strbuf *text)
{
	for (size_t i = 0; i < items->count; i++) {
		const struct spec_item *item = &items->items[i];

		/* A text may hold anything: its size keeps it apart from what follows. */
		strbuf_add_format(text, "%s %zu %s\n  at %s %o %d\n", word, strlen(item->source),
			item->source, item->path != NULL ? item->path : "-",
			(unsigned int)item->mode, item->optional);
	}
}

static void describe_spec(const struct spec *spec, struct strbuf *text)
{
	describe_items(&spec->programs, "named", text);
	describe_items(&spec->files, "file", text);
	describe_items(&spec->texts, "text", text);
	describe_items(&spec->links, "symlink", text);
	describe_items(&spec->modules, "module", text);
}

static void describe_microcode(const struct initramfs_microcode *microcode, struct strbuf *text)
{
	if (microcode == NULL)
		return;
	for (size_t i = 0; i < microcode->intel_count; i++)
		strbuf_add_format(text, "intel microcode %s\n", microcode->intel[i]);
	for (size_t i = 0; i < microcode->amd_count; i++)
		strbuf_add_format(text, "amd microcode %s\n", microcode->amd[i]);
}

/* "boot ID": what is kept is good for one start of the host. */
static void describe_boot(struct strbuf *text)
{
	_cleanup_strbuf_ struct strbuf id = STRBUF_INIT;

	if (read_file(BOOT_ID, 64, &id, NULL) < 0 || id.data == NULL)
		return;
	id.data[strcspn(id.data, "\n")] = '\0';
	strbuf_add_format(text, "boot %s\n", id.data);
}

/* All that the caller asked for, in one text. */
static int describe_recipe(
	const struct initramfs_recipe *recipe, struct strbuf *text, struct caisson_error *err)
{
	const struct kernel *kernel = recipe->kernel;
	int level;
	int r = compression_level(recipe->compression, recipe->level, &level, err);

	if (r < 0)
		return r;
	describe_boot(text);
	strbuf_add_format(text, "caisson %s\nfeatures %x\ntime %u\ndlopen %d\nroot %s\n",
		CAISSON_VERSION, recipe->features, recipe->time, (int)recipe->dlopen,
		recipe->root != NULL ? recipe->root : "-");
	if (kernel != NULL)
		strbuf_add_format(text, "kernel %s\nmodules %s\nconfig %s\n", kernel->release,
			kernel->modules != NULL ? kernel->modules : "-",
			kernel->config != NULL ? kernel->config : "-");
	describe_microcode(recipe->microcode, text);
	if (recipe->spec != NULL)
		describe_spec(recipe->spec, text);
	strbuf_add_format(text, "compression %s %d%s\n", compression_word(recipe->compression),
		level, recipe->compression == COMPRESSION_AUTO ? " or none" : "");
	for (size_t i = 0; i < recipe->program_count; i++) {
		const struct initramfs_program *program = &recipe->programs[i];
		_cleanup_free_ char *source = NULL;

		r = recipe_program_source(program, &source, err);
		if (r < 0)
			return r;
		strbuf_add_format(text, "program %s\n  at %s\n", source,
			program->path != NULL ? program->path : "-");
	}
	for (size_t i = 0; i < recipe->link_count; i++)
		strbuf_add_format(
			text, "link %s\n  to %s\n", recipe->links[i].path, recipe->links[i].target);
	return strbuf_ok(text) ? 0 : out_of_memory(err);
}

/* The next line of @text, without its line feed; NULL when no whole line is left. */
static char *next_line(char **text)
{
	char *line = *text;
	char *feed = line != NULL ? strchr(line, '\n') : NULL;

	if (feed == NULL)
		return NULL;
	*feed = '\0';
	*text = feed + 1;
	return line;
}

/* Whether @line says the same as the file at the path behind its second space says now. */
static bool input_matches(const char *line)
{
	_cleanup_strbuf_ struct strbuf now = STRBUF_INIT;
	const char *space = strchr(line, ' ');

	space = space != NULL ? strchr(space + 1, ' ') : NULL;
	if (space == NULL)
		return false;
	add_input(&now, space + 1);
	return strbuf_ok(&now) && now.size == strlen(line) + 1 &&
	       memcmp(now.data, line, now.size - 1) == 0;
}

static bool archive_matches(const char *line, const char *folder, char **ret_path)
{
	_cleanup_strbuf_ struct strbuf now = STRBUF_INIT;
	_cleanup_free_ char *name = NULL, *path = NULL;

	if (sscanf(line, "archive %ms ", &name) != 1 || strchr(name, '/') != NULL ||
		add_archive(&now, folder, name, &path) < 0 || !strbuf_ok(&now) ||
		now.size != strlen(line) + 1 || memcmp(now.data, line, now.size - 1) != 0)
		return false;
	*ret_path = take_ptr(path);
	return true;
}

/* The archive that the manifest leads to, when all is as it says; else NULL. */
static char *look_up(const char *folder, const char *manifest)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *file = path_join(folder, manifest), *path = NULL;
	char *rest, *line;

	if (file == NULL || read_file(file, MANIFEST_MOST, &text, NULL) < 0 ||
		text.size < strlen(MANIFEST_MAGIC) || strlen(text.data) != text.size ||
		strncmp(text.data, MANIFEST_MAGIC, strlen(MANIFEST_MAGIC)) != 0)
		return NULL;
	rest = text.data + strlen(MANIFEST_MAGIC);
	line = next_line(&rest); /* the boot, which the name of the manifest stands for */
	line = next_line(&rest);
	if (line == NULL || !archive_matches(line, folder, &path))
		return NULL;
	while ((line = next_line(&rest)) != NULL && strcmp(line, "end") != 0) {
		if (!input_matches(line))
			return NULL;
	}
	return line != NULL && *rest == '\0' ? take_ptr(path) : NULL;
}

static int write_manifest(const char *folder, const char *manifest, const char *archive,
	const struct strbuf *inputs, char **ret_path, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *path = NULL;
	int r;

	strbuf_add_string(&text, MANIFEST_MAGIC);
	describe_boot(&text);
	r = add_archive(&text, folder, archive, &path);
	if (r < 0)
		return caisson_fail(err, r, "find the boot archive %s again", archive);
	strbuf_add(&text, inputs->data, inputs->size);
	strbuf_add_string(&text, "end\n");
	if (!strbuf_ok(&text))
		return out_of_memory(err);
	r = staging_file(&staging, folder, err);
	if (r == 0)
		r = write_all(staging.fd, text.data, text.size, manifest, err);
	if (r == 0)
		r = keep_publish_unsynced(&staging, manifest, err);
	if (r == 0)
		*ret_path = take_ptr(path);
	return r;
}

static int identify(const struct strv *paths, struct strbuf *ret_text, struct caisson_error *err)
{
	strbuf_clear(ret_text);
	for (size_t i = 0; i < paths->count; i++)
		add_input(ret_text, paths->items[i]);
	return strbuf_ok(ret_text) ? 0 : out_of_memory(err);
}

static int archive_name(const struct strbuf *recipe, const struct strbuf *inputs, char **ret_name,
	struct caisson_error *err)
{
	_cleanup_(digest_freep) struct digest *digest = NULL;
	char hex[DIGEST_HEX_SIZE];
	int r = digest_new(&digest, err);

	if (r == 0)
		r = digest_add(digest, recipe->data, recipe->size, err);
	if (r == 0)
		r = digest_add(digest, inputs->data, inputs->size, err);
	if (r == 0)
		r = digest_hex(digest, hex, err);
	if (r < 0)
		return r;
	*ret_name = format_string("%s.img", hex);
	return *ret_name != NULL ? 0 : out_of_memory(err);
}

/* -ESTALE when an input changed on the way. */
static int build(const char *folder, const struct initramfs_recipe *recipe,
	const struct strbuf *description, const char *manifest, const struct caisson_log *log,
	char **ret_path, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_archive_ struct archive archive = ARCHIVE_INIT;
	_cleanup_strv_ struct strv paths = STRV_INIT;
	_cleanup_strbuf_ struct strbuf before = STRBUF_INIT, after = STRBUF_INIT;
	_cleanup_free_ char *name = NULL;
	int r;

	r = recipe_collect(recipe, &archive, &paths, err);
	if (r == 0)
		r = identify(&paths, &before, err);
	if (r == 0)
		r = archive_name(description, &before, &name, err);
	if (r == 0)
		r = staging_file(&staging, folder, err);
	if (r == 0)
		r = initramfs_write(&archive, recipe, staging.fd, log, err);
	if (r == 0)
		r = identify(&paths, &after, err);
	if (r < 0)
		return r;
	if (before.size != after.size || memcmp(before.data, after.data, after.size) != 0)
		return caisson_refuse(
			err, ESTALE, "programs or modules change while they are packed");
	r = keep_publish_unsynced(&staging, name, err);
	if (r == 0)
		r = write_manifest(folder, manifest, name, &after, ret_path, err);
	return r;
}

/* Whether a manifest is of this start of the host; it names its archive then. */
static bool is_current(const char *path, char **ret_archive)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT, boot = STRBUF_INIT;
	size_t magic = strlen(MANIFEST_MAGIC);

	describe_boot(&boot);
	if (boot.data == NULL || read_file(path, MANIFEST_MOST, &text, NULL) < 0 ||
		text.size < magic + boot.size || memcmp(text.data, MANIFEST_MAGIC, magic) != 0 ||
		memcmp(text.data + magic, boot.data, boot.size) != 0)
		return false;
	return sscanf(text.data + magic + boot.size, "archive %ms ", ret_archive) == 1;
}

static bool ends(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length > tail && strcmp(text + length - tail, end) == 0;
}

/* What an earlier start of the host has left, and archives without a manifest. The folder is
   locked; what cannot be removed stays. */
static void sweep(const char *folder)
{
	_cleanup_strv_ struct strv names = STRV_INIT, current = STRV_INIT;
	_cleanup_closedir_ DIR *dir = opendir(folder);

	if (dir == NULL)
		return;
	for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		_cleanup_free_ char *path = path_join(folder, entry->d_name), *archive = NULL;

		if (path == NULL || !ends(entry->d_name, ".deps")) {
			if (ends(entry->d_name, ".img"))
				strv_add(&names, entry->d_name);
		} else if (is_current(path, &archive)) {
			strv_add_owned(&current, take_ptr(archive));
		} else {
			(void)unlink(path);
		}
	}
	if (!strv_ok(&names) || !strv_ok(&current))
		return;
	for (size_t i = 0; i < names.count; i++) {
		_cleanup_free_ char *path = path_join(folder, names.items[i]);

		if (path != NULL && !strv_contains(&current, names.items[i]))
			(void)unlink(path);
	}
}

int initramfs_base(const struct state *state, const struct initramfs_recipe *recipe,
	const struct caisson_log *log, char **ret_path, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf description = STRBUF_INIT;
	_cleanup_free_ char *folder = NULL, *manifest = NULL, *path = NULL;
	_cleanup_close_ int lock = -1;
	char hex[DIGEST_HEX_SIZE];
	int r;

	r = describe_recipe(recipe, &description, err);
	if (r == 0)
		r = digest_of(description.data, description.size, hex, err);
	if (r == 0)
		r = state_folder(state, "initramfs", &folder, err);
	if (r < 0)
		return r;
	manifest = format_string("%s.deps", hex);
	if (manifest == NULL)
		return out_of_memory(err);
	path = look_up(folder, manifest);
	if (path == NULL) {
		r = keep_lock(folder, &lock, err);
		if (r < 0)
			return r;
		path = look_up(folder, manifest);
		if (path == NULL)
			sweep(folder);
	}
	for (int i = 0; path == NULL && i < ATTEMPTS; i++) {
		r = build(folder, recipe, &description, manifest, log, &path, err);
		if (r < 0 && r != -ESTALE)
			return r;
	}
	if (path == NULL)
		return r;
	*ret_path = take_ptr(path);
	return 0;
}
