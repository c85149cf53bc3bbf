/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "closure/dlopen.h"

#include <fnmatch.h>
#include <stdbool.h>
#include <string.h>

#include "base/macros.h"

enum {
	PTHREAD_CANCEL,
	PTHREAD_EXIT,
	THRD_EXIT,
	GETPWNAM,
	GETPWNAM_R,
	GETPWUID,
	GETPWUID_R,
	GETPWENT,
	GETGRNAM,
	GETGRNAM_R,
	GETGRGID,
	GETGRGID_R,
	GETGROUPLIST,
	INITGROUPS,
	GETSPNAM,
	GETADDRINFO,
	GETNAMEINFO,
	GETHOSTBYNAME,
	GETHOSTBYNAME_R,
	GETHOSTBYADDR,
	ICONV_OPEN,
	OSSL_LOAD,
	OSSL_TRY_LOAD,
};

static const char *const symbols[] = {
	[PTHREAD_CANCEL] = "pthread_cancel",
	[PTHREAD_EXIT] = "pthread_exit",
	[THRD_EXIT] = "thrd_exit",
	[GETPWNAM] = "getpwnam",
	[GETPWNAM_R] = "getpwnam_r",
	[GETPWUID] = "getpwuid",
	[GETPWUID_R] = "getpwuid_r",
	[GETPWENT] = "getpwent",
	[GETGRNAM] = "getgrnam",
	[GETGRNAM_R] = "getgrnam_r",
	[GETGRGID] = "getgrgid",
	[GETGRGID_R] = "getgrgid_r",
	[GETGROUPLIST] = "getgrouplist",
	[INITGROUPS] = "initgroups",
	[GETSPNAM] = "getspnam",
	[GETADDRINFO] = "getaddrinfo",
	[GETNAMEINFO] = "getnameinfo",
	[GETHOSTBYNAME] = "gethostbyname",
	[GETHOSTBYNAME_R] = "gethostbyname_r",
	[GETHOSTBYADDR] = "gethostbyaddr",
	[ICONV_OPEN] = "iconv_open",
	[OSSL_LOAD] = "OSSL_PROVIDER_load",
	[OSSL_TRY_LOAD] = "OSSL_PROVIDER_try_load",
};

_Static_assert(ARRAY_SIZE(symbols) <= 32, "struct elf_watch has 32 bits");

const struct elf_watch dlopen_watch = {symbols, ARRAY_SIZE(symbols)};

#define BIT(symbol)  (1u << (symbol))
#define ENDS_THREADS (BIT(PTHREAD_CANCEL) | BIT(PTHREAD_EXIT) | BIT(THRD_EXIT))
#define ASKS_FOR_USERS \
	(BIT(GETPWNAM) | BIT(GETPWNAM_R) | BIT(GETPWUID) | BIT(GETPWUID_R) | BIT(GETPWENT) | \
		BIT(GETGRNAM) | BIT(GETGRNAM_R) | BIT(GETGRGID) | BIT(GETGRGID_R) | \
		BIT(GETGROUPLIST) | BIT(INITGROUPS) | BIT(GETSPNAM))
#define ASKS_FOR_HOSTS \
	(BIT(GETADDRINFO) | BIT(GETNAMEINFO) | BIT(GETHOSTBYNAME) | BIT(GETHOSTBYNAME_R) | \
		BIT(GETHOSTBYADDR))

