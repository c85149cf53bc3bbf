/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "tpm/message.h"
#include "tpm/tpm.h"

/* Part 2 */
#define CC_CREATE_PRIMARY     0x131
#define CC_CREATE             0x153
#define CC_LOAD               0x157
#define CC_UNSEAL             0x15e
#define CC_FLUSH_CONTEXT      0x165
#define CC_START_AUTH_SESSION 0x176
#define CC_POLICY_PCR         0x17f
#define CC_POLICY_GET_DIGEST  0x189
#define RH_OWNER              0x40000001
#define RH_NULL               0x40000007
#define RS_PW                 0x40000009
#define ALG_AES               0x0006
#define ALG_KEYEDHASH         0x0008
#define ALG_SHA256            0x000b
#define ALG_NULL              0x0010
#define ALG_ECC               0x0023
#define ALG_CFB               0x0043
#define ECC_NIST_P256         0x0003
#define SE_POLICY             0x01
#define RC_FORMAT_ONE         0x080
#define RC_POLICY_FAIL        0x09d
#define DIGEST_SIZE           32
#define NONCE_SIZE            16 /* the least that a session begins with */

/* TPMA_OBJECT. The parent is the storage root key of the TCG's profile; the sealed object opens by
   its policy and by nothing else, and wrong tries do not lock the TPM. */
#define FIXED_TPM             0x00000002
#define FIXED_PARENT          0x00000010
#define SENSITIVE_DATA_ORIGIN 0x00000020
#define USER_WITH_AUTH        0x00000040
#define NO_DA                 0x00000400
#define RESTRICTED            0x00010000
#define DECRYPT               0x00020000

/* What one operation has open in the TPM; 0 is no handle of either kind. */
struct handles {
	int tpm;
	uint32_t parent, session, object;
};

static void flush(int tpm, uint32_t handle)
{
	struct tpm_command command;
	struct tpm_response response;

	if (handle == 0)
		return;
	tpm_begin(&command, CC_FLUSH_CONTEXT, 0, 0);
	tpm_put32(&command, handle);
	(void)tpm_talk(tpm, &command, &response, NULL, "flush", NULL);
}

static void handles_done(struct handles *handles)
{
	int saved = errno;

	flush(handles->tpm, handles->object);
	flush(handles->tpm, handles->session);
	flush(handles->tpm, handles->parent);
	errno = saved;
}

#define _cleanup_handles_ _cleanup_(handles_done)

int tpm_open(const char *path, struct caisson_error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	/* Before it is opened: a FIFO would block. */
	if (stat(path, &st) < 0)
		return caisson_fail(err, errno, "look for a TPM at %s", path);
	if (!S_ISCHR(st.st_mode))
		return caisson_refuse(err, ENODEV, "%s is not a TPM", path);
	fd = open_file(path, O_RDWR, 0, err);
	return fd < 0 ? fd : take_fd(&fd);
}

static int open_parent(struct handles *handles, struct caisson_error *err)
{
	struct tpm_command command;
	struct tpm_response response;
	size_t place, inner;

	tpm_begin(&command, CC_CREATE_PRIMARY, RH_OWNER, RS_PW);
	place = tpm_begin_sized(&command); /* inSensitive: no password, no data */
	tpm_put_sized(&command, NULL, 0);
	tpm_put_sized(&command, NULL, 0);
	tpm_end_sized(&command, place);
	inner = tpm_begin_sized(&command);
	tpm_put16(&command, ALG_ECC);
	tpm_put16(&command, ALG_SHA256);
	tpm_put32(&command, FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH |
				    NO_DA | RESTRICTED | DECRYPT);
	tpm_put_sized(&command, NULL, 0); /* authPolicy */
	tpm_put16(&command, ALG_AES);
	tpm_put16(&command, 128);
	tpm_put16(&command, ALG_CFB);
	tpm_put16(&command, ALG_NULL); /* scheme */
	tpm_put16(&command, ECC_NIST_P256);
	tpm_put16(&command, ALG_NULL);    /* kdf */
	tpm_put_sized(&command, NULL, 0); /* unique.x */
	tpm_put_sized(&command, NULL, 0); /* unique.y */
	tpm_end_sized(&command, inner);
	tpm_put_sized(&command, NULL, 0); /* outsideInfo */
	tpm_put32(&command, 0);           /* creationPCR */
	return tpm_talk(handles->tpm, &command, &response, &handles->parent,
		"make the TPM's storage key", err);
}

