/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/hex.h"
#include "base/io.h"
#include "base/process.h"
#include "luks/luks.h"
#include "luks/metadata.h"

#define CONTAINER_SIZE (24u << 20)
#define HEADER_SIZE    16384u /* of one copy: binary part and JSON */
#define BINARY_SIZE    4096u

struct container {
	char *path;
	struct secret machine_key, volume_key;
	struct luks_facts facts;
};

static void container_done(struct container *container)
{
	free(container->path);
	secret_done(&container->machine_key);
	secret_done(&container->volume_key);
}

#define _cleanup_container_ _cleanup_(container_done)

static void make_empty(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static int format(const char *path, const struct secret *machine_key, struct luks_facts *facts,
	struct secret *volume_key, struct caisson_error *err)
{
	/* Borrowed. */
	const struct luks_key key = {.kind = LUKS_KEY_MACHINE, .secret = *machine_key};
	struct luks_format_options options = LUKS_FORMAT_DEFAULT;

	options.key = &key;
	return luks_format(path, &options, facts, volume_key, err);
}

static void make_container(struct container *container, void **state, const char *name)
{
	struct caisson_error err = {0};

	*container = (struct container){.path = path_join(*state, name)};
	make_empty(container->path, CONTAINER_SIZE);
	assert_ok(secret_random(&container->machine_key, LUKS_MACHINE_KEY_SIZE, &err), &err);
	assert_ok(format(container->path, &container->machine_key, &container->facts,
			  &container->volume_key, &err),
		&err);
}

static int unlock(const struct container *container, struct caisson_error *err)
{
	_cleanup_secret_ struct secret key = SECRET_NONE;
	int r = luks_unlock(container->path, &container->facts, &container->machine_key, &key, err);

	if (r == 0)
		assert_true(secret_equal(&key, &container->volume_key));
	else
		assert_null(key.data);
	return r;
}

/* Runs @argv with @key on its standard input. */
static int with_key(const char *const argv[], const struct secret *key, struct strbuf *output,
	struct caisson_error *err)
{
	_cleanup_close_ int fd = memfd_create("key", MFD_CLOEXEC);
	struct process_options options = PROCESS_OPTIONS_INIT;

	assert_ok(pwrite_all(fd, key->data, key->size, 0, "key", err), err);
	options.stdin_fd = fd;
	return process_run(argv, &options, output, err);
}

static void test_format_and_unlock(void **state)
{
	_cleanup_container_ struct container container = {0};
	struct caisson_error err = {0};
	struct luks_header header;
	struct stat st;

	make_container(&container, state, "plain");
	assert_int_equal(container.volume_key.size, LUKS_VOLUME_KEY_SIZE);
	assert_string_equal(container.facts.cipher, "aes-xts-plain64");
	assert_int_equal(container.facts.key_size, 64);
	assert_int_equal(container.facts.sector_size, 4096);
	assert_int_equal(container.facts.data_offset, 16 << 20);
	assert_int_equal(strlen(container.facts.uuid), 36);
	assert_ok(unlock(&container, &err), &err);

	assert_ok(luks_inspect(container.path, &header, &err), &err);
	assert_string_equal(header.facts.uuid, container.facts.uuid);
	assert_string_equal(header.facts.cipher, "aes-xts-plain64");
	assert_int_equal(header.facts.key_size, 64);
	assert_int_equal(header.facts.data_offset, 16 << 20);
	assert_int_equal(header.keyslots, 1);
	assert_int_equal(header.tokens, 0);
	assert_int_equal(header.metadata_size, 16384);
	assert_int_equal(header.keyslots_size, 2 << 20);

	assert_int_equal(stat(container.path, &st), 0);
	assert_int_equal(st.st_size, CONTAINER_SIZE);
	assert_true(st.st_blocks * 512 < 3 << 20);
}

static void test_format_refuses(void **state)
{
	_cleanup_secret_ struct secret key = SECRET_NONE, shorter = SECRET_NONE, out = SECRET_NONE;
	_cleanup_free_ char *path = path_join(*state, "refused");
	struct caisson_error err = {0};
	struct luks_facts facts;

	assert_ok(secret_random(&key, LUKS_MACHINE_KEY_SIZE, &err), &err);
	assert_ok(secret_random(&shorter, 16, &err), &err);
	make_empty(path, 16 << 20);
	assert_refused(format(path, &key, &facts, &out, &err), &err, EINVAL);
	make_empty(path, (20 << 20) + 512);
	assert_refused(format(path, &key, &facts, &out, &err), &err, EINVAL);
	make_empty(path, 20 << 20);
	assert_refused(format(path, &shorter, &facts, &out, &err), &err, EINVAL);
	assert_refused(format(*state, &key, &facts, &out, &err), &err, EISDIR);
	assert_refused(format("/nowhere", &key, &facts, &out, &err), &err, ENOENT);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(format(path, &key, &facts, &out, &err), &err, EINVAL);
	assert_refused(luks_unlock(path, &facts, &key, &out, &err), &err, EINVAL);
	assert_refused(luks_erase(path, &err), &err, EINVAL);
	assert_null(out.data);
}

/* What stock cryptsetup makes of it. */
static void test_cryptsetup_opens_it(void **state)
{
	_cleanup_container_ struct container container = {0};
	_cleanup_strbuf_ struct strbuf dump = STRBUF_INIT;
	const char *open_it[] = {"cryptsetup", "open", "--test-passphrase", "--type", "luks2",
		"--disable-locks", "--key-file=-", NULL, NULL};
	const char *dump_it[] = {"cryptsetup", "luksDump", "--batch-mode", "--disable-locks",
		"--dump-volume-key", "--key-file=-", NULL, NULL};
	char hex[2 * LUKS_VOLUME_KEY_SIZE + 1], *to = NULL;
	struct caisson_error err = {0};

	make_container(&container, state, "stock");
	open_it[7] = container.path;
	dump_it[6] = container.path;
	assert_ok(with_key(open_it, &container.machine_key, NULL, &err), &err);
	assert_ok(with_key(dump_it, &container.machine_key, &dump, &err), &err);

	/* "MK dump:" and then lines of bytes. */
	hex_encode(container.volume_key.data, container.volume_key.size, hex);
	to = strstr(dump.data, "MK dump:");
	assert_non_null(to);
	to += strlen("MK dump:");
	for (size_t i = 0; i < sizeof(hex) - 1; i++) {
		to += strspn(to, " \t\n");
		assert_int_equal(*to++, hex[i]);
	}
	explicit_bzero(dump.data, dump.size);
	container.machine_key.data[0] ^= 1;
	assert_refused(with_key(open_it, &container.machine_key, NULL, &err), &err, EIO);
}

/* What libcryptsetup would say on standard error stays in the error. */
static void test_wrong_key_is_quiet(void **state)
{
	_cleanup_container_ struct container container = {0};
	_cleanup_close_ int heard = memfd_create("heard", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	struct caisson_error err = {0}, damaged = {0};
	int r, again;

	make_container(&container, state, "quiet");
	container.machine_key.data[31] ^= 0x80;
	fflush(stderr);
	dup2(heard, STDERR_FILENO);
	r = unlock(&container, &err);
	assert_int_equal(truncate(container.path, 1 << 20), 0);
	again = unlock(&container, &damaged);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	assert_refused(r, &err, ENOKEY);
	assert_non_null(strstr(err.message, "the key does not open this volume"));
	assert_refused(again, &damaged, EBADMSG);
	assert_int_equal(lseek(heard, 0, SEEK_END), 0);
}

static void flip(const char *path, uint64_t offset)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

static void test_damaged_header(void **state)
{
	/* Magic, version, size, sequence number, salt, checksum, JSON, its end. */
	static const unsigned int places[] = {0, 7, 14, 23, 100, 450, 4096, 4200, 16383};
	_cleanup_container_ struct container container = {0};
	struct caisson_error err = {0};
	struct luks_header header;

	make_container(&container, state, "damaged");
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		flip(container.path, places[i]);
		assert_ok(unlock(&container, &err), &err);
		flip(container.path, HEADER_SIZE + places[i]);
		assert_refused(unlock(&container, &err), &err, EBADMSG);
		assert_refused(luks_inspect(container.path, &header, &err), &err, EBADMSG);
		flip(container.path, places[i]);
		assert_ok(unlock(&container, &err), &err);
		flip(container.path, HEADER_SIZE + places[i]);
	}
	/* The keyslot itself: the anti-forensic splitter spreads one byte over the whole key. */
	flip(container.path, 2 * HEADER_SIZE + 100000);
	assert_refused(unlock(&container, &err), &err, ENOKEY);
	flip(container.path, 2 * HEADER_SIZE + 100000);
	assert_ok(unlock(&container, &err), &err);
	assert_int_equal(truncate(container.path, 65536), 0);
	assert_refused(unlock(&container, &err), &err, EBADMSG);
	assert_int_equal(truncate(container.path, 0), 0);
	assert_refused(unlock(&container, &err), &err, EBADMSG);
}

/* Replaces text in both copies and makes their checksums right again, as an attacker would. */
static void forge(const char *path, const char *from, const char *to)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct caisson_error err = {0};
	char header[HEADER_SIZE + 1];

	assert_true(fd >= 0);
	for (unsigned int copy = 0; copy < 2; copy++) {
		char hex[DIGEST_HEX_SIZE], *json = header + BINARY_SIZE, *at;
		_cleanup_free_ char *rest = NULL;

		assert_ok(pread_all(fd, header, HEADER_SIZE, copy * HEADER_SIZE, path, &err), &err);
		header[HEADER_SIZE] = '\0';
		at = strstr(json, from);
		if (at == NULL)
			fail_msg("'%s' is not in the header", from);
		rest = strdup(at + strlen(from));
		assert_true(at + strlen(to) + strlen(rest) < header + HEADER_SIZE);
		at = stpcpy(stpcpy(at, to), rest);
		memset(at, 0, (size_t)(header + HEADER_SIZE - at));
		/* Section 2.1: csum is 64 bytes at 448, over the header with csum zero. */
		memset(header + 448, 0, 64);
		assert_ok(digest_of(header, HEADER_SIZE, hex, &err), &err);
		assert_int_equal(hex_decode(hex, 64, (uint8_t *)header + 448, 32), 0);
		assert_ok(
			pwrite_all(fd, header, HEADER_SIZE, copy * HEADER_SIZE, path, &err), &err);
	}
	close(fd);
}

