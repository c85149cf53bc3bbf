/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/io.h"
#include "base/path.h"

enum { CONFIG_MOST = 16 << 20 };

void kernel_survey_done(struct kernel_survey *survey)
{
	kernel_done(&survey->kernel);
	kernel_papers_done(&survey->papers);
	free(survey->origin);
	*survey = KERNEL_SURVEY_NONE;
}

/* "# Linux/x86 6.1.192 Kernel Configuration" (scripts/kconfig/confdata.c) */
static char *release_of(const char *text, size_t size)
{
	static const char before[] = "# Linux/", after[] = " Kernel Configuration";
	const char *end = text + MIN(size, (size_t)4096);
	const char *line = memmem(text, (size_t)(end - text), before, strlen(before));
	const char *from = line != NULL ? memchr(line, ' ', (size_t)(end - line)) : NULL;
	const char *stop;

	/* The space behind "#", then the one behind the architecture. */
	from = from != NULL ? memchr(from + 1, ' ', (size_t)(end - from - 1)) : NULL;
	if (from == NULL)
		return NULL;
	stop = memmem(from, (size_t)(end - from), after, strlen(after));
	if (stop == NULL || stop - from > 80)
		return NULL;
	return format_string("%.*s", (int)(stop - from - 1), from + 1);
}

/* A configuration alone, with the modules that @modules names. */
static int survey_config(const char *path, const char *modules, struct kernel_survey *survey,
	struct caisson_error *err)
{
	int r;

	if (modules != NULL) {
		survey->kernel.modules = strdup(modules);
		if (survey->kernel.modules == NULL)
			return caisson_fail(err, ENOMEM, "read %s", path);
	}
	r = kernel_papers_read(&survey->kernel, &survey->papers, err);
	if (r == 0)
		r = read_file(path, CONFIG_MOST, &survey->papers.config, err);
	if (r < 0)
		return r;
	survey->papers.has_config = true;
	survey->origin = strdup(path);
	survey->kernel.release = release_of(survey->papers.config.data, survey->papers.config.size);
	return survey->origin != NULL ? 0 : caisson_fail(err, ENOMEM, "read %s", path);
}

int kernel_survey(const char *path, const char *modules, struct kernel_survey *ret_survey,
	struct caisson_error *err)
{
	_cleanup_kernel_survey_ struct kernel_survey survey = KERNEL_SURVEY_NONE;
	int r = kernel_find(path, modules, &survey.kernel, err);

	if (r == -ENOEXEC && path != NULL) {
		r = survey_config(path, modules, &survey, err);
	} else if (r == 0) {
		r = kernel_papers_read(&survey.kernel, &survey.papers, err);
		if (r == 0 && survey.kernel.config != NULL) {
			survey.origin = strdup(survey.kernel.config);
			if (survey.origin == NULL)
				r = caisson_fail(err, ENOMEM, "read %s", path);
		}
	}
	if (r < 0)
		return r;
	if (survey.kernel.release != NULL)
		survey.version = kernel_release_version(survey.kernel.release);
	*ret_survey = survey;
	survey = KERNEL_SURVEY_NONE;
	return 0;
}

int kernel_survey_running(
	const char *modules, struct kernel_survey *ret_survey, struct caisson_error *err)
{
	struct utsname name;
	_cleanup_free_ char *path = NULL;

	if (uname(&name) < 0)
		return caisson_fail(err, errno, "ask for the running kernel");
	path = format_string("/boot/vmlinuz-%s", name.release);
	if (path == NULL)
		return caisson_fail(err, ENOMEM, "ask for the running kernel");
	return kernel_survey(path, modules, ret_survey, err);
}
