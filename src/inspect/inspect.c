/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/inspect.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "elf/reader.h"
#include "inspect/microcode.h"

/* The public structure, and what its pointers point to. */
struct info {
	struct caisson_initramfs_info info; /* first */
	struct caisson_initramfs_member *members;
	struct microcodes microcode;
	struct strv releases, texts;
};

void initramfs_info_free(struct caisson_initramfs_info *public_info)
{
	struct info *info = (struct info *)public_info;

	if (info == NULL)
		return;
	free(info->members);
	free(info->microcode.items);
	strv_done(&info->releases);
	strv_done(&info->texts);
	free(info);
}

static void info_freep(struct info **info)
{
	if (*info != NULL)
		initramfs_info_free(&(*info)->info);
}

/* Takes @text; NULL stays NULL, and memory that ran out is seen at the end. */
static const char *keep(struct info *info, char *text)
{
	if (text != NULL)
		text_flatten(text);
	strv_add_owned(&info->texts, text);
	return strv_ok(&info->texts) ? info->texts.items[info->texts.count - 1] : NULL;
}

/* "usr/lib/modules/6.1.0/kernel" is of 6.1.0. */
static const char *below_modules(const char *path)
{
	static const char *const folders[] = {"lib/modules/", "usr/lib/modules/"};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		size_t size = strlen(folders[i]);

		if (strncmp(path, folders[i], size) == 0)
			return path + size;
	}
	return NULL;
}

void inspect_releases(const struct rootfs *root, struct strv *releases)
{
	for (size_t i = 0; i < root->count; i++) {
		const char *release = below_modules(root->entries[i].path);

		if (release != NULL && *release != '\0' && strchr(release, '/') == NULL &&
			S_ISDIR(root->files[root->entries[i].file].mode) &&
			!strv_contains(releases, release) && releases->count < 64)
			strv_add(releases, release);
	}
}

static char *script_kind(const struct rootfs_file *file)
{
	const char *line = (const char *)file->data + 2;
	size_t size = MIN((size_t)file->size - 2, (size_t)256);
	const char *end = memchr(line, '\n', size);

	if (end != NULL)
		size = (size_t)(end - line);
	for (; size > 0 && (*line == ' ' || *line == '\t'); line++)
		size--;
	return format_string("script (%.*s)", (int)size, line);
}

static char *elf_kind(const struct rootfs_file *file)
{
	static const char *const kinds[] = {[ELF_STATIC] = "static",
		[ELF_STATIC_PIE] = "static-pie",
		[ELF_DYNAMIC] = "dynamic",
		[ELF_SHARED] = "shared library"};
	const struct elf_input input = {file->data, -1, file->size, "it"};
	struct elf_file elf = ELF_FILE_NONE;
	char *text;

	if (elf_read(&input, NULL, &elf, NULL) < 0)
		return strdup("damaged ELF file");
	text = elf.interpreter != NULL ? format_string("program (%s)", elf.interpreter)
				       : format_string("program (%s)", kinds[elf.linkage]);
	elf_file_done(&elf);
	return text;
}

char *inspect_program(struct rootfs *root, const char *path)
{
	const struct rootfs_file *file = rootfs_resolve(root, path);

	if (file == NULL)
		return strdup("missing");
	if (!S_ISREG(file->mode))
		return strdup("no file");
	if (file->size >= 2 && memcmp(file->data, "#!", 2) == 0)
		return script_kind(file);
	if (file->size >= 4 && memcmp(file->data, "\177ELF", 4) == 0)
		return elf_kind(file);
	return strdup("neither program nor script");
}

/* What each maker of archives leaves behind. */
static const struct {
	const char *path, *maker;
} makers[] = {
	{"etc/caisson/modules", "caisson"},
	{"usr/lib/dracut", "dracut"},
	{"lib/dracut", "dracut"},
	{"conf/initramfs.conf", "initramfs-tools"},
	{"etc/booster.init.yaml", "booster"},
	{"init_functions", "mkinitcpio"},
	{"etc/mkosi-initrd", "mkosi-initrd"},
};

/* usr/lib/dracut/dracut-059-4 */
static char *dracut_version(const struct rootfs *root)
{
	for (size_t i = 0; i < root->count; i++) {
		const char *at = strstr(root->entries[i].path, "lib/dracut/dracut-");

		if (at != NULL && strchr(at + strlen("lib/dracut/"), '/') == NULL)
			return format_string("dracut %s", at + strlen("lib/dracut/dracut-"));
	}
	return strdup("dracut");
}