const struct dlopen_rule dlopen_rules[] = {
	/*
	 * glibc's pthread_exit() and pthread_cancel() abort ("libgcc_s.so.1 must be installed for
	 * pthread_exit to work") when they cannot open it; a thread that returns from its function
	 * needs nothing. libargon2's threads end with pthread_exit(): so does cryptsetup with
	 * Argon2id.
	 */
	{
		.feature = "ending threads",
		.caller = "libc.so.6",
		.imports = ENDS_THREADS,
		.priority = CLOSURE_DLOPEN_REQUIRED,
		.library = "libgcc_s.so.1",
		.reason = "to end or cancel a thread",
	},
	/* nsswitch.conf(5). glibc has "files" and "dns" itself from 2.34 on. */
	{
		.feature = "users and groups (NSS)",
		.caller = "libc.so.6",
		.imports = ASKS_FOR_USERS,
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "libnss_%s.so.2",
		.words = {"/etc/nsswitch.conf", "passwd group shadow gshadow initgroups", "[a-z]*"},
		.config = {"/etc/nsswitch.conf"},
	},
	{
		.feature = "host names (NSS)",
		.caller = "libc.so.6",
		.imports = ASKS_FOR_HOSTS,
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "libnss_%s.so.2",
		.words = {"/etc/nsswitch.conf", "hosts", "[a-z]*"},
		.config = {"/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"},
	},
	{
		.feature = "international host names",
		.caller = "libc.so.6",
		.imports = ASKS_FOR_HOSTS,
		.priority = CLOSURE_DLOPEN_ALL,
		.library = "libidn2.so.0",
	},
	{
		.feature = "character sets (gconv)",
		.caller = "libc.so.6",
		.imports = BIT(ICONV_OPEN),
		.priority = CLOSURE_DLOPEN_ALL,
		.library = "{lib}/gconv/*.so",
		.data = {"{lib}/gconv/gconv-modules", "{lib}/gconv/gconv-modules.cache",
			"{lib}/gconv/gconv-modules.d/*.conf"},
	},
	{
		.feature = "old ciphers and digests (OpenSSL's legacy provider)",
		.caller = "libcrypto.so.3",
		.imports = BIT(OSSL_LOAD) | BIT(OSSL_TRY_LOAD),
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "{lib}/ossl-modules/legacy.so",
		.config = {"/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf"},
	},
	{
		.feature = "OpenSSL's providers",
		.caller = "libcrypto.so.3",
		.priority = CLOSURE_DLOPEN_ALL,
		.library = "{lib}/ossl-modules/*.so",
		.config = {"/etc/ssl/openssl.cnf", "/usr/lib/ssl/openssl.cnf"},
	},
	{
		.feature = "OpenSSL's engines",
		.caller = "libcrypto.so.3",
		.priority = CLOSURE_DLOPEN_ALL,
		.library = "{lib}/engines-3/*.so",
	},
	{
		.feature = "OpenSSL's engines",
		.caller = "libcrypto.so.1.1",
		.priority = CLOSURE_DLOPEN_ALL,
		.library = "{lib}/engines-1.1/*.so",
	},
	{
		.feature = "PAM modules",
		.caller = "libpam.so.0",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "{lib}/security/%s",
		.words = {"/etc/pam.d/*", NULL, "*.so"},
		.config = {"/etc/pam.d/*", "/etc/pam.conf", "/etc/security/*.conf",
			"/etc/security/limits.d/*.conf", "/etc/security/namespace.d/*.conf"},
	},
	{
		.feature = "LUKS2 tokens",
		.caller = "libcryptsetup.so.*",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "{lib}/cryptsetup/libcryptsetup-token-*.so",
	},
	{
		.feature = "the TPM2 (libcryptsetup-token-systemd-tpm2)",
		.caller = "libcryptsetup-token-systemd-tpm2.so",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "libtss2-esys.so.0",
	},
	{
		.feature = "the TPM2 (libcryptsetup-token-systemd-tpm2)",
		.caller = "libcryptsetup-token-systemd-tpm2.so",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "libtss2-rc.so.0",
	},
	{
		.feature = "the TPM2 (libcryptsetup-token-systemd-tpm2)",
		.caller = "libcryptsetup-token-systemd-tpm2.so",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "libtss2-mu.so.0",
	},
	{
		.feature = "the TPM2 (libcryptsetup-token-systemd-tpm2)",
		.caller = "libcryptsetup-token-systemd-tpm2.so",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "libtss2-tcti-device.so.0",
	},
	{
		.feature = "FIDO2 (libcryptsetup-token-systemd-fido2)",
		.caller = "libcryptsetup-token-systemd-fido2.so",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "libfido2.so.1",
	},
	{
		.feature = "PKCS#11 (libcryptsetup-token-systemd-pkcs11)",
		.caller = "libcryptsetup-token-systemd-pkcs11.so",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "libp11-kit.so.0",
	},
	{
		.feature = "the TPM2's device",
		.caller = "libtss2-tctildr.so.0",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "libtss2-tcti-device.so.0",
	},
	{
		.feature = "the TPM2 by other ways (TCTI modules)",
		.caller = "libtss2-tctildr.so.0",
		.priority = CLOSURE_DLOPEN_ALL,
		.library = "{lib}/libtss2-tcti-*.so.0",
	},
	{
		.feature = "PKCS#11 modules (p11-kit)",
		.caller = "libp11-kit.so.0",
		.priority = CLOSURE_DLOPEN_RECOMMENDED,
		.library = "{lib}/pkcs11/%s",
		.words = {"/usr/share/p11-kit/modules/*.module", "module", "*.so*"},
		.data = {"/usr/share/p11-kit/modules/*.module"},
		.config = {"/etc/pkcs11/pkcs11.conf", "/etc/pkcs11/modules/*.module"},
	},
};

const size_t dlopen_rule_count = ARRAY_SIZE(dlopen_rules);

_Static_assert(ARRAY_SIZE(dlopen_rules) <= 64, "dlopen_rules_of() has 64 bits");

static bool fits(const char *pattern, const char *soname)
{
	size_t plain = strcspn(pattern, "*?[");

	if (strncmp(pattern, soname, plain) != 0)
		return false;
	return pattern[plain] == '\0' ? soname[plain] == '\0' : fnmatch(pattern, soname, 0) == 0;
}

uint64_t dlopen_rules_of(const char *soname)
{
	uint64_t rules = 0;

	for (size_t i = 0; i < ARRAY_SIZE(dlopen_rules); i++) {
		if (fits(dlopen_rules[i].caller, soname))
			rules |= UINT64_C(1) << i;
	}
	return rules;
}
