/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-volume.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/path.h"
#include "volume/volume.h"

struct caisson {
	char state[512];
};

struct fake *fake(void)
{
	static struct fake *table;

	if (table == NULL)
		table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (table == MAP_FAILED)
		abort();
	return table;
}

void fake_clear(void)
{
	memset(fake(), 0, sizeof(struct fake));
}

struct fake_volume *fake_find(const char *name)
{
	for (size_t i = 0; i < FAKE_MOST; i++) {
		struct fake_volume *volume = &fake()->volumes[i];

		if (volume->used && strcmp(volume->facts.name, name) == 0)
			return volume;
	}
	return NULL;
}

static void die(const char *call)
{
	if (strcmp(fake()->die_in, call) == 0)
		raise(SIGKILL);
}

int caisson_open(struct caisson **ret_caisson, const char *state, const char *config,
	const struct caisson_log *log, struct caisson_error *err)
{
	(void)config;
	(void)log;
	(void)err;
	*ret_caisson = calloc(1, sizeof(**ret_caisson));
	if (*ret_caisson == NULL)
		abort();
	snprintf((*ret_caisson)->state, sizeof((*ret_caisson)->state), "%s", state);
	fake()->contexts++;
	return 0;
}

void caisson_close(struct caisson *caisson)
{
	if (caisson != NULL)
		fake()->contexts--;
	free(caisson);
}

int caisson_parse_size(const char *text, uint64_t *ret_size, struct caisson_error *err)
{
	return volume_parse_size(text, ret_size, err);
}

/* The plug-in is to hand on names that were checked, and nothing else. */
static void need_name(const char *name)
{
	if (!name_valid(name))
		abort();
}

int caisson_volume_create(struct caisson *caisson, const char *name,
	const struct caisson_volume_create_options *options, struct caisson_error *err)
{
	struct fake_volume *volume = NULL;

	(void)caisson;
	need_name(name);
	if (fake()->fail_create != 0)
		return caisson_refuse(err, fake()->fail_create, "create fails");
	if (fake_find(name) != NULL)
		return caisson_refuse(err, EEXIST, "a volume is called '%s' already", name);
	for (size_t i = 0; i < FAKE_MOST && volume == NULL; i++) {
		if (!fake()->volumes[i].used)
			volume = &fake()->volumes[i];
	}
	if (volume == NULL || options->key.fd != -1)
		return caisson_refuse(err, ENOSPC, "no room for '%s'", name);
	*volume = (struct fake_volume){.used = true};
	snprintf(volume->facts.name, sizeof(volume->facts.name), "%s", name);
	snprintf(volume->facts.uuid, sizeof(volume->facts.uuid), "uuid-%u", ++fake()->made);
	snprintf(volume->facts.filesystem, sizeof(volume->facts.filesystem), "%s",
		options->filesystem != NULL ? options->filesystem : "ext4");
	snprintf(volume->facts.cipher, sizeof(volume->facts.cipher), "%s",
		options->cipher != NULL ? options->cipher : "aes-xts-plain64");
	snprintf(volume->label, sizeof(volume->label), "%s",
		options->label != NULL ? options->label : name);
	snprintf(volume->from, sizeof(volume->from), "%s",
		options->from != NULL ? options->from : "");
	volume->facts.size = (options->size + 4095) / 4096 * 4096;
	volume->facts.allocated = options->preallocate ? volume->facts.size : 4096;
	volume->facts.sector_size = options->sector_size != 0 ? options->sector_size : 4096;
	volume->facts.created = 1700000000;
	die("create");
	return 0;
}

int caisson_volume_inspect(struct caisson *caisson, const char *name,
	struct caisson_volume *ret_volume, struct caisson_error *err)
{
	const struct fake_volume *volume = fake_find(name);

	(void)caisson;
	need_name(name);
	if (volume == NULL)
		return caisson_refuse(err, ENOENT, "there is no volume '%s'", name);
	*ret_volume = volume->facts;
	return 0;
}

