/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key/kek.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/path.h"
#include "base/staging.h"

#define KEK_CONTEXT "caissonW"
#define KEK_ID      (KEK_USES + 1) /* subkeys 1 and 2 wrap */

static_assert(KEK_SIZE == crypto_kdf_KEYBYTES, "the derivation's key");
static_assert(KEK_OVERHEAD == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES +
				      crypto_aead_xchacha20poly1305_ietf_ABYTES,
	"XChaCha20-Poly1305");

static int check_file(int fd, const char *path, struct caisson_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return caisson_fail(err, errno, "stat %s", path);
	if (!S_ISREG(st.st_mode))
		return caisson_refuse(
			err, EBADMSG, "the key-encryption key %s is not a regular file", path);
	if (st.st_uid != geteuid()) {
		caisson_refuse(err, EPERM,
			"the key-encryption key %s belongs to user %u and not to you", path,
			(unsigned int)st.st_uid);
		return caisson_hint(err, "run caisson as that user, or chown the file");
	}
	if ((st.st_mode & 077) != 0) {
		caisson_refuse(err, EPERM,
			"the key-encryption key %s is open to others (mode %04o)", path,
			(unsigned int)st.st_mode & 07777);
		return caisson_hint(err,
			"chmod 600 %s; whoever could read it can open every volume"
			" whose wrapped key they have",
			path);
	}
	if (st.st_size != KEK_SIZE) {
		caisson_refuse(err, EBADMSG, "the key-encryption key %s has %lld bytes, not %d",
			path, (long long)st.st_size, KEK_SIZE);
		return caisson_hint(err, "restore it from a backup");
	}
	return 0;
}

static int load_file(const char *path, struct secret *ret_key, struct caisson_error *err)
{
	_cleanup_secret_ struct secret key = SECRET_NONE;
	_cleanup_close_ int fd = -1;
	int r;

	/* O_NONBLOCK: a FIFO in the place of a file must not hang us. */
	fd = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);
	if (fd < 0)
		return fd;
	r = check_file(fd, path, err);
	if (r == 0)
		r = secret_new(&key, KEK_SIZE, err);
	if (r == 0)
		r = pread_all(fd, key.data, key.size, 0, path, err);
	if (r < 0)
		return r;
	*ret_key = take_secret(&key);
	return 0;
}

/* Two at once: one rename succeeds, and the other finds that key. */
static int create_file(const char *config, struct caisson_error *err)
{
	_cleanup_staging_ struct staging staging = STAGING_NONE;
	_cleanup_secret_ struct secret key = SECRET_NONE;
	int r;

	staging_sweep(config);
	r = secret_random(&key, KEK_SIZE, err);
	if (r == 0)
		r = staging_file(&staging, config, err);
	if (r == 0)
		r = write_all(staging.fd, key.data, key.size, "the key-encryption key", err);
	if (r == 0 && fchmod(staging.fd, 0600) < 0)
		r = caisson_fail(err, errno, "set the mode of the key-encryption key");
	if (r == 0)
		r = staging_publish(&staging, "kek", err);
	return r == -EEXIST ? 0 : r;
}

static int derive(const struct secret *key, struct kek *ret_kek, struct caisson_error *err)
{
	struct kek kek = {0};
	int r = 0;

	for (size_t use = 0; use < KEK_USES && r == 0; use++) {
		r = secret_new(&kek.keys[use], crypto_aead_xchacha20poly1305_ietf_KEYBYTES, err);
		if (r == 0)
			crypto_kdf_derive_from_key(kek.keys[use].data, kek.keys[use].size, use + 1,
				KEK_CONTEXT, key->data);
	}
	if (r < 0) {
		kek_done(&kek);
		return r;
	}
	crypto_kdf_derive_from_key(kek.id, sizeof(kek.id), KEK_ID, KEK_CONTEXT, key->data);
	*ret_kek = kek;
	return 0;
}

int kek_open(struct kek *ret_kek, const char *config, bool may_create, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(config, "kek");
	_cleanup_secret_ struct secret key = SECRET_NONE;
	int r;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "open the key-encryption key");
	r = load_file(path, &key, err);
	if (r == -ENOENT && !may_create) {
		caisson_refuse(err, ENOKEY,
			"the key-encryption key %s is gone, and there are keys wrapped by it",
			path);
		return caisson_hint(
			err, "restore it from a backup: without it nobody can open these volumes");
	}
	if (r == -ENOENT) {
		r = create_file(config, err);
		if (r == 0)
			r = load_file(path, &key, err);
	}
	if (r < 0)
		return r;
	return derive(&key, ret_kek, err);
}

void kek_done(struct kek *kek)
{
	for (size_t use = 0; use < KEK_USES; use++)
		secret_done(&kek->keys[use]);
}

int kek_wrap(const struct kek *kek, enum kek_use use, const void *record, size_t record_size,
	const struct secret *key, struct strbuf *wrapped, struct caisson_error *err)
{
	const size_t nonce_size = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
	uint8_t *to = strbuf_reserve(wrapped, key->size + KEK_OVERHEAD);

	if (to == NULL)
		return caisson_fail(err, ENOMEM, "wrap a key");
	randombytes_buf(to, nonce_size);
	crypto_aead_xchacha20poly1305_ietf_encrypt(to + nonce_size, NULL, key->data, key->size,
		record, record_size, NULL, to, kek->keys[use].data);
	strbuf_commit(wrapped, key->size + KEK_OVERHEAD);
	return 0;
}

int kek_unwrap(const struct kek *kek, enum kek_use use, const void *record, size_t record_size,
	const void *wrapped, size_t wrapped_size, struct secret *ret_key, struct caisson_error *err)
{
	const size_t nonce_size = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
	_cleanup_secret_ struct secret key = SECRET_NONE;
	const uint8_t *nonce = wrapped;
	int r;

	if (wrapped_size <= KEK_OVERHEAD)
		return caisson_refuse(err, EBADMSG, "a wrapped key is too short");
	r = secret_new(&key, wrapped_size - KEK_OVERHEAD, err);
	if (r < 0)
		return r;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(key.data, NULL, NULL, nonce + nonce_size,
		    wrapped_size - nonce_size, record, record_size, nonce,
		    kek->keys[use].data) != 0)
		return caisson_refuse(
			err, EBADMSG, "a wrapped key, or what is recorded beside it, was changed");
	*ret_key = take_secret(&key);
	return 0;
}
