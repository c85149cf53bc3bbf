/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Headers from strangers: whatever they say, each way in which one is read ends soon, in little
   memory, and with a sentence where it is not obeyed. */
#include "volume-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/hex.h"
#include "luks/container.h"
#include "luks/header.h"
#include "volume/access.h"

#define SIZE        (32ull << 20)
#define HEADER_SIZE 16384u
#define BINARY_SIZE 4096u
#define LARGEST     (4u << 20) /* header that the format knows */

/* Every way in takes no longer than this, on a machine that is busy. */
#define SECONDS_MOST 20
#define MEMORY_MOST  (300ull << 20)

/* Of the processor's time: what else the machine does meanwhile is no fault of ours. */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t memory_used(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return (uint64_t)usage.ru_maxrss * 1024;
}

/* A key that fits, and the JSON that a good header has. */
struct stranger {
	struct house house;
	struct luks_key key;
	char *path, *json;
	uint8_t binary[BINARY_SIZE];
};

static void stranger_done(struct stranger *stranger)
{
	house_done(&stranger->house);
	secret_done(&stranger->key.secret);
	free(stranger->path);
	free(stranger->json);
}

#define _cleanup_stranger_ _cleanup_(stranger_done)

static void make_volume(struct stranger *stranger, const char *name)
{
	struct volume_create_options options = {
		.size = SIZE, .filesystem = "none", .luks = LUKS_FORMAT_DEFAULT};
	struct caisson_error err = {0};

	options.luks.key = &stranger->key;
	assert_ok(volume_create(
			  &stranger->house.state, stranger->house.keys, name, &options, NULL, &err),
		&err);
}

static void make_stranger(struct stranger *stranger, void **state, const char *name)
{
	struct caisson_error err = {0};
	_cleanup_close_ int fd = -1;

	*stranger = (struct stranger){.key = {.kind = LUKS_KEY_RANDOM}};
	make_house(&stranger->house, state, name);
	assert_ok(secret_random(&stranger->key.secret, 64, &err), &err);
	make_volume(stranger, "data");
	stranger->path = container_path(&stranger->house, "data");
	stranger->json = calloc(1, HEADER_SIZE);
	fd = open(stranger->path, O_RDONLY | O_CLOEXEC);
	assert_ok(pread_all(fd, stranger->binary, BINARY_SIZE, 0, stranger->path, &err), &err);
	assert_ok(pread_all(fd, stranger->json, HEADER_SIZE - BINARY_SIZE, BINARY_SIZE,
			  stranger->path, &err),
		&err);
}

static void put_be64(uint8_t *to, uint64_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 8)
		to[i] = (uint8_t)value;
}

/* Both copies with @json, each of @size bytes, and right checksums. Section 2.1: size at 8, offset
   at 256, checksum at 448, of the second the magic is another. */
static void write_header(const struct stranger *stranger, const char *path, const char *json,
	uint32_t size, const uint8_t binary[BINARY_SIZE])
{
	_cleanup_free_ uint8_t *header = calloc(1, size);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	struct caisson_error err = {0};
	char hex[DIGEST_HEX_SIZE];

	(void)stranger;
	assert_true(strlen(json) < size - BINARY_SIZE);
	for (uint32_t copy = 0; copy < 2; copy++) {
		memcpy(header, binary, BINARY_SIZE);
		strcpy((char *)header + BINARY_SIZE, json);
		memcpy(header, copy == 0 ? "LUKS\xba\xbe" : "SKUL\xba\xbe", 6);
		put_be64(header + 8, size);
		put_be64(header + 256, (uint64_t)copy * size);
		memset(header + 448, 0, 64);
		assert_ok(digest_of((char *)header, size, hex, &err), &err);
		assert_int_equal(hex_decode(hex, 64, header + 448, 32), 0);
		assert_ok(pwrite_all(fd, header, size, (uint64_t)copy * size, path, &err), &err);
	}
}

static char *replaced(const char *json, const char *from, const char *to)
{
	const char *at = strstr(json, from);
	char *out;

	if (at == NULL)
		fail_msg("'%s' is not in: %s", from, json);
	out = malloc(strlen(json) + strlen(to) + 1);
	assert_non_null(out);
	sprintf(out, "%.*s%s%s", (int)(at - json), json, to, at + strlen(from));
	return out;
}