static void find_maker(struct info *info, const struct rootfs *root)
{
	for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
		if (rootfs_entry(root, makers[i].path) == NULL)
			continue;
		info->info.maker = makers[i].maker;
		if (strcmp(makers[i].maker, "dracut") == 0)
			info->info.maker = keep(info, dracut_version(root));
		return;
	}
}

static void find_init(struct info *info, struct rootfs *root)
{
	_cleanup_free_ char *real = rootfs_real(root, "init");
	const struct rootfs_entry *entry = real != NULL ? rootfs_entry(root, real) : NULL;
	const struct rootfs_file *file;

	if (entry == NULL)
		return;
	file = &root->files[entry->file];
	info->info.init =
		keep(info, S_ISLNK(file->mode) ? strndup((const char *)file->data, file->size)
					       : strdup("/init"));
	info->info.init_kind = keep(info, inspect_program(root, "init"));
}

/* One member into @root as far as it can be read. */
static int inspect_member(struct info *info, struct rootfs *root, size_t index, bool *early,
	const char *what, struct caisson_error *err)
{
	const struct member *member = &root->members.items[index];
	struct caisson_initramfs_member *to = &info->members[index];
	struct caisson_error why = {0};
	struct cpio_reader reader;
	struct cpio_entry entry;
	int r;

	*to = (struct caisson_initramfs_member){.offset = member->offset,
		.size = member->size,
		.content = member->data_size,
		.compression = packed_name(member->stream.form),
		.check = member->stream.check,
		.window = member->stream.window,
		.refused = member->stream.refused};
	*early = *early && member->stream.form == PACKED_NONE;
	cpio_reader_init(&reader, member->data, member->data_size);
	while (reader.offset < reader.size && (r = cpio_read(&reader, &entry, &why)) == 1) {
		to->entries++;
		if (microcode_is(entry.path) && S_ISREG(entry.mode) &&
			microcode_read(&info->microcode, entry.path, entry.data, entry.size, index,
				!*early) < 0)
			return caisson_fail(err, ENOMEM, "inspect %s", what);
	}
	if (why.code == 0)
		(void)rootfs_add_member(root, member, index, what, &why);
	if (why.code == ENOMEM) {
		*err = why;
		return -ENOMEM;
	}
	if (why.code != 0)
		to->damage = keep(info, strdup(why.message));
	return 0;
}

static int fill(struct info *info, struct rootfs *root, const char *what, struct caisson_error *err)
{
	bool early = true;
	int r = 0;

	info->members = calloc(root->members.count + 1, sizeof(*info->members));
	if (info->members == NULL)
		return caisson_fail(err, ENOMEM, "inspect %s", what);
	for (size_t i = 0; r == 0 && i < root->members.count; i++)
		r = inspect_member(info, root, i, &early, what, err);
	if (r == 0)
		r = rootfs_finish(root, err);
	if (r < 0)
		return r;
	inspect_releases(root, &info->releases);
	for (size_t i = 0; i < info->releases.count; i++)
		text_flatten(info->releases.items[i]);
	find_init(info, root);
	find_maker(info, root);
	return 0;
}

int initramfs_inspect(int fd, const char *what, struct caisson_initramfs_info **ret_info,
	struct caisson_error *err)
{
	static const char *const none[] = {NULL};
	_cleanup_(info_freep) struct info *info = calloc(1, sizeof(*info));
	_cleanup_rootfs_ struct rootfs root = ROOTFS_NONE;
	struct caisson_error damage = {0};
	int r;

	if (info == NULL)
		return caisson_fail(err, ENOMEM, "inspect %s", what);
	r = rootfs_new(&root, err);
	if (r == 0)
		r = members_read_file(fd, what, &root.members, err);
	if (r < 0)
		return r;
	r = members_read(&root.members, MEMBER_CONTENT_MOST, what, &damage);
	if (r == -ENOMEM || (r < 0 && root.members.count == 0)) {
		*err = damage;
		return r;
	}
	if (r < 0)
		info->info.damage = keep(info, strdup(damage.message));
	r = fill(info, &root, what, err);
	if (r < 0)
		return r;
	if (!strv_ok(&info->texts) || !strv_ok(&info->releases))
		return caisson_fail(err, ENOMEM, "inspect %s", what);
	info->info.size = root.members.file.size;
	info->info.members = info->members;
	info->info.member_count = root.members.count;
	info->info.microcode = info->microcode.items;
	info->info.microcode_count = info->microcode.count;
	info->info.equivalences = info->microcode.equivalences;
	info->info.releases =
		info->releases.count > 0 ? (const char *const *)info->releases.items : none;
	*ret_info = &take_ptr(info)->info;
	return 0;
}
