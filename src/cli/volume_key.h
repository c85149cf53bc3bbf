/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options that say what opens a volume, and where the bytes come from: the same words for every
   command. */
#pragma once

#include <caisson/volume.h>

#include "base/secret.h"
#include "cli/options.h"

enum cli_key_option {
	CLI_KEY_PASSPHRASE,
	CLI_KEY_FILE,
	CLI_KEY_FD,
	CLI_KEY_CREDENTIAL,
	CLI_KEY_MEMORY,
	CLI_KEY_COUNT,
};

/* For the table of a command, whose options of this kind begin at @first. */
#define CLI_KEY_OPTIONS(first) \
	[(first) + CLI_KEY_PASSPHRASE] = {"passphrase", '\0', CLI_FLAG, NULL, \
		"ask for a passphrase (or read a line of standard input)", NULL}, \
		   [(first) + CLI_KEY_FILE] = {"key-file", '\0', CLI_VALUE, "FILE", \
			   "the key is this file's content", "@file"}, \
		   [(first) + CLI_KEY_FD] = {"key-fd", '\0', CLI_VALUE, "N", \
			   "the key is what comes out of this descriptor", NULL}, \
		   [(first) + CLI_KEY_CREDENTIAL] = {"credential", '\0', CLI_VALUE, "NAME", \
			   "the key is this credential of the systemd service", NULL}, \
		   [(first) + CLI_KEY_MEMORY] = {"memory-limit", '\0', CLI_VALUE, "SIZE", \
			   "a keyslot may take so much memory (1G), and time along with it", NULL}

enum cli_new_key_option {
	CLI_NEW_PASSPHRASE,
	CLI_NEW_FILE,
	CLI_NEW_FD,
	CLI_NEW_CREDENTIAL,
	CLI_NEW_SERVICE,
	CLI_NEW_RECOVERY,
	CLI_NEW_COUNT,
};

#define CLI_NEW_KEY_OPTIONS(first) \
	[(first) + CLI_NEW_PASSPHRASE] = {"new-passphrase", '\0', CLI_FLAG, NULL, \
		"ask for a new passphrase (or read a line of standard input)", NULL}, \
		   [(first) + CLI_NEW_FILE] = {"new-key-file", '\0', CLI_VALUE, "FILE", \
			   "the new key is this file's content", "@file"}, \
		   [(first) + CLI_NEW_FD] = {"new-key-fd", '\0', CLI_VALUE, "N", \
			   "the new key is what comes out of this descriptor", NULL}, \
		   [(first) + CLI_NEW_CREDENTIAL] = {"new-credential", '\0', CLI_VALUE, "NAME", \
			   "the new key is this credential of the systemd service", NULL}, \
		   [(first) + CLI_NEW_SERVICE] = {"new-service", '\0', CLI_FLAG, NULL, \
			   "the new key is made and kept by the key service", NULL}

#define CLI_RECOVERY_OPTION(first) \
	[(first) + CLI_NEW_RECOVERY] = {"new-recovery", '\0', CLI_FLAG, NULL, \
		"make a recovery key, and print it: it is kept nowhere", NULL}

/* A key for the library; the descriptor is ours. */
struct cli_key {
	struct caisson_volume_key key;
	bool given;         /* something other than the key service's was named */
	struct secret text; /* a recovery key and a newline, to be printed once */
};

#define CLI_KEY_NONE      ((struct cli_key){.key = {.fd = -1}, .text = SECRET_NONE})
#define CLI_RECOVERY_SIZE 72 /* eight groups of eight, hyphens, and a newline */

/* What the options from @first on say; the key service's key when they say nothing. @prompt: what a
   person is asked for ("Passphrase of data"). */
int cli_take_key(const struct cli_context *context, size_t first, const char *prompt,
	struct cli_key *ret_key, struct caisson_error *err);
/* The same for a new key; a passphrase is asked for twice. -EINVAL when nothing says which. */
int cli_take_new_key(const struct cli_context *context, size_t first, bool recovery,
	struct cli_key *ret_key, struct caisson_error *err);
/* A new one in the words of cli_take_key(): for a volume that is made. */
int cli_take_first_key(const struct cli_context *context, size_t first, struct cli_key *ret_key,
	struct caisson_error *err);
void cli_key_done(struct cli_key *key);

#define _cleanup_cli_key_ _cleanup_(cli_key_done)
