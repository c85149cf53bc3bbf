/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kbuild/configure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/path.h"
#include "base/process.h"
#include "kbuild/configure_judge.h"
#include "kbuild/interrupt.h"
#include "kbuild/make_command.h"
#include "kbuild/toolchain.h"

enum {
	CONFIG_MOST = 16 << 20,
	SAID_MOST = 1 << 20, /* of what make says */
	SECONDS = 600,       /* it takes three, most of them for making scripts/kconfig/conf */
};

/* The files of one run, all in the tree's folder. */
struct run {
	char *source, *tree; /* absolute */
	char *wanted;        /* what goes in */
	char *settled;       /* what comes out */
};

static void run_done(struct run *run)
{
	const char *const behind[] = {"", ".old"};

	for (size_t i = 0; run->settled != NULL && i < ARRAY_SIZE(behind); i++) {
		_cleanup_free_ char *path = format_string("%s%s", run->settled, behind[i]);

		if (path != NULL)
			(void)unlink(path);
	}
	if (run->wanted != NULL)
		(void)unlink(run->wanted);
	free(run->source);
	free(run->tree);
	free(run->wanted);
	free(run->settled);
}

static int absolute(const char *path, char **ret_path, struct caisson_error *err)
{
	char *whole = realpath(path, NULL);
	int r;

	if (whole == NULL)
		return caisson_fail(err, errno, "open %s", path);
	r = make_path_check(whole, err);
	if (r < 0)
		free(whole);
	else
		*ret_path = whole;
	return r;
}

static int prepare(
	const struct configure_options *options, struct run *run, struct caisson_error *err)
{
	int r = absolute(options->source, &run->source, err);

	if (r == 0)
		r = absolute(options->tree, &run->tree, err);
	if (r < 0)
		return r;
	run->wanted = path_join(run->tree, ".config.wanted");
	run->settled = path_join(run->tree, ".config.settled");
	return run->wanted != NULL && run->settled != NULL
		       ? 0
		       : caisson_fail(err, ENOMEM, "configure a kernel");
}

static bool is_fault(const char *line)
{
	static const char *const marks[] = {"error:", "Error:", "not found", "No such file",
		"No space left", "*** The", "cannot"};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (strstr(line, marks[i]) != NULL)
			return true;
	}
	return false;
}

/* The first line that names a fault, else the first one. */
static int tell_failure(int said, const char *target, int status, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	char *line = NULL, *rest = NULL, *chosen = NULL;

	if (lseek(said, 0, SEEK_SET) == 0 && strbuf_reserve(&text, SAID_MOST) != NULL) {
		ssize_t n = read(said, text.data, SAID_MOST - 1);

		strbuf_commit(&text, n > 0 ? (size_t)n : 0);
	}
	for (line = text.size > 0 ? strtok_r(text.data, "\n", &rest) : NULL; line != NULL;
		line = strtok_r(NULL, "\n", &rest)) {
		if (chosen == NULL)
			chosen = line;
		if (is_fault(line)) {
			chosen = line;
			break;
		}
	}
	if (chosen != NULL)
		text_flatten(chosen);
	return caisson_refuse(err, EIO, "make %s ended with status %d: %s", target, status,
		chosen != NULL ? chosen : "it said nothing");
}