static int ignore_keyslot(const struct caisson_volume_keyslot *keyslot, void *userdata)
{
	for (const char *p = keyslot->kdf; *p != '\0'; p++)
		assert_true(*p >= ' ' && *p != 0x7f);
	(*(unsigned int *)userdata)++;
	return 0;
}

static int note_bad(const struct caisson_volume_finding *finding, void *userdata)
{
	assert_non_null(finding->text);
	for (const char *p = finding->text; *p != '\0'; p++)
		assert_true((unsigned char)*p >= ' ' && *p != 0x7f);
	*(unsigned int *)userdata += !finding->good && !finding->skipped;
	return 0;
}

/* Succeeds, or says why not. */
static void assert_told(int r, struct caisson_error *err)
{
	if (r < 0) {
		assert_int_equal(err->code, -r);
		assert_string_not_equal(err->message, "");
	}
	*err = (struct caisson_error){0};
}

/* What changes no header but may read one. */
static void try_reading(const struct stranger *stranger, const struct volume_key *key)
{
	const struct house *house = &stranger->house;
	_cleanup_(volume_info_done) struct volume_info info = {0};
	struct caisson_error err = {0};
	struct volume_usage usage;
	unsigned int count = 0, bad = 0;
	struct luks_header header;

	assert_told(luks_inspect(stranger->path, &header, &err), &err);
	assert_told(luks_areas_check(stranger->path, &err), &err);
	assert_ok(volume_inspect(&house->state, house->keys, "data", &info, &err), &err);
	(void)volume_usage(&house->state, house->keys, "data", &usage);
	assert_told(
		volume_keyslots(&house->state, house->keys, "data", ignore_keyslot, &count, &err),
		&err);
	assert_true(count <= 32);
	assert_told(
		volume_check(&house->state, house->keys, "data", key, note_bad, &bad, &err), &err);
}

static void try_writing(const struct stranger *stranger, const struct volume_key *key)
{
	const struct house *house = &stranger->house;
	_cleanup_free_ char *backup = path_join(house->state.dir, "backup");
	_cleanup_free_ char *image = path_join(house->state.dir, "image");
	struct volume_export_options options = {.key = *key};
	struct caisson_volume_destroyed done;
	struct caisson_error err = {0};
	unsigned int keyslot;

	assert_told(volume_backup(&house->state, house->keys, "data", backup, &err), &err);
	if (volume_copy(&house->state, house->keys, "data", "copy", key, &stranger->key, NULL, NULL,
		    &err) == 0)
		assert_ok(volume_destroy(&house->state, house->keys, "copy", &done, &err), &err);
	else
		assert_string_not_equal(err.message, "");
	assert_int_equal(count_entries(house), 2);
	assert_told(volume_export(&house->state, house->keys, "data", image, &options, &err), &err);
	unlink(image);
	/* As if it were a backup of another volume. */
	assert_told(
		volume_restore(&house->state, house->keys, "other", stranger->path, false, &err),
		&err);
	unlink(backup);
	assert_told(volume_key_add(&house->state, house->keys, "data", key, &stranger->key,
			    &keyslot, &err),
		&err);
	assert_told(
		volume_key_change(&house->state, house->keys, "data", key, NULL, &keyslot, &err),
		&err);
	assert_told(volume_key_remove(&house->state, house->keys, "data", NULL, 0, &err), &err);
	assert_told(volume_resize(&house->state, house->keys, "data", SIZE + (1 << 20), key, &err),
		&err);
}

/* Through all of it, and gone in the end. */
static void try_all(const struct stranger *stranger, const char *what)
{
	const struct house *house = &stranger->house;
	const struct volume_key key = {.key = &stranger->key};
	_cleanup_free_ char *kept = path_join(house->state.dir, "kept");
	double began = seconds(), took;
	struct caisson_volume_destroyed done;
	struct caisson_error err = {0};
	struct luks_header header;

	assert_int_equal(link(stranger->path, kept), 0);
	try_reading(stranger, &key);
	try_writing(stranger, &key);
	assert_int_equal(volume_destroy(&house->state, house->keys, "data", &done, &err), 0);
	assert_true(done.header_erased && done.files_removed);
	assert_true(luks_inspect(kept, &header, &err) < 0);
	unlink(kept);
	took = seconds() - began;
	if (took > SECONDS_MOST)
		fail_msg("%s: took %.1f s", what, took);
	if (memory_used() > MEMORY_MOST)
		fail_msg("%s: took %llu MiB", what, (unsigned long long)memory_used() >> 20);
}

