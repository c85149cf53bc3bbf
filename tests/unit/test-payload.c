/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cipher-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/hex.h"
#include "base/io.h"
#include "luks/payload.h"

#define BASE (1u << 20)
#define SIZE (3u << 20)

/* IEEE 1619-2007, annex B: sectors of 512 bytes. */
static const struct {
	const char *key;
	uint64_t unit;
	bool chained; /* the plain text is the result of the vector before; else 00, 01, ... ff */
	const char *begin;
} vectors[] = {
	{"2718281828459045235360287471352631415926535897932384626433832795", 0, false,
		"27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c"},
	{"2718281828459045235360287471352631415926535897932384626433832795", 1, true,
		"264d3ca8512194fec312c8c9891f279fefdd608d0c027b60483a3fa811d65ee5"},
	{"2718281828459045235360287471352662497757247093699959574966967627"
	 "3141592653589793238462643383279502884197169399375105820974944592",
		0xff, false, "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b"},
	{"2718281828459045235360287471352662497757247093699959574966967627"
	 "3141592653589793238462643383279502884197169399375105820974944592",
		0xffff, false, "77a31251618a15e6b92d1d66dffe7b50b50bad552305ba0217a610688eff7e11"},
	{"2718281828459045235360287471352662497757247093699959574966967627"
	 "3141592653589793238462643383279502884197169399375105820974944592",
		0xffffff, false,
		"e387aaa58ba483afa7e8eb469778317ecf4cf573aa9d4eac23f2cdf914e4e200"},
	{"2718281828459045235360287471352662497757247093699959574966967627"
	 "3141592653589793238462643383279502884197169399375105820974944592",
		0xffffffff, false,
		"bf53d2dade78e822a4d949a9bc6766b01b06a8ef70d26748c6a7fc36d80ae4c5"},
	{"2718281828459045235360287471352662497757247093699959574966967627"
	 "3141592653589793238462643383279502884197169399375105820974944592",
		0xffffffffff, false,
		"64497e5a831e4a932c09be3e5393376daa599548b816031d224bbf50a818ed23"},
};

static void test_vectors(void **state _unused_)
{
	uint8_t data[512], plain[512], wanted[32];
	struct caisson_error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		_cleanup_(luks_cipher_run_freep) struct luks_cipher_run *encrypt = NULL;
		_cleanup_(luks_cipher_run_freep) struct luks_cipher_run *decrypt = NULL;
		_cleanup_cipher_ struct luks_cipher *cipher = NULL;
		_cleanup_secret_ struct secret key = SECRET_NONE;
		size_t digits = strlen(vectors[i].key);

		assert_ok(secret_new(&key, digits / 2, &err), &err);
		assert_int_equal(hex_decode(vectors[i].key, digits, key.data, key.size), 0);
		assert_int_equal(hex_decode(vectors[i].begin, 64, wanted, 32), 0);
		assert_ok(luks_cipher_new(CIPHER_NAME, 512, &key, &cipher, &err), &err);
		assert_ok(luks_cipher_run_new(cipher, true, &encrypt, &err), &err);
		assert_ok(luks_cipher_run_new(cipher, false, &decrypt, &err), &err);
		for (int k = 0; k < 512 && !vectors[i].chained; k++)
			data[k] = (uint8_t)k;
		memcpy(plain, data, 512);
		assert_ok(luks_cipher_run(encrypt, vectors[i].unit * 512, data, 512, &err), &err);
		assert_memory_equal(data, wanted, 32);
		memcpy(wanted, data, 32);
		assert_ok(luks_cipher_run(decrypt, vectors[i].unit * 512, data, 512, &err), &err);
		assert_memory_equal(data, plain, 512);
		assert_ok(luks_cipher_run(encrypt, vectors[i].unit * 512, data, 512, &err), &err);
	}
}

/* Every sector size and key size, far out, against contexts of their own. */
static void test_sectors(void **state _unused_)
{
	static const uint64_t places[] = {0, 4096, 1ull << 31, (1ull << 41) + 8192, 1ull << 62};
	struct caisson_error err = {0};

	for (uint32_t sector_size = 512; sector_size <= 4096; sector_size *= 2)
		for (size_t i = 0; i < 2 * ARRAY_SIZE(places); i++) {
			_cleanup_(luks_cipher_run_freep) struct luks_cipher_run *run = NULL;
			_cleanup_cipher_ struct luks_cipher *cipher = NULL;
			_cleanup_secret_ struct secret key = SECRET_NONE;
			uint64_t offset = places[i / 2];
			uint8_t data[16384], wanted[16384];

			cipher = random_cipher(sector_size, i % 2 == 0 ? 32 : 64, &key);
			assert_int_equal(luks_cipher_sector_size(cipher), sector_size);
			assert_ok(luks_cipher_run_new(cipher, true, &run, &err), &err);
			for (size_t k = 0; k < sizeof(data); k++)
				data[k] = pattern(k, 1);
			for (size_t k = 0; k < sizeof(data); k += sector_size)
				sector_alone(
					&key, true, sector_size, offset + k, data + k, wanted + k);
			assert_ok(luks_cipher_run(run, offset, data, sizeof(data), &err), &err);
			assert_memory_equal(data, wanted, sizeof(data));
			assert_refused(
				luks_cipher_run(run, offset + 1, data, 4096, &err), &err, EINVAL);
			assert_refused(luks_cipher_run(run, offset, data, 511, &err), &err, EINVAL);
		}
}

