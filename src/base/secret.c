/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define READ_FIRST ((size_t)4095) /* a page, with the byte that says that there is more */

int secret_new(struct secret *ret_secret, size_t size, struct caisson_error *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t capacity;
	void *data;

	if (size == 0 || size > SIZE_MAX - page)
		return caisson_refuse(err, EINVAL, "a secret of %zu bytes makes no sense", size);
	capacity = (size + page - 1) / page * page;
	data = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return caisson_fail(err, errno, "allocate memory for a secret");
	if (mlock(data, capacity) < 0) {
		int code = errno;

		munmap(data, capacity);
		caisson_fail(err, code, "lock memory for a secret");
		return caisson_hint(err, "raise the limit on locked memory (ulimit -l)");
	}
	/* Old kernels may lack one of these; the lock above is the one that counts. */
	(void)madvise(data, capacity, MADV_DONTDUMP);
	(void)madvise(data, capacity, MADV_DONTFORK);

	*ret_secret = (struct secret){.data = data, .size = size, .capacity = capacity};
	return 0;
}

int secret_random(struct secret *ret_secret, size_t size, struct caisson_error *err)
{
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	size_t have = 0;
	int r;

	r = secret_new(&secret, size, err);
	if (r < 0)
		return r;
	while (have < size) {
		ssize_t n = getrandom(secret.data + have, size - have, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "get random bytes");
		have += (size_t)n;
	}
	*ret_secret = take_secret(&secret);
	return 0;
}

int secret_copy(struct secret *ret_secret, const void *data, size_t size, struct caisson_error *err)
{
	int r = secret_new(ret_secret, size, err);

	if (r < 0)
		return r;
	memcpy(ret_secret->data, data, size);
	return 0;
}

/* Twice the room, the old one wiped: what is not needed is not locked, whose limit may be low. */
static int grow(struct secret *secret, size_t most, struct caisson_error *err)
{
	_cleanup_secret_ struct secret larger = SECRET_NONE;
	int r = secret_new(&larger, MIN(secret->size * 2, most), err);

	if (r < 0)
		return r;
	memcpy(larger.data, secret->data, secret->size);
	secret_done(secret);
	*secret = take_secret(&larger);
	return 0;
}

int secret_read_fd(struct secret *ret_secret, int fd, size_t most, struct caisson_error *err)
{
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	size_t have = 0;
	int r = secret_new(&secret, MIN(most, READ_FIRST) + 1, err);

	while (r == 0) {
		ssize_t n = read(fd, secret.data + have, secret.size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return caisson_fail(err, errno, "read a secret");
		if (n == 0)
			break;
		have += (size_t)n;
		if (have > most)
			return caisson_refuse(
				err, EFBIG, "a secret is longer than %zu bytes", most);
		if (have == secret.size)
			r = grow(&secret, most + 1, err);
	}
	if (r < 0)
		return r;
	secret.size = have;
	*ret_secret = take_secret(&secret);
	return 0;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
	uint8_t difference = 0;

	if (a->size != b->size)
		return false;
	for (size_t i = 0; i < a->size; i++)
		difference |= a->data[i] ^ b->data[i];
	return difference == 0;
}

void secret_done(struct secret *secret)
{
	int saved = errno;

	if (secret->data != NULL) {
		explicit_bzero(secret->data, secret->capacity);
		munmap(secret->data, secret->capacity);
	}
	*secret = SECRET_NONE;
	errno = saved;
}
