/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/path.h"
#include "kernel/config_read.h"

void kernel_survey_done(struct kernel_survey *survey)
{
	kernel_done(&survey->kernel);
	kernel_papers_done(&survey->papers);
	free(survey->origin);
	*survey = KERNEL_SURVEY_NONE;
}

static int take_config(
	struct kernel_survey *survey, struct kernel_config *config, struct caisson_error *err)
{
	char release[KERNEL_RELEASE_SIZE];

	if (survey->kernel.release == NULL &&
		kernel_config_release(config->text.data, config->text.size, release)) {
		survey->kernel.release = strdup(release);
		if (survey->kernel.release == NULL)
			return caisson_fail(err, ENOMEM, "read %s", config->path);
	}
	strbuf_done(&survey->papers.config);
	survey->papers.config = config->text;
	config->text = STRBUF_INIT;
	survey->papers.has_config = true;
	survey->origin = take_ptr(config->path);
	return 0;
}

/* A configuration alone, with the modules that @modules names. */
static int survey_config(struct kernel_config *config, const char *modules,
	struct kernel_survey *survey, struct caisson_error *err)
{
	int r;

	survey->kernel.bare = true;
	if (modules != NULL) {
		survey->kernel.modules = strdup(modules);
		if (survey->kernel.modules == NULL)
			return caisson_fail(err, ENOMEM, "read %s", config->path);
	}
	r = kernel_papers_read(&survey->kernel, &survey->papers, err);
	return r < 0 ? r : take_config(survey, config, err);
}

/* Its modules folder may know what no configuration says. */
static int survey_kernel(struct kernel_survey *survey, struct caisson_error *err)
{
	_cleanup_kernel_config_ struct kernel_config config = KERNEL_CONFIG_NONE;
	int r;

	survey->kernel.bare = true; /* it is searched here, where it is known where it was found */
	r = kernel_papers_read(&survey->kernel, &survey->papers, err);
	if (r == 0 && !survey->papers.has_config)
		r = kernel_config_read(survey->kernel.path, &config, err);
	else if (r == 0)
		survey->origin = strdup(survey->kernel.config);
	if (r == -ENOMSG)
		return 0;
	if (r < 0)
		return r;
	if (config.path != NULL)
		return take_config(survey, &config, err);
	return survey->origin != NULL ? 0 : caisson_fail(err, ENOMEM, "check a kernel");
}

static void settle(struct kernel_survey *survey, struct kernel_survey *ret_survey)
{
	if (survey->kernel.release != NULL)
		survey->version = kernel_release_version(survey->kernel.release);
	*ret_survey = *survey;
	*survey = KERNEL_SURVEY_NONE;
}

int kernel_survey(const char *path, const char *modules, struct kernel_survey *ret_survey,
	struct caisson_error *err)
{
	_cleanup_kernel_survey_ struct kernel_survey survey = KERNEL_SURVEY_NONE;
	_cleanup_kernel_config_ struct kernel_config config = KERNEL_CONFIG_NONE;
	int r = kernel_find(path, modules, &survey.kernel, err);

	if (r == 0) {
		r = survey_kernel(&survey, err);
	} else if ((r == -ENOEXEC || r == -EINVAL) && path != NULL) {
		/* No image: a configuration, which may come by a pipe. */
		r = kernel_config_read(path, &config, err);
		if (r == 0)
			r = survey_config(&config, modules, &survey, err);
	}
	if (r < 0)
		return r;
	settle(&survey, ret_survey);
	return 0;
}

int kernel_survey_running(
	const char *modules, struct kernel_survey *ret_survey, struct caisson_error *err)
{
	_cleanup_kernel_survey_ struct kernel_survey survey = KERNEL_SURVEY_NONE;
	_cleanup_kernel_config_ struct kernel_config config = KERNEL_CONFIG_NONE;
	_cleanup_free_ char *own = NULL;
	struct utsname name;
	struct stat st;
	int r;

	if (uname(&name) < 0)
		return caisson_fail(err, errno, "ask for the running kernel");
	survey.kernel.release = strdup(name.release);
	own = format_string("/lib/modules/%s/modules.dep", name.release);
	if (survey.kernel.release == NULL || own == NULL)
		return caisson_fail(err, ENOMEM, "ask for the running kernel");
	if (modules == NULL && stat(own, &st) == 0) {
		*strrchr(own, '/') = '\0';
		modules = own;
	}
	r = kernel_config_read_running(&config, err);
	if (r == 0)
		r = survey_config(&config, modules, &survey, err);
	if (r < 0)
		return r;
	settle(&survey, ret_survey);
	return 0;
}