static void test_cipher_refuses(void **state _unused_)
{
	static const uint32_t sizes[] = {0, 1, 256, 768, 8192, UINT32_MAX};
	_cleanup_secret_ struct secret key = SECRET_NONE, odd = SECRET_NONE, weak = SECRET_NONE;
	struct luks_cipher *cipher = NULL;
	struct caisson_error err = {0};

	assert_ok(secret_random(&key, 64, &err), &err);
	assert_ok(secret_random(&odd, 48, &err), &err);
	assert_ok(secret_new(&weak, 64, &err), &err);
	assert_true(luks_cipher_known(CIPHER_NAME, 32));
	assert_true(luks_cipher_known(CIPHER_NAME, 64));
	assert_false(luks_cipher_known(CIPHER_NAME, 48));
	assert_false(luks_cipher_known("aes-cbc-essiv:sha256", 32));
	assert_refused(luks_cipher_new("cipher_null-ecb", 512, &key, &cipher, &err), &err, ENOTSUP);
	assert_refused(luks_cipher_new(CIPHER_NAME, 512, &odd, &cipher, &err), &err, ENOTSUP);
	assert_refused(luks_cipher_new(CIPHER_NAME, 512, &weak, &cipher, &err), &err, EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_refused(
			luks_cipher_new(CIPHER_NAME, sizes[i], &key, &cipher, &err), &err, EINVAL);
	assert_null(cipher);
}

struct fixture {
	int fd;
	struct secret key;
	struct luks_cipher *cipher;
	struct blocks *container, *payload;
};

static void fixture_done(struct fixture *fixture)
{
	blocks_free(fixture->payload);
	blocks_free(fixture->container);
	luks_cipher_free(fixture->cipher);
	secret_done(&fixture->key);
	closep(&fixture->fd);
}

#define _cleanup_fixture_ _cleanup_(fixture_done)

static void make_fixture(struct fixture *fixture, uint32_t sector_size)
{
	struct caisson_error err = {0};

	*fixture = (struct fixture){.fd = memfd_create("container", MFD_CLOEXEC)};
	fixture->cipher = random_cipher(sector_size, 64, &fixture->key);
	assert_int_equal(ftruncate(fixture->fd, BASE + SIZE), 0);
	assert_ok(blocks_of_file(
			  fixture->fd, BASE + SIZE, false, "container", &fixture->container, &err),
		&err);
	assert_ok(luks_payload_new(
			  fixture->container, BASE, SIZE, fixture->cipher, &fixture->payload, &err),
		&err);
	assert_ok(blocks_zero(fixture->payload, 0, SIZE, &err), &err);
}

static void check_mirror(const struct fixture *fixture, uint32_t sector_size, const uint8_t *mirror)
{
	uint8_t cipher[4096], plain[4096];
	struct caisson_error err = {0};

	for (uint64_t at = 0; at < SIZE; at += sector_size) {
		assert_ok(pread_all(fixture->fd, cipher, sector_size, BASE + at, "it", &err), &err);
		sector_alone(&fixture->key, false, sector_size, at, cipher, plain);
		assert_memory_equal(plain, mirror + at, sector_size);
	}
}

static uint64_t a_size(void)
{
	uint64_t size = (uint64_t)rand() % 4 == 0 ? (uint64_t)rand() % (700u << 10)
						  : (uint64_t)rand() % 9000u;

	return rand() % 3 == 0 ? size / 512 * 512 : size;
}

/* Ranges of any alignment against a plain mirror, and then sector by sector on the disk. */
static void test_random_ranges(void **state _unused_)
{
	unsigned int seed = (unsigned int)time(NULL);
	_cleanup_free_ uint8_t *mirror = calloc(1, SIZE), *data = malloc(SIZE);
	struct caisson_error err = {0};

	print_message("# seed %u\n", seed);
	srand(seed);
	for (uint32_t sector_size = 512; sector_size <= 4096; sector_size *= 8) {
		_cleanup_fixture_ struct fixture fixture;

		make_fixture(&fixture, sector_size);
		memset(mirror, 0, SIZE);
		for (int i = 0; i < 600; i++) {
			uint64_t size = a_size(), at = (uint64_t)rand() % (SIZE - size);

			if (rand() % 3 == 0)
				at = at / sector_size * sector_size;
			if (rand() % 2 == 0) {
				for (uint64_t k = 0; k < size; k++)
					data[k] = pattern(at + k, (uint32_t)i);
				memcpy(mirror + at, data, size);
				assert_ok(
					blocks_write(fixture.payload, at, data, size, &err), &err);
			} else {
				assert_ok(blocks_read(fixture.payload, at, data, size, &err), &err);
				assert_memory_equal(data, mirror + at, size);
			}
		}
		check_mirror(&fixture, sector_size, mirror);
		assert_ok(blocks_flush(fixture.payload, &err), &err);
	}
}

static void test_bounds(void **state _unused_)
{
	_cleanup_fixture_ struct fixture fixture;
	struct caisson_error err = {0};
	struct blocks *other = NULL;
	uint8_t data[8192] = {1};

	make_fixture(&fixture, 4096);
	assert_refused(blocks_read(fixture.payload, SIZE, data, 1, &err), &err, EINVAL);
	assert_refused(blocks_write(fixture.payload, SIZE - 1, data, 2, &err), &err, EINVAL);
	assert_refused(blocks_read(fixture.payload, UINT64_MAX, data, 2, &err), &err, EINVAL);
	assert_ok(blocks_write(fixture.payload, SIZE - 1, data, 1, &err), &err);
	assert_refused(
		luks_payload_new(fixture.container, BASE, SIZE - 512, fixture.cipher, &other, &err),
		&err, EINVAL);
	assert_refused(
		luks_payload_new(fixture.container, BASE + 512, SIZE, fixture.cipher, &other, &err),
		&err, EINVAL);
	assert_refused(luks_payload_new(fixture.container, UINT64_MAX - 4095, SIZE, fixture.cipher,
			       &other, &err),
		&err, EINVAL);
	/* A container that became shorter: an error and no hang. */
	assert_int_equal(ftruncate(fixture.fd, BASE + 8192), 0);
	assert_refused(blocks_read(fixture.payload, 8192, data, 8192, &err), &err, ENODATA);
	assert_refused(blocks_write(fixture.payload, 8193, data, 8, &err), &err, ENODATA);
	fixture.container->read_only = true;
	assert_ok(luks_payload_new(fixture.container, BASE, SIZE, fixture.cipher, &other, &err),
		&err);
	assert_refused(blocks_write(other, 0, data, 1, &err), &err, EROFS);
	blocks_free(other);
}

static void test_discard(void **state _unused_)
{
	_cleanup_fixture_ struct fixture fixture;
	_cleanup_free_ uint8_t *data = malloc(SIZE);
	struct caisson_error err = {0};
	struct stat before, after;

	make_fixture(&fixture, 4096);
	memset(data, 0x5a, SIZE);
	assert_ok(blocks_write(fixture.payload, 0, data, SIZE, &err), &err);
	assert_int_equal(fstat(fixture.fd, &before), 0);
	/* Parts of sectors at both ends, which must stay. */
	assert_ok(blocks_discard(fixture.payload, 4097, 1 << 20, &err), &err);
	assert_int_equal(fstat(fixture.fd, &after), 0);
	assert_int_equal((before.st_blocks - after.st_blocks) * 512, (1 << 20) - 4096);
	assert_ok(blocks_discard(fixture.payload, 1, 4095, &err), &err);
	assert_ok(blocks_read(fixture.payload, 0, data, 8192, &err), &err);
	for (size_t i = 0; i < 8192; i++)
		assert_int_equal(data[i], 0x5a);
	assert_ok(blocks_read(fixture.payload, 4096 + (1 << 20), data, 4096, &err), &err);
	assert_int_equal(data[0], 0x5a);
	assert_int_equal(data[4095], 0x5a);
}

enum { WRITERS = 4, ROUNDS = 4000, CELL = 100 };

struct writer {
	struct blocks *payload;
	unsigned int number;
	bool failed;
};

/* Each its own cells, which share sectors with everybody else's. */
static void *write_cells(void *userdata)
{
	struct writer *writer = userdata;
	uint8_t cell[CELL], back[CELL];

	for (unsigned int i = 0; i < ROUNDS && !writer->failed; i++) {
		uint64_t at = (uint64_t)(i % 64 * WRITERS + writer->number) * CELL;

		memset(cell, (int)(writer->number * 50 + i % 50), CELL);
		writer->failed = blocks_write(writer->payload, at, cell, CELL, NULL) < 0 ||
				 blocks_read(writer->payload, at, back, CELL, NULL) < 0 ||
				 memcmp(cell, back, CELL) != 0;
	}
	return NULL;
}

static void test_neighbours(void **state _unused_)
{
	_cleanup_fixture_ struct fixture fixture;
	struct writer writers[WRITERS];
	struct caisson_error err = {0};
	pthread_t threads[WRITERS];
	uint8_t cell[CELL];

	make_fixture(&fixture, 4096);
	for (unsigned int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.payload = fixture.payload, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, write_cells, &writers[i]), 0);
	}
	for (unsigned int i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		assert_false(writers[i].failed);
	}
	for (unsigned int i = ROUNDS - 64; i < ROUNDS; i++)
		for (unsigned int k = 0; k < WRITERS; k++) {
			uint64_t at = (uint64_t)(i % 64 * WRITERS + k) * CELL;

			assert_ok(blocks_read(fixture.payload, at, cell, CELL, &err), &err);
			assert_int_equal(cell[0], k * 50 + i % 50);
			assert_int_equal(cell[CELL - 1], k * 50 + i % 50);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_sectors),
		cmocka_unit_test(test_cipher_refuses),
		cmocka_unit_test(test_random_ranges),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
