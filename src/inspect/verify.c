/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/verify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "boot/modules_list.h"
#include "inspect/extract.h"
#include "inspect/inspect.h"

int verify_tell(struct verification *verification, const char *path, const char *format, ...)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *name = path != NULL ? strdup(path) : NULL;
	va_list args;
	int r;

	va_start(args, format);
	strbuf_add_formatv(&text, format, args);
	va_end(args);
	if (!strbuf_ok(&text) || (path != NULL && name == NULL))
		return -ENOMEM;
	text_flatten(text.data);
	if (name != NULL)
		text_flatten(name);
	verification->count++;
	r = verification->each(name, text.data, verification->userdata);
	return MIN(r, 0);
}

static bool has_option(const struct verification *verification, const char *option)
{
	return !verification->papers.has_config ||
	       kernel_config_value(verification->papers.config.data,
		       verification->papers.config.size, option) == 'y';
}

static int verify_members(struct verification *verification)
{
	const struct members *members = &verification->root->members;
	int r = 0;

	if (!has_option(verification, "CONFIG_BLK_DEV_INITRD"))
		r = verify_tell(verification, NULL, "the kernel has no CONFIG_BLK_DEV_INITRD");
	for (size_t i = 0; r == 0 && i < members->count; i++) {
		const struct packed_facts *facts = &members->items[i].stream;
		const char *option = packed_option(facts->form);

		if (facts->refused != NULL)
			r = verify_tell(verification, NULL, "no kernel takes member %zu: %s", i + 1,
				facts->refused);
		if (r == 0 && option != NULL && !has_option(verification, option))
			r = verify_tell(verification, NULL,
				"the kernel has no %s, and cannot take member %zu", option, i + 1);
	}
	return r;
}

static int verify_entries(struct verification *verification)
{
	const struct rootfs *root = verification->root;
	int r = 0;

	for (size_t i = 0; r == 0 && i < root->problem_count; i++)
		r = verify_tell(verification, root->problems[i].path, "%s", root->problems[i].why);
	return r;
}

static int verify_init(struct verification *verification)
{
	struct rootfs *root = verification->root;
	const struct rootfs_file *file = rootfs_resolve(root, "init");
	_cleanup_free_ char *kind = NULL;

	if (file == NULL)
		return verify_tell(verification, "init",
			"it is not there: the kernel would go on to mount a root filesystem");
	if (!S_ISREG(file->mode))
		return verify_tell(verification, "init", "it is no file");
	if ((file->mode & 0100) == 0)
		return verify_tell(verification, "init", "it is not executable");
	kind = inspect_program(root, "init");
	if (kind == NULL)
		return -ENOMEM;
	if (strncmp(kind, "script ", 7) != 0 && strncmp(kind, "program ", 8) != 0)
		return verify_tell(verification, "init", "the kernel cannot start it: %s", kind);
	return 0;
}

/* The kernel opens it for init. It makes one itself, in front of every archive. */
static int verify_console(struct verification *verification)
{
	struct rootfs *root = verification->root;
	const struct rootfs_entry *entry = rootfs_entry(root, "dev/console");
	const struct rootfs_file *file;

	if (entry == NULL)
		return 0;
	file = &root->files[entry->file];
	if (S_ISCHR(file->mode) && file->major == 5 && file->minor == 1)
		return 0;
	return verify_tell(verification, "dev/console",
		"it is not the console (character device 5:1): init would have no output");
}

/* caisson's own list of modules. */
static int verify_list(struct verification *verification)
{
	const struct rootfs_file *file = rootfs_resolve(verification->root, INITRAMFS_MODULES_LIST);
	const char *line, *end;
	int r = 0;

	if (file == NULL || !S_ISREG(file->mode))
		return 0;
	line = (const char *)file->data;
	end = line + file->size;
	while (r == 0 && line < end) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		size_t size = (size_t)((stop != NULL ? stop : end) - line);
		const char *space = memchr(line, ' ', size);
		_cleanup_free_ char *path =
			strndup(line, space != NULL ? (size_t)(space - line) : size);

		if (path == NULL)
			return -ENOMEM;
		if (path[0] != '\0' && path[0] != '#' &&
			rootfs_resolve(verification->root, path) == NULL)
			r = verify_tell(verification, &INITRAMFS_MODULES_LIST[1],
				"it lists %s, which is not there", path);
		line += size + 1;
	}
	return r;
}

/* What stops the reading is a problem like others. */
static int tell_damage(struct verification *verification, const struct caisson_error *why,
	struct caisson_error *err)
{
	if (why->code == 0)
		return 0;
	if (why->code == ENOMEM) {
		*err = *why;
		return -ENOMEM;
	}
	return verify_tell(verification, NULL, "%s", why->message);
}

/* Reads the archive as far as it can be read. */
static int read_archive(int fd, struct verification *verification, struct caisson_error *err)
{
	struct rootfs *root = verification->root;
	struct caisson_error why = {0}, entries = {0};
	int r = rootfs_new(root, err);

	if (r == 0)
		r = members_read_file(fd, verification->what, &root->members, err);
	if (r < 0)
		return r;
	(void)members_read(&root->members, MEMBER_CONTENT_MOST, verification->what, &why);
	for (size_t i = 0; entries.code == 0 && i < root->members.count; i++)
		(void)rootfs_add_member(
			root, &root->members.items[i], i, verification->what, &entries);
	r = tell_damage(verification, &entries, err);
	if (r == 0)
		r = tell_damage(verification, &why, err);
	return r < 0 ? r : rootfs_finish(root, err);
}

static int verify(int fd, struct verification *verification, struct caisson_error *err)
{
	static int (*const steps[])(struct verification *) = {
		verify_members, verify_entries, verify_init, verify_console, verify_list};
	int r = read_archive(fd, verification, err);

	/* When nothing can be read, all the rest follows from that. */
	if (r == 0 && verification->root->members.count == 0)
		return verification->count;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(steps); i++) {
		r = steps[i](verification);
		if (r == -ENOMEM)
			return caisson_fail(err, ENOMEM, "verify %s", verification->what);
	}
	if (r >= 0)
		r = verify_programs(verification, err);
	if (r >= 0)
		r = verify_modules(verification, err);
	return r < 0 ? r : verification->count;
}

int initramfs_verify(int fd, const char *what,
	const struct caisson_initramfs_verify_options *options,
	int (*each)(const char *path, const char *problem, void *userdata), void *userdata,
	struct caisson_error *err)
{
	_cleanup_rootfs_ struct rootfs root = ROOTFS_NONE;
	_cleanup_kernel_ struct kernel kernel = KERNEL_NONE;
	struct verification verification = {.root = &root,
		.what = what,
		.temporary = options->temporary != NULL ? options->temporary : "/tmp",
		.each = each,
		.userdata = userdata};
	int r = 0;

	if (options->kernel != NULL) {
		r = kernel_find(options->kernel, NULL, &kernel, err);
		if (r == 0)
			r = kernel_papers_read(&kernel, &verification.papers, err);
		verification.kernel = &kernel;
	}
	if (r == 0)
		r = verify(fd, &verification, err);
	kernel_papers_done(&verification.papers);
	return r;
}