/* Nothing of the caller's environment reaches make: base/process.h. */
static int run_make(const struct configure_options *options, const struct run *run,
	const char *target, struct caisson_error *err)
{
	_cleanup_close_ int said = memfd_create("make", MFD_CLOEXEC);
	static const char *const environment[] = {"TZ=UTC", NULL};
	_cleanup_strv_ struct strv words = STRV_INIT;
	_cleanup_interrupt_ struct interrupt interrupt = INTERRUPT_NONE;
	struct process_options process = PROCESS_OPTIONS_INIT;
	int status = 0, r;
	pid_t pid;

	if (said < 0)
		return caisson_fail(err, errno, "start make");
	strv_add(&words, "make");
	strv_add(&words, "--no-print-directory");
	strv_add_format(&words, "--directory=%s", run->source);
	strv_add_format(&words, "O=%s", run->tree);
	strv_add(&words, "ARCH=x86_64");
	strv_add_format(&words, "KCONFIG_CONFIG=%s", run->settled);
	if (options->base == NULL)
		strv_add_format(&words, "KCONFIG_ALLCONFIG=%s", run->wanted);
	for (size_t i = 0; options->arguments != NULL && options->arguments[i] != NULL; i++)
		strv_add(&words, options->arguments[i]);
	strv_add(&words, target);
	if (!strv_ok(&words))
		return caisson_fail(err, ENOMEM, "start make");
	process.stdout_fd = process.stderr_fd = said;
	process.environment = environment;
	process.new_session = true;
	process.keep_fds = options->lock;
	process.keep_count = options->lock != NULL;
	r = interrupt_begin(&interrupt, err);
	if (r < 0)
		return r;
	pid = process_start((const char *const *)words.items, &process, err);
	if (pid < 0)
		return (int)pid;
	r = interrupt_wait(&interrupt, pid, "make", SECONDS, &status, err);
	if (r < 0)
		return r;
	return status == 0 ? 0 : tell_failure(said, target, status, err);
}

static int settle(const struct configure_options *options, const struct wanted *wanted,
	const struct run *run, struct strbuf *config, struct caisson_error *err)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	int r;

	if (options->base != NULL)
		wanted_merge(wanted, options->base, options->base_size, &text);
	else
		wanted_write(wanted, &text);
	if (!strbuf_ok(&text))
		return caisson_fail(err, ENOMEM, "merge the fragments");
	r = write_file_atomic(options->base != NULL ? run->settled : run->wanted,
		text.data != NULL ? text.data : "", text.size, 0644, err);
	if (r == 0)
		r = run_make(
			options, run, options->base != NULL ? "olddefconfig" : "allnoconfig", err);
	return r < 0 ? r : read_file(run->settled, CONFIG_MOST, config, err);
}

static int publish(const struct run *run, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(run->tree, ".config");

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "write a configuration");
	if (rename(run->settled, path) < 0)
		return caisson_fail(err, errno, "write %s", path);
	return 0;
}

int configure_run(const struct configure_options *options, struct configure_result *ret_result,
	struct caisson_error *err)
{
	_cleanup_configure_ struct configure_result result = CONFIGURE_RESULT_NONE;
	_cleanup_(run_done) struct run run = {NULL, NULL, NULL, NULL};
	_cleanup_kconfig_ struct kconfig *tree = NULL;
	_cleanup_wanted_ struct wanted wanted = WANTED_NONE;
	int r = kconfig_open(options->source, &tree, err);

	if (r < 0)
		return r;
	result.version = strdup(kconfig_version(tree));
	if (result.version == NULL)
		return caisson_fail(err, ENOMEM, "configure a kernel");
	r = wanted_init(&wanted, options->profile, options->fragments,
		kernel_release_version(result.version), err);
	if (r == 0)
		r = toolchain_check_kconfig(NULL, err);
	if (r == 0)
		r = prepare(options, &run, err);
	if (r == 0)
		r = settle(options, &wanted, &run, &result.config, err);
	if (r == 0)
		r = configure_judge(options, tree, &wanted, &result, err);
	if (r == 0)
		r = publish(&run, err);
	if (r < 0)
		return r;
	*ret_result = result;
	result = CONFIGURE_RESULT_NONE;
	return 0;
}

static void faults_done(struct configure_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++) {
		free(faults->items[i].option);
		free(faults->items[i].wanted);
		free(faults->items[i].from);
		free(faults->items[i].reason);
		free(faults->items[i].why);
	}
	free(faults->items);
}

void configure_result_done(struct configure_result *result)
{
	free(result->version);
	strbuf_done(&result->config);
	faults_done(&result->lost);
	faults_done(&result->overridden);
	for (size_t i = 0; i < result->removed_count; i++) {
		free(result->removed[i].option);
		free(result->removed[i].value);
		free(result->removed[i].why);
	}
	free(result->removed);
	strv_done(&result->unasked);
	*result = CONFIGURE_RESULT_NONE;
}
