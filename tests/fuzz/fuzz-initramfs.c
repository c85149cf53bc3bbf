/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole boot archive: its members, the root that they make, unpacking that, and what is read out
   of it. The first bytes are also taken as microcode, a module and a firmware of their own. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "fuzz.h"
#include "inspect/extract.h"
#include "inspect/inspect.h"
#include "inspect/microcode.h"
#include "inspect/modinfo.h"
#include "inspect/snp.h"

enum { CONTENT_MOST = 1 << 20, UNPACKED_MOST = 64 };

static char top[] = "/dev/shm/caisson-fuzz.XXXXXX";

static void remove_top(void)
{
	(void)rmdir(top);
}

/* Whether @path holds @name alone. */
static bool holds_alone(const char *path, const char *name)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	bool alone = folder != NULL;

	while (folder != NULL && (entry = readdir(folder)) != NULL)
		alone = alone && (entry->d_name[0] == '.' || strcmp(entry->d_name, name) == 0);
	if (folder != NULL)
		closedir(folder);
	return alone;
}

static void unpack(const struct rootfs *root)
{
	static bool made;
	char path[64];
	size_t skipped;
	int fd;

	if (!made) {
		if (mkdtemp(top) == NULL)
			return;
		atexit(remove_top);
		made = true;
	}
	snprintf(path, sizeof(path), "%s/in", top);
	if (mkdir(path, 0700) < 0)
		abort();
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		abort();
	(void)extract_root(root, fd, "the archive", NULL, false, &skipped, NULL);
	close(fd);
	if (!holds_alone(top, "in"))
		abort();
	if (remove_tree(path, NULL) < 0)
		abort();
}

/* Each entry is found under its own name, and no name leads out. */
static void check(struct rootfs *root)
{
	struct strv releases = STRV_INIT;

	for (size_t i = 0; i < root->count; i++) {
		const char *path = root->entries[i].path;
		char *real = rootfs_real(root, path);

		if (rootfs_entry(root, path) != &root->entries[i] || path[0] == '\0' ||
			path[0] == '/' || strstr(path, "/../") != NULL ||
			strncmp(path, "../", 3) == 0 || strcmp(path, "..") == 0)
			abort();
		if (real == NULL || strcmp(real, path) != 0)
			abort();
		free(real);
		free(inspect_program(root, path));
	}
	inspect_releases(root, &releases);
	strv_done(&releases);
	if (root->count < UNPACKED_MOST)
		unpack(root);
}

static void read_parts(const uint8_t *data, size_t size)
{
	struct microcodes updates = MICROCODES_NONE;
	struct snp_firmware firmware;
	struct modinfo info;

	(void)microcode_read(
		&updates, "kernel/x86/microcode/GenuineIntel.bin", data, size, 0, false);
	(void)microcode_read(
		&updates, "kernel/x86/microcode/AuthenticAMD.bin", data, size, 0, true);
	free(updates.items);
	if (modinfo_read(data, size, "the module", &info, NULL) == 0)
		modinfo_done(&info);
	(void)snp_firmware_read(data, size, "the firmware", &firmware, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rootfs root = ROOTFS_NONE;
	int r = 0;

	read_parts(data, size);
	if (rootfs_new(&root, NULL) < 0)
		abort();
	strbuf_add(&root.members.file, data, size);
	(void)members_read(&root.members, CONTENT_MOST, "the archive", NULL);
	for (size_t i = 0; r == 0 && i < root.members.count; i++)
		r = rootfs_add_member(&root, &root.members.items[i], i, "the archive", NULL);
	if (rootfs_finish(&root, NULL) < 0)
		abort();
	check(&root);
	rootfs_done(&root);
	return 0;
}
