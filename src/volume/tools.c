/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume/tools.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "attach/control.h"
#include "attach/start.h"
#include "base/path.h"
#include "base/process.h"

#define CLOSE_SECONDS 30

static int run_checker(
	const char *kind, const char *file, char *text, size_t size, struct caisson_error *err)
{
	const char *const xfs[] = {"xfs_repair", "-n", "-f", file, NULL};
	const char *const btrfs[] = {"btrfs", "check", "--readonly", file, NULL};
	bool is_xfs = strcmp(kind, "xfs") == 0;
	struct caisson_error failure = {0};
	int r = process_run(is_xfs ? xfs : btrfs, NULL, NULL, &failure);

	if (r == -ENOENT)
		return caisson_refuse(err, EOPNOTSUPP, "%s: the package %s is not installed", kind,
			is_xfs ? "xfsprogs" : "btrfs-progs");
	if (r < 0)
		return caisson_refuse(err, EUCLEAN, "%s: %s", kind, failure.message);
	snprintf(text, size, "%s: %s found nothing wrong", kind,
		is_xfs ? "xfs_repair -n" : "btrfs check");
	return 0;
}

static int serve(
	struct volume_access *access, struct attach_started *started, struct caisson_error *err)
{
	const struct attach_options options = {
		.container = access->container,
		.volume_key = &access->luks.volume_key,
		.cipher = access->luks.facts.cipher,
		.sector_size = access->luks.facts.sector_size,
		.data_offset = access->luks.facts.data_offset,
		.size = volume_payload_size(access, access->blocks->size),
		.name = access->name,
		.folder = access->layout.open,
		.read_only = true,
		.file = true,
	};
	int r = make_directories(access->layout.open, 0700, err);

	if (r == 0)
		r = attach_sweep(access->layout.open, true, err);
	return r < 0 ? r : attach_start(&options, started, err);
}

int tools_check(struct volume_access *access, const char *kind, char *text, size_t size,
	struct caisson_error *err)
{
	struct attach_started started = {.file = false};
	_cleanup_free_ char *file = NULL;
	int r;

	if (strcmp(kind, "xfs") != 0 && strcmp(kind, "btrfs") != 0)
		return caisson_refuse(err, EOPNOTSUPP, "%s is not one that is checked here", kind);
	file = format_string("%s/%s/%s", access->layout.open, ATTACH_FILE_FOLDER, ATTACH_FILE_NAME);
	if (file == NULL)
		return caisson_fail(err, ENOMEM, "check a filesystem");
	r = serve(access, &started, err);
	if (r == 0 && !started.file)
		r = caisson_refuse(err, EOPNOTSUPP, "%s: its checker reads files alone, and %s",
			kind, started.why_no_file);
	else if (r == 0)
		r = run_checker(kind, file, text, size, err);
	(void)attach_control(access->layout.open, "close force", CLOSE_SECONDS, NULL, NULL, NULL);
	(void)attach_sweep(access->layout.open, true, NULL);
	(void)rmdir(access->layout.open);
	return r;
}

int tools_grow(const char *kind, const char *device, const char *point, struct caisson_error *err)
{
	const char *const ext[] = {"resize2fs", device, NULL};
	const char *const xfs[] = {"xfs_growfs", point, NULL};
	const char *const btrfs[] = {"btrfs", "filesystem", "resize", "max", point, NULL};
	const char *const *argv = strncmp(kind, "ext", 3) == 0 ? ext
				  : strcmp(kind, "xfs") == 0   ? xfs
				  : strcmp(kind, "btrfs") == 0 ? btrfs
							       : NULL;

	if (argv == NULL)
		return caisson_refuse(
			err, ENOTSUP, "'%s' is no filesystem that can grow here", kind);
	return process_run(argv, NULL, NULL, err);
}
