/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A TPM's secrets, with swtpm as the TPM and libtss2 as the other client: each opens what the other
   sealed, to the same PCRs, and both are refused when these change. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <unistd.h>

#include "test.h"
#include "tpm/tpm.h"

#define PCR 11

static struct {
	char folder[64];
	pid_t swtpm;
	int tpm;
	ESYS_CONTEXT *esys;
} fixture = {.swtpm = -1, .tpm = -1};

/* libtss2's transport, over the same connection. */
static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
	(void)context;
	return write(fixture.tpm, command, size) == (ssize_t)size ? TSS2_RC_SUCCESS
								  : TSS2_TCTI_RC_IO_ERROR;
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout)
{
	static uint8_t kept[4096];
	static ssize_t have;

	(void)context;
	(void)timeout;
	/* Asked for the size first, then for the response. */
	if (have == 0)
		have = read(fixture.tpm, kept, sizeof(kept));
	if (have <= 0)
		return TSS2_TCTI_RC_IO_ERROR;
	*size = (size_t)have;
	if (response == NULL)
		return TSS2_RC_SUCCESS;
	memcpy(response, kept, (size_t)have);
	have = 0;
	return TSS2_RC_SUCCESS;
}

static TSS2_TCTI_CONTEXT_COMMON_V1 transport = {
	.magic = 1, .version = 1, .transmit = transmit, .receive = receive};

static int connect_swtpm(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	for (int i = 0; i < 1000; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		close(fd);
		usleep(10000);
	}
	return -1;
}

static int start(void **state)
{
	char state_folder[96], server[128], *socket_path = server + strlen("type=unixio,path=");

	(void)state;
	strcpy(fixture.folder, "/tmp/caisson-tpm-XXXXXX");
	if (mkdtemp(fixture.folder) == NULL)
		return -1;
	snprintf(state_folder, sizeof(state_folder), "dir=%s", fixture.folder);
	snprintf(server, sizeof(server), "type=unixio,path=%s/socket", fixture.folder);
	fixture.swtpm = fork();
	if (fixture.swtpm == 0) {
		execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state_folder, "--server",
			server, "--flags", "not-need-init,startup-clear", NULL);
		_exit(127);
	}
	fixture.tpm = connect_swtpm(socket_path);
	if (fixture.tpm < 0)
		return -1;
	return Esys_Initialize(&fixture.esys, (TSS2_TCTI_CONTEXT *)&transport, NULL) ==
			       TSS2_RC_SUCCESS
		       ? 0
		       : -1;
}

static int stop(void **state)
{
	char command[96];

	(void)state;
	Esys_Finalize(&fixture.esys);
	close(fixture.tpm);
	if (fixture.swtpm > 0) {
		kill(fixture.swtpm, SIGTERM);
		waitpid(fixture.swtpm, NULL, 0);
	}
	snprintf(command, sizeof(command), "rm -rf %s", fixture.folder);
	return system(command);
}

/* The storage key and a policy session, as libtss2 makes them. */
static void peer_open(ESYS_TR *parent, ESYS_TR *session)
{
	TPM2B_SENSITIVE_CREATE sensitive = {0};
	TPM2B_PUBLIC template = {
		.publicArea = {.type = TPM2_ALG_ECC,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
					    TPMA_OBJECT_SENSITIVEDATAORIGIN |
					    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA |
					    TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
			.parameters.eccDetail = {.symmetric = {.algorithm = TPM2_ALG_AES,
							 .keyBits.aes = 128,
							 .mode.aes = TPM2_ALG_CFB},
				.scheme.scheme = TPM2_ALG_NULL,
				.curveID = TPM2_ECC_NIST_P256,
				.kdf.scheme = TPM2_ALG_NULL}}};
	TPM2B_DATA outside = {0};
	TPML_PCR_SELECTION none = {0};
	TPML_PCR_SELECTION selection = {.count = 1,
		.pcrSelections = {{.hash = TPM2_ALG_SHA256,
			.sizeofSelect = 3,
			.pcrSelect = {0, 1 << (PCR - 8), 0}}}};
	TPM2B_DIGEST empty = {0};
	TPMT_SYM_DEF symmetric = {.algorithm = TPM2_ALG_NULL};

	assert_int_equal(Esys_CreatePrimary(fixture.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
				 ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template, &outside, &none,
				 parent, NULL, NULL, NULL, NULL),
		0);
	assert_int_equal(Esys_StartAuthSession(fixture.esys, ESYS_TR_NONE, ESYS_TR_NONE,
				 ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_POLICY,
				 &symmetric, TPM2_ALG_SHA256, session),
		0);
	assert_int_equal(Esys_PolicyPCR(fixture.esys, *session, ESYS_TR_NONE, ESYS_TR_NONE,
				 ESYS_TR_NONE, &empty, &selection),
		0);
}