/* Headers that libcryptsetup is content with. */
static void test_forged_header(void **state)
{
	static const struct {
		const char *from, *to, *message;
	} forgeries[] = {
		{"\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\"",
			"\"iv_tweak\":\"0\",\"encryption\":\"cipher_null-ecb\"",
			"its cipher is 'cipher_null-ecb' and not 'aes-xts-plain64'"},
		{"\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\"",
			"\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain\"", "aes-xts-plain'"},
		{"\"sector_size\":4096", "\"sector_size\":512", "sector size is 512"},
		{"\"iv_tweak\":\"0\"", "\"iv_tweak\":\"8\"", "not counted from 0"},
		{"\"offset\":\"16777216\"", "\"offset\":\"16781312\"", "offset of its data"},
		{"\"size\":\"dynamic\"", "\"size\":\"1048576\"", "device's end"},
		{"\"size\":\"258048\",\"encryption\":\"aes-xts-plain64\"",
			"\"size\":\"258048\",\"encryption\":\"cipher_null-ecb\"",
			"the encryption of keyslot 0 is 'cipher_null-ecb'"},
		{"\"key_size\":64,\"af\"", "\"key_size\":32,\"af\"", "is 32 and not 64"},
		{"\"hash\":\"sha256\",\"iterations\":1000,\"salt\"",
			"\"hash\":\"sha256\",\"iterations\":2000000000,\"salt\"", "2000000000"},
		{"\"config\":{",
			"\"config\":{\"requirements\":{\"mandatory\":[\"of-another-time\"]},",
			"of-another-time"},
		{"\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000",
			"\"type\":\"argon2id\",\"time\":1000,\"memory\":4194304,\"cpus\":4",
			"argon2id with 1000 iterations and 4194304 KiB"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(forgeries); i++) {
		_cleanup_container_ struct container container = {0};
		struct caisson_error err = {0};

		make_container(&container, state, "forged");
		forge(container.path, forgeries[i].from, forgeries[i].to);
		assert_refused(unlock(&container, &err), &err, EPERM);
		if (strstr(err.message, forgeries[i].message) == NULL)
			fail_msg("'%s' is not in: %s", forgeries[i].message, err.message);
	}
}

/* A second keyslot that anything opens. */
static void test_second_keyslot(void **state)
{
	_cleanup_container_ struct container container = {0};
	_cleanup_free_ char *passphrase = path_join(*state, "passphrase");
	const char *add[] = {"cryptsetup", "luksAddKey", "--batch-mode", "--disable-locks",
		"--pbkdf", "argon2id", "--pbkdf-force-iterations", "4", "--pbkdf-memory", "64",
		"--key-file=-", NULL, passphrase, NULL};
	struct caisson_error err = {0};

	make_container(&container, state, "second");
	add[11] = container.path;
	assert_ok(write_file_atomic(passphrase, "of a test", 9, 0600, &err), &err);
	assert_ok(with_key(add, &container.machine_key, NULL, &err), &err);
	/* A passphrase's keyslot beside the machine's is fine, whatever it costs: it is not opened.
	 */
	assert_ok(unlock(&container, &err), &err);
	forge(container.path, "\"memory\":64", "\"memory\":4194304");
	assert_ok(unlock(&container, &err), &err);
	container.machine_key.data[0] ^= 1;
	assert_refused(unlock(&container, &err), &err, ENOKEY);
	container.machine_key.data[0] ^= 1;
	forge(container.path,
		"\"offset\":\"290816\",\"size\":\"258048\",\"encryption\":\"aes-xts-plain64\"",
		"\"offset\":\"290816\",\"size\":\"258048\",\"encryption\":\"cipher_null-ecb\"");
	assert_refused(unlock(&container, &err), &err, EPERM);
	assert_non_null(strstr(err.message, "keyslot 1"));
}

/* Headers made by stock cryptsetup with the right key and UUID, but not what was recorded. */
static int format_with_cryptsetup(const struct container *container, const char *cipher,
	const char *key_size, const char *sector_size, struct caisson_error *err)
{
	const char *argv[] = {"cryptsetup", "luksFormat", "--batch-mode", "--disable-locks",
		"--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
		"--uuid", container->facts.uuid, "--cipher", cipher, "--key-size", key_size,
		"--sector-size", sector_size, "--key-file=-", container->path, NULL};

	return with_key(argv, &container->machine_key, NULL, err);
}

static void test_stock_headers(void **state)
{
	static const struct {
		const char *cipher, *key_size, *sector, *message;
	} headers[] = {
		{"aes-cbc-essiv:sha256", "256", "4096", "aes-cbc-essiv:sha256"},
		{"aes-xts-plain64", "256", "4096", "is 32 and not 64"},
		{"aes-xts-plain64", "512", "512", "sector size is 512"},
		{"aes-xts-plain64", "512", "4096", "another volume key"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		_cleanup_container_ struct container container = {0};
		struct caisson_error err = {0};

		make_container(&container, state, "stock-header");
		assert_ok(format_with_cryptsetup(&container, headers[i].cipher, headers[i].key_size,
				  headers[i].sector, &err),
			&err);
		assert_refused(unlock(&container, &err), &err, EPERM);
		if (strstr(err.message, headers[i].message) == NULL)
			fail_msg("'%s' is not in: %s", headers[i].message, err.message);
	}
}

static void test_stock_null_cipher(void **state)
{
	_cleanup_container_ struct container container = {0};
	struct caisson_error err = {0};

	make_container(&container, state, "null");
	if (format_with_cryptsetup(&container, "cipher_null-ecb", "256", "4096", &err) < 0)
		leave_out("cryptsetup makes no null cipher here: %s", err.message);
	assert_refused(unlock(&container, &err), &err, EPERM);
	assert_non_null(strstr(err.message, "cipher_null-ecb"));
}

static void test_other_uuid(void **state)
{
	_cleanup_container_ struct container container = {0};
	struct caisson_error err = {0};

	make_container(&container, state, "uuid");
	container.facts.uuid[0] = container.facts.uuid[0] == '0' ? '1' : '0';
	assert_refused(unlock(&container, &err), &err, EPERM);
	assert_non_null(strstr(err.message, "UUID"));
}

static void test_erase(void **state)
{
	_cleanup_container_ struct container container = {0};
	_cleanup_free_ uint8_t *bytes = calloc(1, CONTAINER_SIZE);
	struct caisson_error err = {0};
	char payload[4096];
	int fd;

	make_container(&container, state, "erased");
	memset(payload, 'p', sizeof(payload));
	fd = open(container.path, O_RDWR | O_CLOEXEC);
	assert_ok(pwrite_all(fd, payload, sizeof(payload), 16 << 20, "payload", &err), &err);
	for (int round = 0; round < 3; round++) {
		assert_ok(luks_erase(container.path, &err), &err);
		assert_refused(unlock(&container, &err), &err, EBADMSG);
		assert_ok(pread_all(fd, bytes, CONTAINER_SIZE, 0, "container", &err), &err);
		for (size_t i = 0; i < 16 << 20; i++)
			assert_int_equal(bytes[i], 0);
		assert_memory_equal(bytes + (16 << 20), payload, sizeof(payload));
	}

	/* A header that cannot be read is no reason to leave the keyslots. */
	secret_done(&container.volume_key);
	assert_ok(format(container.path, &container.machine_key, &container.facts,
			  &container.volume_key, &err),
		&err);
	flip(container.path, 4200);
	flip(container.path, HEADER_SIZE + 4200);
	assert_ok(luks_erase(container.path, &err), &err);
	assert_ok(pread_all(fd, bytes, 16 << 20, 0, "container", &err), &err);
	for (size_t i = 0; i < 16 << 20; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(ftruncate(fd, 1000), 0);
	assert_ok(luks_erase(container.path, &err), &err);
	close(fd);
	unlink(container.path);
	assert_refused(luks_erase(container.path, &err), &err, ENOENT);
}

/* The reading of the JSON, where no real header can go. */
static void test_metadata(void **state _unused_)
{
	static const char head[] =
		"{\"keyslots\":{},\"tokens\":{},\"digests\":{},\"config\":{\"json_size\":\"12288\","
		"\"keyslots_size\":\"4194304\"},\"segments\":{";
	static const struct {
		const char *segments;
		int parsed, checked;
	} cases[] = {
		{"}}", 0, -EPERM},
		{"\"0\":{\"type\":\"crypt\",\"offset\":\"16777216\",\"size\":\"dynamic\",\"iv_tweak\":"
		 "\"0\",\"encryption\":\"aes-xts-plain64\",\"sector_size\":4096}}}",
			0, -EPERM}, /* no digest */
		{"\"0\":{\"type\":\"crypt\",\"offset\":\"016777216\",\"size\":\"dynamic\"}}}",
			-EBADMSG, 0},
		{"\"0\":{\"type\":\"crypt\",\"offset\":\"18446744073709551616\",\"size\":\"dynamic\"}}}",
			-EBADMSG, 0},
		{"\"0\":{\"type\":\"crypt\",\"offset\":7,\"size\":\"dynamic\"}}}", -EBADMSG, 0},
		{"\"0\":{\"type\":\"linear\",\"offset\":\"0\",\"size\":\"dynamic\"}}}", 0, -EPERM},
		{"\"32\":{\"type\":\"linear\",\"offset\":\"0\",\"size\":\"dynamic\"}}}", -EBADMSG,
			0},
		{"\"-1\":{\"type\":\"linear\",\"offset\":\"0\",\"size\":\"dynamic\"}}}", -EBADMSG,
			0},
		{"\"0\":7}}", -EBADMSG, 0},
		{"\"0\":null}}", -EBADMSG, 0},
		{"}", -EBADMSG, 0},
	};
	struct luks_facts facts = {.cipher = "aes-xts-plain64",
		.key_size = 64,
		.sector_size = 4096,
		.data_offset = 16 << 20};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *json = format_string("%s%s", head, cases[i].segments);
		struct luks_metadata metadata;
		struct caisson_error err = {0};
		uint32_t keyslots = 0;

		assert_int_equal(
			luks_metadata_parse(json, strlen(json), &metadata, &err), cases[i].parsed);
		if (cases[i].parsed == 0)
			assert_int_equal(luks_metadata_check(&metadata, &facts, &keyslots, &err),
				cases[i].checked);
		assert_int_not_equal(err.message[0], '\0');
		assert_int_equal(keyslots, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format_and_unlock),
		cmocka_unit_test(test_format_refuses),
		cmocka_unit_test(test_cryptsetup_opens_it),
		cmocka_unit_test(test_wrong_key_is_quiet),
		cmocka_unit_test(test_damaged_header),
		cmocka_unit_test(test_forged_header),
		cmocka_unit_test(test_second_keyslot),
		cmocka_unit_test(test_stock_headers),
		cmocka_unit_test(test_stock_null_cipher),
		cmocka_unit_test(test_other_uuid),
		cmocka_unit_test(test_erase),
		cmocka_unit_test(test_metadata),
	};

	return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
