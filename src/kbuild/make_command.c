/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/make_command.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/process.h"

void make_command_done(struct make_command *command)
{
	strv_done(&command->words);
	strv_done(&command->environment);
}

/* The top Makefile of Linux refuses blanks and colons itself. '#', '$' and '%' are make's, '=' is
   gcc's, where the path stands in an option; the rest is the shell's. */
int make_path_check(const char *path, struct caisson_error *err)
{
	static const char words[] = " :#$%=\\\"'`;&|<>()[]{}*?";
	const char *at = path;

	while (*at != '\0' && (unsigned char)*at >= ' ' && *at != 0x7f &&
		strchr(words, *at) == NULL)
		at++;
	if (*at == '\0')
		return 0;
	caisson_refuse(err, EINVAL, "a kernel cannot be built in %s", path);
	return caisson_hint(
		err, "no blank, no control character and none of %s may be in its path", words + 1);
}

/* "Mon Nov 16 10:17:40 UTC 2026", as date(1) has it without a locale. */
static void add_date(struct strv *words, int64_t date)
{
	time_t seconds = (time_t)date;
	char text[64] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm) != NULL)
		(void)strftime(text, sizeof(text), "%a %b %e %H:%M:%S UTC %Y", &tm);
	strv_add_format(words, "KBUILD_BUILD_TIMESTAMP=%s", text);
}

/* Where the folders are must not show: neither in __FILE__ nor in what pahole reads. */
static void add_compiler(struct strv *words, const struct make *make)
{
	_cleanup_free_ char *ccache = NULL;
	bool cached = program_find("ccache", &ccache, NULL) == 0;

	for (int i = 0; i < 2; i++)
		strv_add_format(words, "%s=-ffile-prefix-map=%s=. -ffile-prefix-map=%s=.",
			i == 0 ? "KCFLAGS" : "KAFLAGS", make->source, make->tree);
	if (!cached)
		return;
	strv_add(words, "CC=ccache gcc");
	strv_add(words, "HOSTCC=ccache gcc");
}

/* CCACHE_NOHASHDIR: what is compiled in one folder is good for another one, as nothing of the
   folder is in it. The compiler is known by its content: packages are unpacked anew. */
static void add_environment(struct strv *environment, const struct make *make)
{
	strv_add(environment, "TZ=UTC");
	strv_add_format(environment, "CCACHE_BASEDIR=%s", make->tree);
	strv_add(environment, "CCACHE_NOHASHDIR=1");
	strv_add(environment, "CCACHE_COMPILERCHECK=content");
	for (size_t i = 0; make->environment != NULL && make->environment[i] != NULL; i++)
		strv_add(environment, make->environment[i]);
}

int make_command_init(struct make_command *command, const struct make *make,
	const char *const targets[], struct caisson_error *err)
{
	struct strv *words = &command->words;

	*command = (struct make_command){STRV_INIT, STRV_INIT};
	strv_add(words, "make");
	/* Its "Leaving directory" would be the last line of a failure. */
	strv_add(words, "--no-print-directory");
	strv_add(words, "-C");
	strv_add(words, make->source);
	strv_add_format(words, "O=%s", make->tree);
	strv_add_format(words, "-j%u", make->jobs);
	strv_add(words, "ARCH=x86_64");
	/* Set, and empty: no "+" for a working copy of git that has changes. */
	strv_add(words, "LOCALVERSION=");
	strv_add(words, "KBUILD_BUILD_USER=caisson");
	strv_add(words, "KBUILD_BUILD_HOST=caisson");
	strv_add(words, "KBUILD_BUILD_VERSION=1");
	add_date(words, make->date);
	add_compiler(words, make);
	for (size_t i = 0; targets[i] != NULL; i++)
		strv_add(words, targets[i]);
	add_environment(&command->environment, make);
	if (!strv_ok(words) || !strv_ok(&command->environment))
		return caisson_fail(err, ENOMEM, "start make");
	return 0;
}