static void peer_close(ESYS_TR parent, ESYS_TR session)
{
	assert_int_equal(Esys_FlushContext(fixture.esys, parent), 0);
	assert_int_equal(Esys_FlushContext(fixture.esys, session), 0);
}

static void peer_seal(const void *data, size_t size, struct tpm_sealed *sealed)
{
	TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.data.size = (uint16_t)size};
	TPM2B_PUBLIC template = {
		.publicArea = {.type = TPM2_ALG_KEYEDHASH,
			.nameAlg = TPM2_ALG_SHA256,
			.objectAttributes =
				TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_NODA,
			.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
	TPM2B_DATA outside = {0};
	TPML_PCR_SELECTION none = {0};
	TPM2B_PRIVATE *private;
	TPM2B_PUBLIC *public;
	TPM2B_DIGEST *policy;
	ESYS_TR parent, session;
	uint8_t marshalled[TPM_BLOB_MOST];
	size_t offset = 0;

	memcpy(sensitive.sensitive.data.buffer, data, size);
	peer_open(&parent, &session);
	assert_int_equal(Esys_PolicyGetDigest(fixture.esys, session, ESYS_TR_NONE, ESYS_TR_NONE,
				 ESYS_TR_NONE, &policy),
		0);
	template.publicArea.authPolicy = *policy;
	assert_int_equal(Esys_Create(fixture.esys, parent, ESYS_TR_PASSWORD, ESYS_TR_NONE,
				 ESYS_TR_NONE, &sensitive, &template, &outside, &none, &private,
				 &public, NULL, NULL, NULL),
		0);
	memcpy(sealed->private_part, private->buffer, private->size);
	sealed->private_size = private->size;
	assert_int_equal(
		Tss2_MU_TPM2B_PUBLIC_Marshal(public, marshalled, sizeof(marshalled), &offset), 0);
	memcpy(sealed->public_part, marshalled + 2, offset - 2);
	sealed->public_size = offset - 2;
	Esys_Free(policy);
	Esys_Free(private);
	Esys_Free(public);
	peer_close(parent, session);
}

/* The code that libtss2 has for it; what came out in @data, whose size is @size. */
static TSS2_RC peer_unseal(const struct tpm_sealed *sealed, void *data, size_t *size)
{
	TPM2B_PRIVATE private = {.size = (uint16_t)sealed->private_size};
	TPM2B_PUBLIC public = {0};
	TPM2B_SENSITIVE_DATA *out = NULL;
	uint8_t marshalled[TPM_BLOB_MOST + 2] = {
		(uint8_t)(sealed->public_size >> 8), (uint8_t)sealed->public_size};
	ESYS_TR parent, session, object;
	size_t offset = 0;
	TSS2_RC r;

	memcpy(private.buffer, sealed->private_part, sealed->private_size);
	memcpy(marshalled + 2, sealed->public_part, sealed->public_size);
	assert_int_equal(Tss2_MU_TPM2B_PUBLIC_Unmarshal(
				 marshalled, sealed->public_size + 2, &offset, &public),
		0);
	peer_open(&parent, &session);
	r = Esys_Load(fixture.esys, parent, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &private,
		&public, &object);
	if (r == 0) {
		r = Esys_Unseal(fixture.esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, &out);
		if (r == 0) {
			memcpy(data, out->buffer, out->size);
			*size = out->size;
			Esys_Free(out);
		}
		assert_int_equal(Esys_FlushContext(fixture.esys, object), 0);
	}
	peer_close(parent, session);
	return r;
}

static void extend(void)
{
	TPML_DIGEST_VALUES digests = {
		.count = 1, .digests = {{.hashAlg = TPM2_ALG_SHA256, .digest.sha256 = {1, 2, 3}}}};

	assert_int_equal(Esys_PCR_Extend(fixture.esys, ESYS_TR_PCR0 + PCR, ESYS_TR_PASSWORD,
				 ESYS_TR_NONE, ESYS_TR_NONE, &digests),
		0);
}

/* Transient objects and sessions that are left in the TPM. */
static unsigned int left_open(void)
{
	const uint32_t ranges[] = {0x80000000, 0x02000000};
	unsigned int count = 0;

	for (size_t i = 0; i < 2; i++) {
		TPMS_CAPABILITY_DATA *data = NULL;
		TPMI_YES_NO more;

		assert_int_equal(
			Esys_GetCapability(fixture.esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
				TPM2_CAP_HANDLES, ranges[i], 16, &more, &data),
			0);
		count += data->data.handles.count;
		Esys_Free(data);
	}
	return count;
}

static void new_secret(struct secret *secret, size_t size)
{
	struct caisson_error err = {0};

	assert_int_equal(secret_random(secret, size, &err), 0);
}

static void test_round(void **state)
{
	const size_t sizes[] = {1, 32, TPM_SECRET_MOST};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_secret_ struct secret secret = SECRET_NONE, out = SECRET_NONE;
		struct caisson_error err = {0};
		struct tpm_sealed sealed;

		new_secret(&secret, sizes[i]);
		assert_int_equal(tpm_seal(fixture.tpm, &secret, 1u << PCR, &sealed, &err), 0);
		assert_int_equal(tpm_unseal(fixture.tpm, &sealed, 1u << PCR, &out, &err), 0);
		assert_true(secret_equal(&secret, &out));
	}
	assert_int_equal(left_open(), 0);
}

