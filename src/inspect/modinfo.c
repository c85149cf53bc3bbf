/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inspect/modinfo.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "elf/sections.h"

enum { DEPENDS_MOST = 4096 };

void modinfo_done(struct modinfo *info)
{
	free(info->name);
	free(info->vermagic);
	strv_done(&info->depends);
	*info = MODINFO_NONE;
}

/* "depends=crc16,mbcache,jbd2" */
static void read_depends(struct modinfo *info, const char *value)
{
	while (*value != '\0' && info->depends.count < DEPENDS_MOST) {
		size_t size = strcspn(value, ",");

		if (size > 0)
			strv_add_owned(&info->depends, strndup(value, size));
		value += size + (value[size] == ',');
	}
}

/* "KEY=VALUE", one behind the other, each with its NUL. */
static bool read_fields(struct modinfo *info, const char *text, size_t size)
{
	const char *end = text + size;

	while (text < end) {
		size_t length = strnlen(text, (size_t)(end - text));

		if (length == (size_t)(end - text))
			break;
		if (strncmp(text, "name=", 5) == 0 && info->name == NULL)
			info->name = strdup(text + 5);
		else if (strncmp(text, "vermagic=", 9) == 0 && info->vermagic == NULL)
			info->vermagic = strdup(text + 9);
		else if (strncmp(text, "depends=", 8) == 0)
			read_depends(info, text + 8);
		text += length + 1;
	}
	return strv_ok(&info->depends);
}

static int read_sections(struct elf_image *image, const uint8_t *data, const char *what,
	struct modinfo *info, struct caisson_error *err)
{
	struct elf_sections sections = ELF_SECTIONS_NONE;
	const char *why = NULL;
	bool ok = true, found = false;
	int r = elf_sections_read(image, &sections, &why, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && sections.type == ET_REL && i < sections.count; i++) {
		const struct elf_section *section = &sections.items[i];

		if (strcmp(section->name, ".modinfo") != 0 || !elf_section_has_bytes(section))
			continue;
		found = true;
		ok = read_fields(info, (const char *)data + section->offset, (size_t)section->size);
	}
	elf_sections_done(&sections);
	if (!ok)
		return caisson_fail(err, ENOMEM, "read %s", what);
	if (!found)
		return caisson_refuse(err, ENOEXEC, "%s is no kernel module", what);
	return 0;
}

int modinfo_read(const uint8_t *data, size_t size, const char *what, struct modinfo *ret_info,
	struct caisson_error *err)
{
	const struct elf_input input = {data, -1, size, what};
	struct elf_image image = {.input = &input};
	_cleanup_modinfo_ struct modinfo info = MODINFO_NONE;
	int r;

	r = read_sections(&image, data, what, &info, err);
	elf_image_done(&image);
	if (r < 0)
		return r;
	*ret_info = info;
	info = MODINFO_NONE;
	return 0;
}
