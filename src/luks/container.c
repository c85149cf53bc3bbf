/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "luks/container.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

static void hear(int level, const char *text, void *userdata)
{
	struct luks_device *device = userdata;

	if (device == NULL || level != CRYPT_LOG_ERROR)
		return;
	snprintf(device->complaint, sizeof(device->complaint), "%.*s", (int)strcspn(text, "\n"),
		text);
}

void luks_quiet(void)
{
	crypt_set_log_callback(NULL, hear, NULL);
	(void)crypt_metadata_locking(NULL, 0);
}

/* libcryptsetup says "not a block device" for whatever is wrong with a path: look ourselves. */
static int check_path(const char *path, struct caisson_error *err)
{
	/* O_NONBLOCK: a FIFO must not hang us. */
	_cleanup_close_ int fd = open_file(path, O_RDONLY | O_NONBLOCK, 0, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return caisson_refuse(err, EINVAL, "%s is neither a file nor a block device", path);
	/* libcryptsetup takes a short file for an I/O error. */
	if (S_ISREG(st.st_mode) && st.st_size < LUKS_HEADER_LEAST)
		return caisson_refuse(err, EBADMSG,
			"%s has no usable LUKS2 header: it has only %lld bytes", path,
			(long long)st.st_size);
	return 0;
}

const char *luks_shown(const char *path, char buffer[LUKS_SHOWN_SIZE])
{
	ssize_t length;

	if (strncmp(path, "/proc/self/fd/", 14) != 0)
		return path;
	length = readlink(path, buffer, LUKS_SHOWN_SIZE - 1);
	if (length <= 0 || buffer[0] != '/')
		return path;
	buffer[length] = '\0';
	return buffer;
}

int luks_device_init(struct luks_device *device, const char *path, struct caisson_error *err)
{
	int r = check_path(path, err);

	if (r < 0)
		return r;
	luks_quiet();
	*device = LUKS_DEVICE_NONE;
	r = crypt_init(&device->context, path);
	if (r < 0)
		return caisson_fail(err, r, "open %s as a LUKS2 container", path);
	crypt_set_log_callback(device->context, hear, device);
	return 0;
}

int luks_device_load(struct luks_device *device, const char *path, struct caisson_error *err)
{
	char shown[LUKS_SHOWN_SIZE];
	int r = luks_device_init(device, path, err);

	if (r < 0)
		return r;
	/* Without metadata locks this never repairs, hence never writes. */
	r = crypt_load(device->context, CRYPT_LUKS2, NULL);
	if (r == -EIO || r == -ENOMEM)
		return luks_device_fail(device, r, err, "read its LUKS2 header");
	if (r < 0)
		return caisson_refuse(err, EBADMSG,
			"%s has no usable LUKS2 header (both copies are missing or damaged)%s%s",
			luks_shown(path, shown), device->complaint[0] != '\0' ? ": " : "",
			device->complaint);
	return 0;
}

int luks_device_metadata(struct luks_device *device, const char *path,
	struct luks_metadata *ret_metadata, struct caisson_error *err)
{
	char shown[LUKS_SHOWN_SIZE];
	const char *json = NULL;
	int r = crypt_dump_json(device->context, &json, 0);

	if (r < 0 || json == NULL)
		return luks_device_fail(device, r, err, "read its LUKS2 metadata");
	r = luks_metadata_parse(json, strlen(json), ret_metadata, err);
	if (r < 0)
		return caisson_wrap(err, "the LUKS2 header of %s", luks_shown(path, shown));
	return 0;
}

int luks_device_fail(
	const struct luks_device *device, int code, struct caisson_error *err, const char *what)
{
	char shown[LUKS_SHOWN_SIZE];
	const char *path = crypt_get_device_name(device->context);

	if (path == NULL)
		path = crypt_get_metadata_device_name(device->context);
	path = path != NULL ? luks_shown(path, shown) : "LUKS2";
	if (device->complaint[0] == '\0')
		return caisson_fail(err, code, "%s: %s", path, what);
	return caisson_fail(err, code, "%s: %s: %s", path, what, device->complaint);
}

void luks_device_done(struct luks_device *device)
{
	int saved = errno;

	crypt_free(device->context);
	device->context = NULL;
	errno = saved;
}

int luks_fingerprint(const struct secret *volume_key, const struct secret *machine_key,
	uint8_t ret_fingerprint[static LUKS_FINGERPRINT_SIZE], struct caisson_error *err)
{
	if (sodium_init() < 0 ||
		crypto_generichash(ret_fingerprint, LUKS_FINGERPRINT_SIZE, volume_key->data,
			volume_key->size, machine_key->data, machine_key->size) != 0)
		return caisson_refuse(err, EIO, "libsodium refused to hash the volume key");
	return 0;
}

static int check_header(struct luks_device *device, const char *path,
	const struct luks_facts *expected, uint32_t *ret_keyslots, struct caisson_error *err)
{
	const char *uuid = crypt_get_uuid(device->context);
	char shown[LUKS_SHOWN_SIZE];
	struct luks_metadata metadata;
	int r = luks_device_metadata(device, path, &metadata, err);

	if (r < 0)
		return r;
	if (uuid == NULL || strcmp(uuid, expected->uuid) != 0)
		r = caisson_refuse(err, EPERM, "its UUID is '%s' and not '%s'",
			uuid != NULL ? uuid : "", expected->uuid);
	else
		r = luks_metadata_check(&metadata, expected, ret_keyslots, err);
	if (r < 0)
		return caisson_wrap(err, "refused: the header of %s is not as it was made",
			luks_shown(path, shown));
	return 0;
}

static int open_keyslot(struct luks_device *device, const char *path, uint32_t keyslots,
	const struct secret *machine_key, struct secret *volume_key, struct caisson_error *err)
{
	char shown[LUKS_SHOWN_SIZE];

	for (int number = 0; number < LUKS_OBJECTS_MOST; number++) {
		size_t size = volume_key->size;
		int r;

		if ((keyslots & UINT32_C(1) << number) == 0)
			continue;
		r = crypt_volume_key_get(device->context, number, (char *)volume_key->data, &size,
			(const char *)machine_key->data, machine_key->size);
		if (r >= 0 && size == volume_key->size)
			return 0;
		if (r == -EIO || r == -ENOMEM)
			return luks_device_fail(device, r, err, "read a keyslot");
	}
	return caisson_refuse(
		err, ENOKEY, "the key does not open this volume (%s)", luks_shown(path, shown));
}

int luks_device_unlock(struct luks_device *device, const char *path,
	const struct luks_facts *expected, const struct secret *machine_key,
	struct secret *ret_volume_key, struct caisson_error *err)
{
	_cleanup_secret_ struct secret volume_key = SECRET_NONE;
	uint8_t fingerprint[LUKS_FINGERPRINT_SIZE];
	uint32_t keyslots = 0;
	int r;

	if (machine_key->size != LUKS_MACHINE_KEY_SIZE)
		return caisson_refuse(err, EINVAL, "a machine key has %u bytes and not %zu",
			LUKS_MACHINE_KEY_SIZE, machine_key->size);
	if (expected->key_size == 0 || expected->key_size > LUKS_OPEN_KEY_MOST)
		return caisson_refuse(err, EINVAL, "a volume key of %u bytes is not supported",
			expected->key_size);
	r = check_header(device, path, expected, &keyslots, err);
	if (r == 0)
		r = secret_new(&volume_key, expected->key_size, err);
	if (r == 0)
		r = open_keyslot(device, path, keyslots, machine_key, &volume_key, err);
	if (r == 0)
		r = luks_fingerprint(&volume_key, machine_key, fingerprint, err);
	if (r < 0)
		return r;
	if (sodium_memcmp(fingerprint, expected->fingerprint, sizeof(fingerprint)) != 0)
		return caisson_refuse(err, EPERM,
			"refused: the keyslot of %s holds another volume key than it was made with",
			path);
	*ret_volume_key = take_secret(&volume_key);
	return 0;
}

int luks_unlock(const char *path, const struct luks_facts *expected,
	const struct secret *machine_key, struct secret *ret_volume_key, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	int r = luks_device_load(&device, path, err);

	if (r < 0)
		return r;
	return luks_device_unlock(&device, path, expected, machine_key, ret_volume_key, err);
}

static void tell_keyslots(const struct luks_metadata *metadata, struct luks_header *header)
{
	for (size_t i = 0; i < metadata->keyslot_count; i++) {
		const struct luks_keyslot *from = &metadata->keyslots[i];
		struct luks_keyslot_info *to = &header->slots[i];

		to->number = from->number;
		snprintf(to->kdf, sizeof(to->kdf), "%s",
			from->kdf.type[0] != '\0' ? from->kdf.type : from->type);
		to->iterations = from->kdf.iterations;
		to->memory = from->kdf.memory_kib * 1024;
		for (size_t j = 0; j < metadata->token_count; j++)
			to->recovery |= strcmp(metadata->tokens[j].type, "systemd-recovery") == 0 &&
					(metadata->tokens[j].keyslots >> from->number & 1) != 0;
	}
}

int luks_inspect(const char *path, struct luks_header *ret_header, struct caisson_error *err)
{
	_cleanup_luks_device_ struct luks_device device = LUKS_DEVICE_NONE;
	struct luks_header header = {0};
	struct luks_metadata metadata;
	const char *uuid, *label;
	uint64_t key_size;
	int r = luks_device_load(&device, path, err);

	if (r == 0)
		r = luks_device_metadata(&device, path, &metadata, err);
	if (r < 0)
		return r;
	uuid = crypt_get_uuid(device.context);
	key_size = metadata.keyslot_count > 0 ? metadata.keyslots[0].key_size : 0;
	snprintf(header.facts.uuid, sizeof(header.facts.uuid), "%s", uuid != NULL ? uuid : "");
	luks_segment_cipher(&metadata.segment, header.facts.cipher, sizeof(header.facts.cipher));
	header.facts.key_size = (uint32_t)key_size;
	header.facts.sector_size = (uint32_t)metadata.segment.sector_size;
	header.facts.data_offset = metadata.segment.offset;
	header.keyslots = (unsigned int)metadata.keyslot_count;
	header.tokens = (unsigned int)metadata.token_count;
	header.keyslots_size = metadata.keyslots_size;
	header.integrity = metadata.segment.integrity[0] != '\0';
	label = crypt_get_label(device.context);
	snprintf(header.label, sizeof(header.label), "%s", label != NULL ? label : "");
	tell_keyslots(&metadata, &header);
	(void)crypt_get_metadata_size(device.context, &header.metadata_size, NULL);
	*ret_header = header;
	return 0;
}
