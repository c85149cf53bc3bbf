/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/create_mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "attach/loop.h"
#include "base/io.h"
#include "luks/mapping.h"
#include "volume/device.h"
#include "volume/kernel.h"

bool create_needs_mapping(const struct volume_create_options *options)
{
	return options->integrity != NULL ||
	       !luks_cipher_known(options->luks.cipher, options->luks.key_size);
}

/* "hmac-sha256" as the kernel writes it: "hmac(sha256)". */
static int kernel_name(const char *integrity, char *text, size_t size, struct caisson_error *err)
{
	const char *dash = strchr(integrity, '-');

	if (dash == NULL || strlen(integrity) + 2 > size)
		return caisson_refuse(
			err, EINVAL, "'%.32s' is no kind of integrity tags", integrity);
	snprintf(text, size, "%.*s(%s)", (int)(dash - integrity), integrity, dash + 1);
	return 0;
}

static int make_filesystem(
	const char *mapping, const struct content *content, struct caisson_error *err)
{
	char path[KERNEL_NAME_SIZE + 16];
	_cleanup_close_ int fd = -1;
	uint64_t size = 0;
	int r;

	if (content->kind == CONTENT_NONE)
		return 0;
	snprintf(path, sizeof(path), "/dev/mapper/%s", mapping);
	fd = open_file(path, O_RDONLY, 0, err);
	r = fd < 0 ? fd : volume_device_size(fd, path, &size, err);
	closep(&fd);
	fd = -1;
	return r < 0 ? r : mkfs_device(path, content->filesystem, size, content->label, err);
}

static int make(const char *loop, const char *mapping, const struct luks_format_options *luks,
	const char *integrity, const struct content *content, struct luks_facts *facts,
	struct caisson_error *err)
{
	struct luks_opened opened = {.keyslot = 0};
	char kind[48];
	int r = 0;

	if (integrity != NULL)
		r = kernel_name(integrity, kind, sizeof(kind), err);
	if (r == 0)
		r = integrity != NULL ? luks_format_integrity(loop, luks, kind, mapping, facts,
						&opened.volume_key, err)
				      : luks_format(loop, luks, facts, &opened.volume_key, err);
	opened.facts = *facts;
	if (r == 0)
		r = luks_map(loop, mapping, &opened, 0, err);
	if (r == 0) {
		r = make_filesystem(mapping, content, err);
		if (luks_unmap(mapping, LUKS_UNMAP, r < 0 ? NULL : err) < 0 && r == 0)
			r = -EBUSY;
	}
	secret_done(&opened.volume_key);
	return r;
}

int create_mapped(const struct volume_layout *layout, const char *name, const char *device,
	int container, const struct luks_format_options *luks, const char *integrity,
	const struct content *content, struct luks_facts *ret_facts, struct caisson_error *err)
{
	const struct loop_options options = {.name = name};
	char mapping[KERNEL_NAME_SIZE];
	_cleanup_free_ char *loop = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (content->kind != CONTENT_EMPTY && content->kind != CONTENT_NONE)
		return caisson_refuse(err, ENOTSUP,
			"only the kernel can encrypt such a volume: make it empty, mount it, and "
			"copy what shall be in it");
	r = kernel_possible(err);
	if (r < 0)
		return caisson_wrap(err, "only the kernel can encrypt such a volume");
	r = kernel_sweep(layout, name, device, err);
	if (r < 0)
		return r;
	kernel_mapping_name(name, mapping);
	fd = loop_attach(container, &options, &loop, err);
	return fd < 0 ? fd : make(loop, mapping, luks, integrity, content, ret_facts, err);
}