/* What luks_open() says of it, with the key that fitted. */
static int open_it(const struct stranger *stranger, struct caisson_error *err)
{
	struct luks_opened opened = {.keyslot = 0};
	int r = luks_open(stranger->path, &stranger->key, NULL, &opened, err);

	secret_done(&opened.volume_key);
	return r;
}

/* What the whole way says, with the sizes of the container. */
static int unlock_it(const struct stranger *stranger, struct caisson_error *err)
{
	_cleanup_volume_access_ struct volume_access access = VOLUME_ACCESS_NONE;
	int r = volume_access_lock(
		&stranger->house.state, stranger->house.keys, "data", "test", false, &access, err);

	return r < 0 ? r : volume_access_unlock(&access, &stranger->key, NULL, err);
}

#define KDF    "\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000"
#define DIGEST "\"segments\":[\"0\"],\"hash\":\"sha256\",\"iterations\":1000"
#define ARGON2(time, memory, cpus) \
	"\"type\":\"argon2id\",\"time\":" time ",\"memory\":" memory ",\"cpus\":" cpus
#define AREA    "\"offset\":\"32768\",\"size\":\"258048\""
#define DATA    "\"offset\":\"16777216\""
#define SECTORS "\"sector_size\":4096"
#define DYNAMIC "\"size\":\"dynamic\""
#define TOKENS  "\"tokens\":{}"