static void test_peer_opens(void **state)
{
	_cleanup_secret_ struct secret secret = SECRET_NONE;
	struct caisson_error err = {0};
	struct tpm_sealed sealed;
	uint8_t out[TPM_SECRET_MOST];
	size_t size = 0;

	(void)state;
	new_secret(&secret, 32);
	assert_int_equal(tpm_seal(fixture.tpm, &secret, 1u << PCR, &sealed, &err), 0);
	assert_int_equal(peer_unseal(&sealed, out, &size), 0);
	assert_int_equal(size, 32);
	assert_memory_equal(out, secret.data, 32);
}

static void test_peer_seals(void **state)
{
	_cleanup_secret_ struct secret out = SECRET_NONE;
	const char text[] = "sealed by libtss2";
	struct caisson_error err = {0};
	struct tpm_sealed sealed;

	(void)state;
	peer_seal(text, sizeof(text), &sealed);
	assert_int_equal(tpm_unseal(fixture.tpm, &sealed, 1u << PCR, &out, &err), 0);
	assert_int_equal(out.size, sizeof(text));
	assert_memory_equal(out.data, text, sizeof(text));
}

static void test_refused(void **state)
{
	_cleanup_secret_ struct secret secret = SECRET_NONE, out = SECRET_NONE;
	struct caisson_error err = {0};
	struct tpm_sealed sealed;
	uint8_t data[TPM_SECRET_MOST];
	size_t size;

	(void)state;
	new_secret(&secret, 32);
	assert_int_equal(tpm_seal(fixture.tpm, &secret, 1u << PCR, &sealed, &err), 0);
	assert_int_equal(tpm_unseal(fixture.tpm, &sealed, 1u << (PCR + 1), &out, &err), -EPERM);
	extend();
	assert_int_equal(tpm_unseal(fixture.tpm, &sealed, 1u << PCR, &out, &err), -EPERM);
	assert_string_equal(
		err.message, "the TPM keeps the secret: the PCRs are not what it was sealed to");
	assert_null(out.data);
	assert_int_not_equal(peer_unseal(&sealed, data, &size), 0);
	sealed.private_part[sealed.private_size - 1] ^= 1;
	assert_int_equal(tpm_unseal(fixture.tpm, &sealed, 1u << PCR, &out, &err), -EBADMSG);
	sealed.private_size = 0;
	assert_int_equal(tpm_unseal(fixture.tpm, &sealed, 1u << PCR, &out, &err), -EBADMSG);
	sealed.private_size = TPM_BLOB_MOST + 1;
	assert_int_equal(tpm_unseal(fixture.tpm, &sealed, 1u << PCR, &out, &err), -EINVAL);
	assert_int_equal(tpm_seal(fixture.tpm, &secret, 0, &sealed, &err), -EINVAL);
	assert_int_equal(tpm_seal(fixture.tpm, &secret, 1u << 24, &sealed, &err), -EINVAL);
	assert_int_equal(left_open(), 0);
}

static void test_open(void **state)
{
	char path[96];
	struct caisson_error err = {0};

	(void)state;
	assert_int_equal(tpm_open("/nowhere/tpm", &err), -ENOENT);
	snprintf(path, sizeof(path), "%s/fifo", fixture.folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(tpm_open(path, &err), -ENODEV);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_peer_opens),
		cmocka_unit_test(test_peer_seals),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_open),
	};

	if (system("command -v swtpm >/dev/null 2>&1") != 0) {
		puts("1..0 # SKIP swtpm is not installed");
		return 0;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
