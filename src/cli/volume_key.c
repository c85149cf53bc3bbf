/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/volume_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/secret.h"
#include "cli/passphrase.h"

/* Of 32 random bytes, as systemd-cryptenroll writes them: letters that every keyboard layout has.
 */
#define RECOVERY_BYTES 32
static const char modhex[] = "cbdefghijklnrtuv";

void cli_key_done(struct cli_key *key)
{
	if (key->key.fd >= 0)
		close(key->key.fd);
	secret_done(&key->text);
	*key = CLI_KEY_NONE;
}

/* Through a pipe, whose buffer holds it: no file has it. */
static int pass_on(const void *data, size_t size, int *ret_fd, struct caisson_error *err)
{
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "make a pipe");
	r = write_all(ends[1], data, size, "a pipe", err);
	close(ends[1]);
	if (r < 0)
		close(ends[0]);
	else
		*ret_fd = ends[0];
	return r;
}

static int take_passphrase(
	const char *prompt, bool twice, struct cli_key *key, struct caisson_error *err)
{
	_cleanup_secret_ struct secret passphrase = SECRET_NONE;
	int r = cli_read_passphrase(prompt, twice, &passphrase, err);

	key->key.passphrase = true;
	return r < 0 ? r : pass_on(passphrase.data, passphrase.size, &key->key.fd, err);
}

static int take_file(const char *path, struct cli_key *key, struct caisson_error *err)
{
	key->key.fd = open_file(path, O_RDONLY | O_NOCTTY, 0, err);
	return key->key.fd < 0 ? key->key.fd : 0;
}

static int take_fd_number(const char *text, struct cli_key *key, struct caisson_error *err)
{
	char *end = NULL;
	long number = -1;

	errno = 0;
	if (text != NULL && text[0] >= '0' && text[0] <= '9')
		number = strtol(text, &end, 10);
	if (number < 0 || *end != '\0' || errno != 0 || number > 65535)
		return caisson_refuse(err, EINVAL, "'%s' is no number of a descriptor", text);
	key->key.fd = fcntl((int)number, F_DUPFD_CLOEXEC, 3);
	if (key->key.fd < 0)
		return caisson_fail(err, errno, "read a key from descriptor %ld", number);
	return 0;
}

/* https://systemd.io/CREDENTIALS */
static int take_credential(const char *name, struct cli_key *key, struct caisson_error *err)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_free_ char *path = NULL;

	if (folder == NULL || folder[0] != '/') {
		caisson_refuse(err, ENOENT, "this process was given no credentials");
		return caisson_hint(
			err, "the service's unit names them: LoadCredential=%s:...", name);
	}
	if (name[0] == '\0' || strchr(name, '/') != NULL || name[0] == '.')
		return caisson_refuse(err, EINVAL, "'%s' is no name of a credential", name);
	path = path_join(folder, name);
	return path != NULL ? take_file(path, key, err) : caisson_fail(err, ENOMEM, "take a key");
}

/* The four words that old and new keys have in common, in the same order. */
static int take(const struct cli_context *context, size_t first, const char *prompt, bool twice,
	struct cli_key *key, struct caisson_error *err)
{
	unsigned int given = cli_has(context, first) + cli_has(context, first + 1) +
			     cli_has(context, first + 2) + cli_has(context, first + 3);

	if (given > 1)
		return caisson_refuse(err, EINVAL, "one key at a time: there are %u", given);
	key->given = given == 1;
	if (cli_has(context, first + CLI_KEY_PASSPHRASE))
		return take_passphrase(prompt, twice, key, err);
	if (cli_has(context, first + CLI_KEY_FILE))
		return take_file(cli_value(context, first + CLI_KEY_FILE), key, err);
	if (cli_has(context, first + CLI_KEY_FD))
		return take_fd_number(cli_value(context, first + CLI_KEY_FD), key, err);
	if (cli_has(context, first + CLI_KEY_CREDENTIAL))
		return take_credential(cli_value(context, first + CLI_KEY_CREDENTIAL), key, err);
	return 0;
}

static int take_memory(const struct cli_context *context, size_t first, struct cli_key *key,
	struct caisson_error *err)
{
	const char *text = cli_value(context, first + CLI_KEY_MEMORY);

	return text != NULL ? caisson_parse_size(text, &key->key.memory_most, err) : 0;
}

int cli_take_key(const struct cli_context *context, size_t first, const char *prompt,
	struct cli_key *ret_key, struct caisson_error *err)
{
	*ret_key = CLI_KEY_NONE;
	if (take_memory(context, first, ret_key, err) < 0)
		return -EINVAL;
	return take(context, first, prompt, false, ret_key, err);
}

int cli_take_first_key(const struct cli_context *context, size_t first, struct cli_key *ret_key,
	struct caisson_error *err)
{
	*ret_key = CLI_KEY_NONE;
	return take(context, first, "Passphrase", true, ret_key, err);
}

/* "cbdefghi-jklnrtuv-...": eight groups of eight. */
static int make_recovery_key(struct cli_key *key, struct caisson_error *err)
{
	_cleanup_secret_ struct secret bytes = SECRET_NONE;
	int r = secret_random(&bytes, RECOVERY_BYTES, err);
	uint8_t *to;

	if (r == 0)
		r = secret_new(&key->text, CLI_RECOVERY_SIZE, err);
	if (r < 0)
		return r;
	to = key->text.data;
	for (size_t i = 0; i < RECOVERY_BYTES; i++) {
		if (i > 0 && i % 4 == 0)
			*to++ = '-';
		*to++ = (uint8_t)modhex[bytes.data[i] >> 4];
		*to++ = (uint8_t)modhex[bytes.data[i] & 15];
	}
	*to = '\n';
	key->key.recovery = true;
	return pass_on(key->text.data, CLI_RECOVERY_SIZE - 1, &key->key.fd, err);
}

int cli_take_new_key(const struct cli_context *context, size_t first, bool recovery,
	struct cli_key *ret_key, struct caisson_error *err)
{
	bool service = cli_has(context, first + CLI_NEW_SERVICE);
	bool made = recovery && cli_has(context, first + CLI_NEW_RECOVERY);
	int r;

	*ret_key = CLI_KEY_NONE;
	r = take(context, first, "New passphrase", true, ret_key, err);
	if (r < 0)
		return r;
	if (ret_key->given + service + made > 1)
		return caisson_refuse(err, EINVAL, "one new key at a time");
	if (made)
		return make_recovery_key(ret_key, err);
	if (!ret_key->given && !service)
		return caisson_refuse(err, EINVAL,
			"which new key? --new-passphrase, --new-key-file, --new-key-fd, "
			"--new-credential, %s--new-service",
			recovery ? "--new-recovery, " : "");
	return 0;
}