static void test_forged(void **state)
{
	/* The errno of luks_open(); 0: it opens, and is refused later or does no harm. */
	static const struct {
		const char *from, *to;
		int wanted;
		int later; /* of volume_access_unlock() */
	} cases[] = {
		/* Costs */
		{KDF, ARGON2("4", "4194304", "4"), E2BIG, E2BIG},
		{KDF, ARGON2("4", "4294967295", "4"), E2BIG, E2BIG},
		{KDF, ARGON2("4294967295", "64", "1"), E2BIG, E2BIG},
		{KDF, ARGON2("4294967295", "4294967295", "1"), E2BIG, E2BIG},
		{KDF, ARGON2("1", "1048576", "4294967295"), E2BIG, E2BIG},
		{KDF, ARGON2("1", "1048576", "100000"), E2BIG, E2BIG},
		{KDF, ARGON2("0", "0", "0"), -1, -1},
		{KDF, ARGON2("1", "1", "1"), -1, -1},
		{KDF, "\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":2147483647", E2BIG,
			E2BIG},
		{KDF, "\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":0", -1, -1},
		{KDF, "\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":-1", -1, -1},
		{KDF, "\"type\":\"pbkdf2\",\"hash\":\"no-hash\",\"iterations\":1000", -1, -1},
		{KDF, "\"type\":\"scrypt\",\"hash\":\"sha256\",\"iterations\":1000", -1, -1},
		{DIGEST, "\"segments\":[\"0\"],\"hash\":\"sha256\",\"iterations\":2147483647",
			E2BIG, E2BIG},
		{DIGEST, "\"segments\":[\"0\"],\"hash\":\"sha256\",\"iterations\":0", -1, -1},
		{DIGEST, "\"segments\":[],\"hash\":\"sha256\",\"iterations\":1000", -1, -1},
		{DIGEST, "\"segments\":[\"9\"],\"hash\":\"sha256\",\"iterations\":1000", -1, -1},
		/* Areas */
		{AREA, "\"offset\":\"4096\",\"size\":\"258048\"", EBADMSG, EBADMSG},
		{AREA, "\"offset\":\"16777216\",\"size\":\"258048\"", -1, -1},
		{AREA, "\"offset\":\"16646144\",\"size\":\"258048\"", -1, -1},
		{AREA, "\"offset\":\"9223372036854771712\",\"size\":\"258048\"", -1, -1},
		{AREA, "\"offset\":\"32768\",\"size\":\"9223372036854771712\"", -1, -1},
		{AREA, "\"offset\":\"32768\",\"size\":\"4096\"", -1, -1},
		{AREA, "\"offset\":\"32769\",\"size\":\"258048\"", -1, -1},
		{AREA, "\"offset\":\"-32768\",\"size\":\"258048\"", -1, -1},
		{"\"stripes\":4000", "\"stripes\":0", -1, -1},
		{"\"stripes\":4000", "\"stripes\":1", -1, -1},
		{"\"stripes\":4000", "\"stripes\":4294967295", -1, -1},
		{"\"key_size\":64,\"af\"", "\"key_size\":0,\"af\"", -1, -1},
		{"\"key_size\":64,\"af\"", "\"key_size\":1,\"af\"", -1, -1},
		{"\"key_size\":64,\"af\"", "\"key_size\":1000000,\"af\"", -1, -1},
		{"\"key_size\":64,\"af\"", "\"key_size\":4294967295,\"af\"", -1, -1},
		{"\"aes-xts-plain64\",\"key_size\":64",
			"\"aes-xts-plain64\",\"key_size\":4294967295", -1, -1},
		{"\"aes-xts-plain64\",\"key_size\":64", "\"aes-xts-plain64\",\"key_size\":0", -1,
			-1},
		/* The payload */
		{DATA, "\"offset\":\"1099511627776\"", -1, EBADMSG},
		{DATA, "\"offset\":\"9223372036854775807\"", -1, EBADMSG},
		{DATA, "\"offset\":\"18446744073709551615\"", EBADMSG, EBADMSG},
		{DATA, "\"offset\":\"33554432\"", -1, EBADMSG},
		{DATA, "\"offset\":\"33553920\"", -1, -1},
		{DATA, "\"offset\":\"16777217\"", -1, EBADMSG},
		{DATA, "\"offset\":\"4096\"", -1, -1},
		{DATA, "\"offset\":\"0\"", -1, -1},
		{SECTORS, "\"sector_size\":0", -1, -1},
		{SECTORS, "\"sector_size\":1", -1, -1},
		{SECTORS, "\"sector_size\":513", -1, -1},
		{SECTORS, "\"sector_size\":1536", -1, -1},
		{SECTORS, "\"sector_size\":8192", -1, -1},
		{SECTORS, "\"sector_size\":4294967295", -1, -1},
		{SECTORS, "\"sector_size\":-4096", -1, -1},
		{DYNAMIC, "\"size\":\"0\"", -1, -1},
		{DYNAMIC, "\"size\":\"100\"", -1, -1},
		{DYNAMIC, "\"size\":\"9223372036854771712\"", -1, EBADMSG},
		{DYNAMIC, "\"size\":\"16781312\"", -1, EBADMSG},
		{DYNAMIC, "\"size\":\"dynamo\"", -1, -1},
		{"\"iv_tweak\":\"0\"", "\"iv_tweak\":\"9223372036854775807\"", ENOTSUP, ENOTSUP},
		{"\"iv_tweak\":\"0\"", "\"iv_tweak\":\"0\",\"flags\":[\"in-reencryption\"]", -1,
			-1},
		{"\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\"",
			"\"iv_tweak\":\"0\",\"encryption\":\"\\u001b[2J-\\u001b[31m\"", -1, -1},
		{"\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\"",
			"\"iv_tweak\":\"0\",\"encryption\":\"aes\\u0000-xts-plain64\"", -1, -1},
		{"\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\"",
			"\"iv_tweak\":\"0\",\"encryption\":\"cipher_null-ecb\"", EPERM, EPERM},
		{"\"size\":\"258048\",\"encryption\":\"aes-xts-plain64\"",
			"\"size\":\"258048\",\"encryption\":\"cipher_null-ecb\"", ENOKEY, ENOKEY},
		/* Objects that are there twice, or where they should not be */
		{"\"segments\":{",
			"\"segments\":{\"1\":{\"type\":\"crypt\",\"offset\":\"20971520\","
			"\"size\":\"dynamic\",\"iv_tweak\":\"0\",\"encryption\":"
			"\"aes-xts-plain64\",\"sector_size\":512},",
			-1, -1},
		{"\"segments\":{", "\"segments\":{\"32\":{},", EBADMSG, EBADMSG},
		{"\"segments\":{", "\"segments\":{\"x\":{},", EBADMSG, EBADMSG},
		{"\"keyslots\":{\"0\"", "\"keyslots\":{\"0\":7,\"0\"", -1, -1},
		{"\"keyslots\":{\"0\"", "\"keyslots\":{\"32\"", EBADMSG, EBADMSG},
		{"\"keyslots\":{\"0\"", "\"keyslots\":{\"00\"", EBADMSG, EBADMSG},
		{"\"keyslots\":{\"0\"", "\"keyslots\":{\"4294967296\"", EBADMSG, EBADMSG},
		{"\"keyslots\":{\"0\":{\"type\":\"luks2\"",
			"\"keyslots\":{\"0\":{\"type\":\"\\u001b[2J\\u001b]0;x\\u0007\"", -1, -1},
		{"\"keyslots\":{\"0\":{\"type\":\"luks2\"",
			"\"keyslots\":{\"0\":{\"type\":\"reencrypt\"", -1, -1},
		{TOKENS,
			"\"tokens\":{\"0\":{\"type\":\"systemd-recovery\",\"keyslots\":[\"0\"]},"
			"\"0\":{\"type\":\"systemd-recovery\",\"keyslots\":[\"0\"]}}",
			-1, -1},
		{TOKENS, "\"tokens\":{\"0\":{\"type\":\"x\",\"keyslots\":[\"31\"]}}", -1, -1},
		{TOKENS, "\"tokens\":{\"0\":{\"type\":\"x\",\"keyslots\":[\"32\"]}}", -1, -1},
		{TOKENS, "\"tokens\":{\"0\":{\"keyslots\":[]}}", -1, -1},
		{TOKENS, "\"tokens\":[]", -1, -1},
		{TOKENS, "\"tokens\":null", -1, -1},
		{"\"config\":{",
			"\"config\":{\"requirements\":{\"mandatory\":[\"online-reencrypt-v2\"]},",
			-1, -1},
		{"\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[\"\\u001b[2J\"]},",
			-1, -1},
		{"\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[7]},", -1, -1},
		{"\"config\":{", "\"config\":{\"flags\":[\"x\",\"y\"],", -1, -1},
		/* Sizes */
		{"\"json_size\":\"12288\"", "\"json_size\":\"0\"", EBADMSG, EBADMSG},
		{"\"json_size\":\"12288\"", "\"json_size\":\"9223372036854775807\"", EBADMSG,
			EBADMSG},
		{"\"keyslots_size\":\"2097152\"", "\"keyslots_size\":\"9223372036854771712\"", -1,
			-1},
		{"\"keyslots_size\":\"2097152\"", "\"keyslots_size\":\"134217728\"", -1, -1},
		{"\"keyslots_size\":\"2097152\"", "\"keyslots_size\":\"0\"", -1, -1},
		{"\"keyslots_size\":\"2097152\"", "\"keyslots_size\":\"1\"", -1, -1},
	};
	_cleanup_stranger_ struct stranger stranger;
	uint8_t binary[BINARY_SIZE];

	make_stranger(&stranger, state, "forged");
	make_volume(&stranger, "other");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *json = replaced(stranger.json, cases[i].from, cases[i].to);
		struct caisson_error err = {0};
		int r, later;

		memcpy(binary, stranger.binary, sizeof(binary));
		write_header(&stranger, stranger.path, json, HEADER_SIZE, binary);
		r = open_it(&stranger, &err);
		if (cases[i].wanted >= 0 && r != -cases[i].wanted)
			fail_msg("%s: %d and not %d: %s", cases[i].to, r, -cases[i].wanted,
				err.message);
		assert_told(r, &err);
		later = unlock_it(&stranger, &err);
		if (cases[i].later >= 0 && later != -cases[i].later)
			fail_msg("%s: %d and not %d later: %s", cases[i].to, later, -cases[i].later,
				err.message);
		if (getenv("CAISSON_TELL") != NULL)
			print_message("# %s: %d, %d: %s\n", cases[i].to, r, later, err.message);
		assert_told(later, &err);
		try_all(&stranger, cases[i].to);
		make_volume(&stranger, "data");
		/* The keyslots of this one are its own. */
		stranger.json[0] = '\0';
		{
			_cleanup_close_ int fd = open(stranger.path, O_RDONLY | O_CLOEXEC);

			assert_ok(pread_all(fd, stranger.json, HEADER_SIZE - BINARY_SIZE,
					  BINARY_SIZE, stranger.path, &err),
				&err);
			assert_ok(
				pread_all(fd, stranger.binary, BINARY_SIZE, 0, stranger.path, &err),
				&err);
		}
	}
}

/* Fields of the binary part. */
static void test_binary_fields(void **state)
{
	static const struct {
		size_t at;
		uint64_t value;
	} fields[] = {
		{8, 0},
		{8, 1},
		{8, 8192},
		{8, 32768},
		{8, 4096},
		{8, UINT64_MAX},
		{8, 1ull << 62},
		{16, UINT64_MAX},
		{16, 0},
		{256, 4096},
		{256, UINT64_MAX},
	};
	_cleanup_stranger_ struct stranger stranger;
	struct caisson_error err = {0};
	uint8_t binary[BINARY_SIZE];

	make_stranger(&stranger, state, "binary");
	make_volume(&stranger, "other");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		_cleanup_close_ int fd = -1;
		uint8_t value[8];

		/* As it is, with a checksum that does not fit any more, and with one that does. */
		for (int round = 0; round < 2; round++) {
			memcpy(binary, stranger.binary, sizeof(binary));
			put_be64(value, fields[i].value);
			write_header(&stranger, stranger.path, stranger.json, HEADER_SIZE, binary);
			fd = open(stranger.path, O_RDWR | O_CLOEXEC);
			for (uint64_t copy = 0; copy < 2; copy++) {
				uint8_t header[HEADER_SIZE];
				char hex[DIGEST_HEX_SIZE];

				assert_ok(pread_all(fd, header, sizeof(header), copy * HEADER_SIZE,
						  "it", &err),
					&err);
				memcpy(header + fields[i].at, value, 8);
				memset(header + 448, 0, 64);
				assert_ok(
					digest_of((char *)header, sizeof(header), hex, &err), &err);
				if (round == 1)
					assert_int_equal(hex_decode(hex, 64, header + 448, 32), 0);
				assert_ok(pwrite_all(fd, header, sizeof(header), copy * HEADER_SIZE,
						  "it", &err),
					&err);
			}
			close(take_fd(&fd));
			assert_told(open_it(&stranger, &err), &err);
			try_reading(&stranger, &(struct volume_key){.key = &stranger.key});
		}
		try_all(&stranger, "a binary field");
		make_volume(&stranger, "data");
	}
	/* Text that does not end: label at 24, UUID at 168, subsystem at 208. */
	memcpy(binary, stranger.binary, sizeof(binary));
	memset(binary + 24, 'L', 48);
	memset(binary + 168, 'U', 40);
	memset(binary + 208, 'S', 48);
	write_header(&stranger, stranger.path, stranger.json, HEADER_SIZE, binary);
	assert_told(open_it(&stranger, &err), &err);
	try_all(&stranger, "text without an end");
}