/* A session whose policy is the present state of the PCRs. */
static int open_policy(struct handles *handles, uint32_t pcrs, struct caisson_error *err)
{
	struct tpm_command command;
	struct tpm_response response;
	uint8_t nonce[NONCE_SIZE];
	int r;

	if (pcrs == 0 || pcrs >= UINT32_C(1) << 24)
		return caisson_refuse(err, EINVAL, "a secret is sealed to PCRs from 0 to 23");
	if (getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
		return caisson_fail(err, errno, "make a nonce");
	tpm_begin(&command, CC_START_AUTH_SESSION, 0, 0);
	tpm_put32(&command, RH_NULL); /* tpmKey */
	tpm_put32(&command, RH_NULL); /* bind */
	tpm_put_sized(&command, nonce, sizeof(nonce));
	tpm_put_sized(&command, NULL, 0); /* encryptedSalt */
	tpm_put8(&command, SE_POLICY);
	tpm_put16(&command, ALG_NULL); /* symmetric */
	tpm_put16(&command, ALG_SHA256);
	r = tpm_talk(handles->tpm, &command, &response, &handles->session, "open a session", err);
	if (r < 0)
		return r;
	tpm_begin(&command, CC_POLICY_PCR, 0, 0);
	tpm_put32(&command, handles->session);
	tpm_put_sized(&command, NULL, 0); /* pcrDigest: the TPM takes what is there */
	tpm_put32(&command, 1);
	tpm_put16(&command, ALG_SHA256);
	tpm_put8(&command, 3);
	for (int i = 0; i < 3; i++)
		tpm_put8(&command, (uint8_t)(pcrs >> 8 * i));
	return tpm_talk(handles->tpm, &command, &response, NULL, "read the PCRs", err);
}

static int policy_digest(
	struct handles *handles, uint8_t ret_digest[static DIGEST_SIZE], struct caisson_error *err)
{
	struct tpm_command command;
	struct tpm_response response;
	const uint8_t *digest;
	size_t size = 0;
	int r;

	tpm_begin(&command, CC_POLICY_GET_DIGEST, 0, 0);
	tpm_put32(&command, handles->session);
	r = tpm_talk(handles->tpm, &command, &response, NULL, "ask for the policy", err);
	if (r < 0)
		return r;
	digest = tpm_get_sized(&response, DIGEST_SIZE, &size);
	if (digest == NULL || size != DIGEST_SIZE)
		return caisson_refuse(err, EBADMSG, "the TPM's policy is no SHA-256");
	memcpy(ret_digest, digest, DIGEST_SIZE);
	return 0;
}

/* A TPM2B of a response to a place of the same bound. */
static void take_part(
	struct tpm_response *response, uint8_t part[static TPM_BLOB_MOST], size_t *ret_size)
{
	size_t size = 0;
	const uint8_t *data = tpm_get_sized(response, TPM_BLOB_MOST, &size);

	if (data != NULL)
		memcpy(part, data, size);
	*ret_size = size;
}

static int create(struct handles *handles, const struct secret *secret,
	const uint8_t digest[static DIGEST_SIZE], struct tpm_sealed *ret_sealed,
	struct caisson_error *err)
{
	_cleanup_tpm_command_ struct tpm_command command;
	struct tpm_sealed sealed = {.private_size = 0};
	struct tpm_response response;
	size_t place;
	int r;

	tpm_begin(&command, CC_CREATE, handles->parent, RS_PW);
	place = tpm_begin_sized(&command);
	tpm_put_sized(&command, NULL, 0); /* userAuth */
	tpm_put_sized(&command, secret->data, secret->size);
	tpm_end_sized(&command, place);
	place = tpm_begin_sized(&command);
	tpm_put16(&command, ALG_KEYEDHASH);
	tpm_put16(&command, ALG_SHA256);
	tpm_put32(&command, FIXED_TPM | FIXED_PARENT | NO_DA);
	tpm_put_sized(&command, digest, DIGEST_SIZE);
	tpm_put16(&command, ALG_NULL);    /* scheme */
	tpm_put_sized(&command, NULL, 0); /* unique */
	tpm_end_sized(&command, place);
	tpm_put_sized(&command, NULL, 0); /* outsideInfo */
	tpm_put32(&command, 0);           /* creationPCR */
	r = tpm_talk(handles->tpm, &command, &response, NULL, "seal the secret", err);
	if (r < 0)
		return r;
	take_part(&response, sealed.private_part, &sealed.private_size);
	take_part(&response, sealed.public_part, &sealed.public_size);
	r = tpm_check(&response, "seal the secret", err);
	if (r == 0)
		*ret_sealed = sealed;
	return r;
}

int tpm_seal(int tpm, const struct secret *secret, uint32_t pcrs, struct tpm_sealed *ret_sealed,
	struct caisson_error *err)
{
	_cleanup_handles_ struct handles handles = {.tpm = tpm};
	uint8_t digest[DIGEST_SIZE];
	int r;

	if (secret->size == 0 || secret->size > TPM_SECRET_MOST)
		return caisson_refuse(err, EINVAL, "a TPM seals up to %d bytes and not %zu",
			TPM_SECRET_MOST, secret->size);
	r = open_policy(&handles, pcrs, err);
	if (r == 0)
		r = policy_digest(&handles, digest, err);
	if (r == 0)
		r = open_parent(&handles, err);
	return r < 0 ? r : create(&handles, secret, digest, ret_sealed, err);
}

static int load(struct handles *handles, const struct tpm_sealed *sealed, struct caisson_error *err)
{
	struct tpm_command command;
	struct tpm_response response;
	int r;

	if (sealed->private_size > TPM_BLOB_MOST || sealed->public_size > TPM_BLOB_MOST)
		return caisson_refuse(err, EINVAL, "the sealed secret is too large");
	tpm_begin(&command, CC_LOAD, handles->parent, RS_PW);
	tpm_put_sized(&command, sealed->private_part, sealed->private_size);
	tpm_put_sized(&command, sealed->public_part, sealed->public_size);
	r = tpm_talk(
		handles->tpm, &command, &response, &handles->object, "load the sealed secret", err);
	/* About what was given to it, that is (format one of Part 2, 6.6.2), and not about the
	 * TPM's own troubles. */
	if (r < 0 && (response.code & RC_FORMAT_ONE) != 0)
		return caisson_refuse(err, EBADMSG,
			"the sealed secret is damaged, or another TPM's (0x%03x)", response.code);
	return r;
}

static int unseal(struct handles *handles, struct secret *ret_secret, struct caisson_error *err)
{
	_cleanup_tpm_response_ struct tpm_response response;
	struct tpm_command command;
	const uint8_t *data;
	size_t size = 0;
	int r;

	tpm_begin(&command, CC_UNSEAL, handles->object, handles->session);
	r = tpm_talk(handles->tpm, &command, &response, NULL, "unseal the secret", err);
	/* Without the number of the session, which is in other bits. */
	if (r < 0 && (response.code & 0xbf) == RC_POLICY_FAIL)
		return caisson_refuse(err, EPERM,
			"the TPM keeps the secret: the PCRs are not what it was sealed to");
	if (r < 0)
		return r;
	data = tpm_get_sized(&response, TPM_SECRET_MOST, &size);
	if (data == NULL || size == 0)
		return caisson_refuse(err, EBADMSG, "the TPM gave no secret");
	r = secret_new(ret_secret, size, err);
	if (r == 0)
		memcpy(ret_secret->data, data, size);
	return r;
}

int tpm_unseal(int tpm, const struct tpm_sealed *sealed, uint32_t pcrs, struct secret *ret_secret,
	struct caisson_error *err)
{
	_cleanup_handles_ struct handles handles = {.tpm = tpm};
	int r = open_parent(&handles, err);

	if (r == 0)
		r = load(&handles, sealed, err);
	if (r == 0)
		r = open_policy(&handles, pcrs, err);
	return r < 0 ? r : unseal(&handles, ret_secret, err);
}
