/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/hwcaps.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "closure/processor.h"

enum {
	LEGACY_ENDS = 37, /* glibc 2.37 has no older capabilities any more */
};

/* sysdeps/.../dl-hwcaps-subdirs.c of glibc. */
static const struct {
	uint16_t machine;
	const char *levels[HWCAPS_LEVELS_MOST];
} level_table[] = {
	{EM_X86_64, {"x86-64-v4", "x86-64-v3", "x86-64-v2", NULL}},
	{EM_PPC64, {"power10", "power9", NULL}},
	{EM_S390, {"z16", "z15", "z14", "z13", NULL}},
};

const char *const *hwcaps_levels(const struct machine *machine)
{
	static const char *const none[] = {NULL};

	for (size_t i = 0; i < ARRAY_SIZE(level_table); i++) {
		if (level_table[i].machine == machine->machine && machine->bits == 64)
			return level_table[i].levels;
	}
	return none;
}

bool hwcaps_is_level(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_table); i++) {
		for (size_t l = 0; level_table[i].levels[l] != NULL; l++) {
			if (strcmp(level_table[i].levels[l], name) == 0)
				return true;
		}
	}
	return false;
}

static void add_folder(struct hwcaps *hwcaps, const char *parent, const char *name)
{
	char *folder;

	if (hwcaps->folder_count == HWCAPS_FOLDERS_MOST)
		return;
	folder = hwcaps->folders[hwcaps->folder_count];
	snprintf(folder, HWCAPS_NAME_MOST, "%s%s", parent, name);
	/* Names repeat where the platform is a capability, too. */
	for (size_t i = 0; i < hwcaps->folder_count; i++) {
		if (strcmp(hwcaps->folders[i], folder) == 0)
			return;
	}
	hwcaps->folder_count++;
}

/* From @best on down. */
static void add_levels(struct hwcaps *hwcaps, const struct machine *machine, const char *best)
{
	const char *const *levels = hwcaps_levels(machine);

	while (*levels != NULL && strcmp(*levels, best) != 0)
		levels++;
	for (; *levels != NULL; levels++) {
		add_folder(hwcaps, "glibc-hwcaps/", *levels);
		hwcaps->levels[hwcaps->level_count++] = *levels;
	}
}

/* _dl_important_hwcaps() of 2.36: all subsets, the largest first, of "tls", the platform and the
   capabilities, in that order within a name. */
static void add_legacy(struct hwcaps *hwcaps, const struct processor *processor)
{
	const char *names[PROCESSOR_LEGACY_MOST + 2];
	size_t count = 0;

	for (size_t i = 0; i < processor->legacy_count; i++)
		names[count++] = processor->legacy_names[i];
	if (processor->platform[0] != '\0')
		names[count++] = processor->platform;
	names[count++] = "tls";
	for (unsigned int set = (1u << count) - 1; set > 0; set--) {
		char path[HWCAPS_NAME_MOST] = "";
		size_t used = 0;

		for (size_t i = count; i-- > 0;) {
			if ((set & 1u << i) != 0 && used < sizeof(path))
				used += (size_t)snprintf(path + used, sizeof(path) - used, "%s%s",
					used > 0 ? "/" : "", names[i]);
		}
		if (used < sizeof(path))
			add_folder(hwcaps, "", path);
	}
}

void hwcaps_set(struct hwcaps *ret_hwcaps, const struct machine *machine, unsigned int minor,
	bool has_levels, const struct hwcaps_choice *choice)
{
	struct processor processor;
	const char *level = choice->level;

	*ret_hwcaps = (struct hwcaps){.platform = machine->platform};
	processor_any(machine, &processor);
	if (choice->kind == HWCAPS_HOST && processor_find(machine, &processor)) {
		ret_hwcaps->platform = processor.platform;
		level = processor.level;
	}
	if (has_levels && level != NULL)
		add_levels(ret_hwcaps, machine, level);
	/* A loader without levels is older than they are. */
	if (has_levels && (minor == 0 || minor >= LEGACY_ENDS))
		return;
	add_legacy(ret_hwcaps, &processor);
	ret_hwcaps->legacy = processor.legacy;
	ret_hwcaps->legacy_platform = processor.legacy_platform;
}