/* With the number for '#'. */
static char *numbered(char *to, const char *text, size_t number)
{
	for (; *text != '\0'; text++) {
		if (*text == '#')
			to += sprintf(to, "%zu", number);
		else
			*to++ = *text;
	}
	*to = '\0';
	return to;
}

/* Many of something: depth, fields, objects. */
static char *bomb(const char *json, const char *before, const char *open, const char *middle,
	const char *close, const char *after, size_t count)
{
	size_t size = strlen(before) + strlen(after) + strlen(middle) + 1 +
		      count * (strlen(open) + strlen(close) + 24);
	_cleanup_free_ char *text = malloc(size);
	char *to = stpcpy(text, before);

	for (size_t i = 0; i < count; i++)
		to = numbered(to, open, i);
	to = stpcpy(to, middle);
	for (size_t i = 0; i < count; i++)
		to = stpcpy(to, close);
	strcpy(to, after);
	return replaced(json, TOKENS, text);
}

static void test_bombs(void **state)
{
	static const struct {
		const char *name, *before, *open, *middle, *close, *after;
		size_t count;
	} bombs[] = {
		{"deep arrays", "\"tokens\":{\"0\":{\"type\":\"x\",\"keyslots\":[],\"y\":", "[",
			"1", "]", "}}", 25000},
		{"deep objects", "\"tokens\":{\"0\":{\"type\":\"x\",\"keyslots\":[],\"y\":",
			"{\"a#\":", "1", "}", "}}", 25000},
		{"less deep", "\"tokens\":{\"0\":{\"type\":\"x\",\"keyslots\":[],\"y\":", "[", "1",
			"]", "}}", 25},
		{"many fields", "\"tokens\":{\"0\":{\"type\":\"x\",\"keyslots\":[],\"y\":{",
			"\"f#\":{},", "\"z\":{}", "", "}}}", 100000},
		{"many elements", "\"tokens\":{\"0\":{\"type\":\"x\",\"y\":[", "#,", "1", "",
			"],\"keyslots\":[]}}", 300000},
		{"many keyslots of a token", "\"tokens\":{\"0\":{\"type\":\"x\",\"keyslots\":[",
			"\"0\",", "\"0\"", "", "]}}", 25000},
		{"many tokens", "\"tokens\":{", "\"#\":{\"type\":\"x\",\"keyslots\":[]},",
			"\"0\":{\"type\":\"x\",\"keyslots\":[]}", "", "}", 15000},
		{"as many tokens as may be", "\"tokens\":{",
			"\"#\":{\"type\":\"x\",\"keyslots\":[]},",
			"\"31\":{\"type\":\"x\",\"keyslots\":[]}", "", "}", 31},
		{"the same token often", "\"tokens\":{",
			"\"0\":{\"type\":\"systemd-recovery\",\"keyslots\":[\"0\"]},",
			"\"0\":{\"type\":\"x\",\"keyslots\":[]}", "", "}", 9000},
		{"a long name", "\"tokens\":{\"0\":{\"keyslots\":[],\"type\":\"", "abc", "", "",
			"\"}}", 49000},
	};
	_cleanup_stranger_ struct stranger stranger;
	struct caisson_error err = {0};

	make_stranger(&stranger, state, "bombs");
	make_volume(&stranger, "other");
	for (size_t i = 0; i < ARRAY_SIZE(bombs); i++) {
		/* With the largest header that there can be, or one that will do. */
		uint32_t size = bombs[i].count > 50000 ? LARGEST : LARGEST / 4;
		_cleanup_free_ char *json_size =
			format_string("\"json_size\":\"%u\"", size - BINARY_SIZE);
		_cleanup_free_ char *area =
			format_string("\"offset\":\"%u\",\"size\":\"258048\"", 2 * size);
		_cleanup_free_ char *moved = replaced(stranger.json, AREA, area);
		_cleanup_free_ char *room = replaced(moved, "\"json_size\":\"12288\"", json_size);
		_cleanup_free_ char *json = bomb(room, bombs[i].before, bombs[i].open,
			bombs[i].middle, bombs[i].close, bombs[i].after, bombs[i].count);

		if (strlen(json) >= size - BINARY_SIZE)
			fail_msg("%s: %zu bytes are too many", bombs[i].name, strlen(json));
		write_header(&stranger, stranger.path, json, size, stranger.binary);
		assert_told(open_it(&stranger, &err), &err);
		try_all(&stranger, bombs[i].name);
		make_volume(&stranger, "data");
	}
}

