/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/staging.h"

static int open_folder(const char *path, char **ret_absolute, struct caisson_error *err)
{
	_cleanup_free_ char *absolute = NULL;
	int r;

	if (path[0] == '\0')
		return caisson_refuse(err, EINVAL, "the name of the state directory is empty");
	r = make_directories_durably(path, 0700, err);
	if (r < 0)
		return r;
	absolute = realpath(path, NULL);
	if (absolute == NULL)
		return caisson_fail(err, errno, "resolve %s", path);
	*ret_absolute = take_ptr(absolute);
	return 0;
}

int state_open(
	struct state *ret_state, const char *dir, const char *config, struct caisson_error *err)
{
	_cleanup_state_ struct state state = STATE_NONE;
	int r;

	r = open_folder(dir, &state.dir, err);
	if (r == 0)
		r = open_folder(config, &state.config, err);
	if (r < 0)
		return r;
	*ret_state = state;
	state = STATE_NONE;
	return 0;
}

void state_done(struct state *state)
{
	free(state->dir);
	free(state->config);
	*state = STATE_NONE;
}

int state_folder(
	const struct state *state, const char *name, char **ret_path, struct caisson_error *err)
{
	_cleanup_free_ char *path = path_join(state->dir, name);
	int r;

	if (path == NULL)
		return caisson_fail(err, ENOMEM, "open %s", name);
	r = make_directories_durably(path, 0700, err);
	if (r < 0)
		return r;
	staging_sweep(path);
	*ret_path = take_ptr(path);
	return 0;
}