int caisson_volume_list(struct caisson *caisson,
	int (*each)(const struct caisson_volume *volume, void *userdata), void *userdata,
	struct caisson_error *err)
{
	int r = 0;

	(void)caisson;
	(void)err;
	for (size_t i = 0; i < FAKE_MOST && r == 0; i++) {
		if (fake()->volumes[i].used)
			r = each(&fake()->volumes[i].facts, userdata);
	}
	return r;
}

static void tell(const struct fake_volume *volume, struct caisson_volume_opened *ret_opened)
{
	*ret_opened = (struct caisson_volume_opened){.way = CAISSON_VOLUME_USERSPACE};
	snprintf(ret_opened->why, sizeof(ret_opened->why), "there is no device-mapper");
	if (volume->mounted)
		snprintf(ret_opened->mount_point, sizeof(ret_opened->mount_point), "%s",
			volume->mount_point);
}

int caisson_volume_opened(struct caisson *caisson, const char *name,
	struct caisson_volume_opened *ret_opened, struct caisson_error *err)
{
	const struct fake_volume *volume = fake_find(name);

	(void)caisson;
	need_name(name);
	if (fake()->fail_opened != 0)
		return caisson_refuse(err, fake()->fail_opened, "opened fails");
	if (volume == NULL || !volume->is_open)
		return 0;
	tell(volume, ret_opened);
	return 1;
}

static void be_slow(void)
{
	const struct timespec pause = {.tv_nsec = 1000000L * fake()->slow_ms};
	unsigned int now = __atomic_add_fetch(&fake()->at_once, 1, __ATOMIC_SEQ_CST);

	if (now > fake()->at_once_most)
		fake()->at_once_most = now;
	nanosleep(&pause, NULL);
	__atomic_sub_fetch(&fake()->at_once, 1, __ATOMIC_SEQ_CST);
}

int caisson_volume_mount(struct caisson *caisson, const char *name,
	const struct caisson_volume_open_options *options, struct caisson_volume_opened *ret_opened,
	struct caisson_error *err)
{
	struct fake_volume *volume = fake_find(name);

	need_name(name);
	if (volume == NULL || options->key.fd != -1)
		return caisson_refuse(err, ENOENT, "there is no volume '%s'", name);
	if (fake()->fail_mount != 0)
		return caisson_refuse(err, fake()->fail_mount, "mount fails");
	be_slow();
	if (!volume->mounted) {
		if (fake()->elsewhere)
			snprintf(volume->mount_point, sizeof(volume->mount_point), "/proc");
		else
			snprintf(volume->mount_point, sizeof(volume->mount_point), "%.200s",
				caisson->state);
		volume->mounts++;
	}
	volume->is_open = volume->mounted = true;
	tell(volume, ret_opened);
	die("mount");
	return 0;
}

int caisson_volume_unmount(
	struct caisson *caisson, const char *name, bool lazy, struct caisson_error *err)
{
	struct fake_volume *volume = fake_find(name);

	(void)caisson;
	need_name(name);
	if (lazy)
		abort();
	if (fake()->fail_unmount != 0)
		return caisson_refuse(err, fake()->fail_unmount, "files are open in '%s'", name);
	if (volume == NULL)
		return 0;
	if (volume->mounted)
		volume->unmounts++;
	volume->is_open = volume->mounted = false;
	die("unmount");
	return 0;
}

int caisson_volume_destroy(struct caisson *caisson, const char *name,
	struct caisson_volume_destroyed *ret_done, struct caisson_error *err)
{
	struct fake_volume *volume = fake_find(name);

	(void)caisson;
	(void)ret_done;
	need_name(name);
	if (volume == NULL)
		return 0;
	if (volume->facts.in_use)
		return caisson_refuse(
			err, EBUSY, "the machine %s has '%s' open", volume->facts.holder, name);
	volume->used = false;
	return 1;
}