/* Nothing in it is JSON, or not to its end. */
static void test_no_json(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "null", "{}", "7", "\"text\"",
		"{\"keyslots\":{},\"tokens\":{},\"segments\":{},\"digests\":{},\"config\":{}}",
		"{\"keyslots\":null}", "\xff\xfe", "{\"a\":\"\xff\"}"};
	_cleanup_stranger_ struct stranger stranger;
	struct caisson_error err = {0};

	make_stranger(&stranger, state, "json");
	make_volume(&stranger, "other");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		write_header(&stranger, stranger.path, texts[i], HEADER_SIZE, stranger.binary);
		assert_refused(open_it(&stranger, &err), &err, EBADMSG);
		try_all(&stranger, texts[i]);
		make_volume(&stranger, "data");
	}
}

/* Every keyslot is within the limit, and all of them together are not; nor does a machine's key
   pay for what is none of its own. */
static void test_costs_together(void **state)
{
	static const char slot[] =
		"\"%u\":{\"type\":\"luks2\",\"key_size\":64,\"af\":{\"type\":"
		"\"luks1\",\"stripes\":4000,\"hash\":\"sha256\"},\"area\":{\"type\":"
		"\"raw\",\"offset\":\"%u\",\"size\":\"258048\",\"encryption\":"
		"\"aes-xts-plain64\",\"key_size\":64},\"kdf\":{\"type\":\"pbkdf2\","
		"\"hash\":\"sha256\",\"iterations\":%u,\"salt\":"
		"\"z6vz4xK7cjan92rDA5JF8O6Jk2HouV0O8DMB6GlztVk=\"}}";
	static const unsigned int iterations[] = {390000, 100000000};
	_cleanup_stranger_ struct stranger stranger;
	const struct luks_limits limits = {.memory = 4ull << 20};
	struct luks_key wrong = {.kind = LUKS_KEY_RANDOM}, machine = {.kind = LUKS_KEY_MACHINE};
	struct luks_opened opened;
	struct caisson_error err = {0};

	make_stranger(&stranger, state, "together");
	assert_ok(secret_random(&wrong.secret, 32, &err), &err);
	assert_ok(secret_random(&machine.secret, 32, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(iterations); i++) {
		char slots[8192] = "\"keyslots\":{", bound[256], *to = slots + strlen(slots);
		_cleanup_free_ char *json = NULL, *all = NULL;
		char *at = strstr(stranger.json, "\"keyslots\":{\"0\""),
		     *end = strstr(stranger.json, "\"tokens\":");
		double began;

		/* Seven of them, beside each other. */
		for (unsigned int j = 0; j < 7; j++)
			to += sprintf(to, slot, j, 32768 + j * 258048, iterations[i]), *to++ = ',';
		strcpy(to - 1, "},");
		assert_true(at != NULL && end > at);
		json = malloc(2 * HEADER_SIZE);
		sprintf(json, "%.*s%s%s", (int)(at - stranger.json), stranger.json, slots, end);
		snprintf(bound, sizeof(bound),
			"\"keyslots\":[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\"],");
		all = replaced(json, "\"keyslots\":[\"0\"],", bound);
		write_header(&stranger, stranger.path, all, HEADER_SIZE, stranger.binary);
		began = seconds();
		/* Each of the first would be tried, and not all of them. */
		if (i == 0) {
			assert_refused(luks_open(stranger.path, &wrong, &limits, &opened, &err),
				&err, E2BIG);
			assert_non_null(strstr(err.message, "takes longer"));
			assert_non_null(strstr(err.hint, "--memory-limit"));
			assert_refused(luks_open(stranger.path, &wrong, NULL, &opened, &err), &err,
				ENOKEY);
			print_message("# seven keyslots: %.1f s\n", seconds() - began);
		}
		began = seconds();
		assert_true(luks_open(stranger.path, &machine, NULL, &opened, &err) < 0);
		assert_true(seconds() - began < 2);
	}
	secret_done(&wrong.secret);
	secret_done(&machine.secret);
}

/* One may be raised by whoever knows what it is. */
static void test_limits(void **state)
{
	static const struct {
		uint64_t memory;
		int wanted;
	} limits[] = {
		{64ull << 20, E2BIG}, {16, E2BIG}, {1, E2BIG}, {2ull << 30, 0}, {UINT64_MAX, 0}};
	_cleanup_stranger_ struct stranger stranger;
	struct volume_create_options options = {
		.size = SIZE, .filesystem = "none", .luks = LUKS_FORMAT_DEFAULT};
	_cleanup_free_ char *path = NULL;
	struct caisson_error err = {0};

	make_stranger(&stranger, state, "limits");
	stranger.key.kind = LUKS_KEY_PASSPHRASE;
	options.luks.key = &stranger.key;
	assert_ok(volume_create(&stranger.house.state, stranger.house.keys, "costly", &options,
			  NULL, &err),
		&err);
	path = container_path(&stranger.house, "costly");
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const struct luks_limits limit = {.memory = limits[i].memory};
		struct luks_opened opened = {.keyslot = 9};
		int r = luks_open(path, &stranger.key, &limit, &opened, &err);

		assert_int_equal(r, -limits[i].wanted);
		if (r < 0)
			assert_non_null(strstr(err.hint, "--memory-limit"));
		secret_done(&opened.volume_key);
	}
}

/* A header as it comes from anywhere: bytes turned at random, with checksums that fit. */
static void test_random_damage(void **state)
{
	const char *given = getenv("CAISSON_SEED");
	unsigned int seed = given != NULL ? (unsigned int)atoi(given) : (unsigned int)time(NULL);
	_cleanup_stranger_ struct stranger stranger;
	struct caisson_error err = {0};

	print_message("# CAISSON_SEED=%u\n", seed);
	make_stranger(&stranger, state, "random");
	for (int round = 0; round < 300; round++) {
		_cleanup_free_ char *json = strdup(stranger.json);
		size_t length = strlen(json);

		for (int i = rand_r(&seed) % 4; i >= 0; i--) {
			static const char likely[] = "0123456789{}[],:\"-e\\";

			json[(size_t)rand_r(&seed) % length] =
				likely[(size_t)rand_r(&seed) % (sizeof(likely) - 1)];
		}
		write_header(&stranger, stranger.path, json, HEADER_SIZE, stranger.binary);
		assert_told(open_it(&stranger, &err), &err);
		assert_told(unlock_it(&stranger, &err), &err);
		try_reading(&stranger, &(struct volume_key){.key = &stranger.key});
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_binary_fields),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_no_json),
		cmocka_unit_test(test_costs_together),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, make_test_folder_in_memory, remove_test_folder);
}
