/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <caisson/volume.h>
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/commands.h"
#include "context.h"
#include "plugin/driver.h"
#include "plugin/http.h"
#include "plugin/socket.h"

#define DEFAULT_SOCKET "/run/docker/plugins/caisson.sock"
#define DEFAULT_SIZE   (1ull << 30)
/* Docker itself waits for two minutes at most. */
#define PATIENCE_S 60
#define END_S      90

enum { SOCKET, GROUP, SIZE, IDLE };

static const struct cli_option serve_options[] = {
	[SOCKET] = {"socket", '\0', CLI_VALUE, "PATH",
		"where to listen (" DEFAULT_SOCKET "); not with systemd's socket", "@file"},
	[GROUP] = {"group", '\0', CLI_VALUE, "GROUP",
		"who may use the socket beside root; as good as being root", NULL},
	[SIZE] = {"default-size", '\0', CLI_VALUE, "SIZE",
		"of a volume for which no size is asked (1G)", NULL},
	[IDLE] = {"idle-timeout", '\0', CLI_VALUE, "SECONDS",
		"end when nobody has asked anything for so long; with systemd's socket", NULL},
	{.name = NULL},
};

struct service {
	int fd;
	const char *path; /* of a socket of our own; NULL */
	unsigned int idle_s;
	struct driver driver;
};

static int find_group(const char *name, gid_t *ret_group, struct caisson_error *err)
{
	const struct group *group;

	if (name == NULL)
		return 0;
	errno = 0;
	group = getgrnam(name);
	if (group == NULL)
		return caisson_refuse(err, EINVAL, "there is no group '%s'", name);
	*ret_group = group->gr_gid;
	return 0;
}

static int listen_somewhere(
	const struct cli_context *context, struct service *service, struct caisson_error *err)
{
	const char *path = cli_value(context, SOCKET), *group = cli_value(context, GROUP);
	int r = socket_inherit(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), &service->fd, err);
	gid_t gid = (gid_t)-1;

	if (r < 0)
		return r;
	/* Programs that are started from here are not to take it for theirs. */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (r > 0 && (path != NULL || group != NULL))
		return caisson_refuse(err, EINVAL,
			"systemd has handed over a socket, whose unit says where it is and whose");
	if (r > 0)
		return 0;
	if (service->idle_s > 0)
		return caisson_refuse(err, EINVAL,
			"--idle-timeout is for a service that systemd starts again by its socket");
	service->path = path != NULL ? path : DEFAULT_SOCKET;
	r = find_group(group, &gid, err);
	return r == 0 ? socket_listen(service->path, gid, &service->fd, err) : r;
}

static unsigned int answer(
	void *userdata, const char *path, const char *body, size_t size, struct strbuf *text)
{
	return driver_answer(userdata, path, body, size, text);
}

static int run_service(
	struct service *service, const struct caisson_log *log, struct caisson_error *err)
{
	const struct http_options options = {
		.listen_fd = service->fd,
		.answer = answer,
		.userdata = &service->driver,
		.idle_s = service->idle_s,
		.patience_s = PATIENCE_S,
		.end_s = END_S,
		.log = log,
	};

	log_note(log, "listening at %s",
		service->path != NULL ? service->path : "the socket that systemd has made");
	return http_serve(&options, err);
}

static int serve(struct cli_context *context, struct caisson_error *err)
{
	const struct state *state = caisson_state(context->caisson);
	_cleanup_free_ char *dir = strdup(state->dir), *config = strdup(state->config);
	const char *size = cli_value(context, SIZE);
	_cleanup_close_ int fd = -1;
	struct service service = {.fd = -1,
		.driver = {.state = dir,
			.config = config,
			.default_size = DEFAULT_SIZE,
			.log = &context->log}};
	int r = dir != NULL && config != NULL ? 0 : caisson_fail(err, ENOMEM, "serve");

	if (r == 0 && size != NULL)
		r = caisson_parse_size(size, &service.driver.default_size, err);
	if (r == 0)
		r = cli_number(
			&command_volume_serve, context, IDLE, 1, 86400, &service.idle_s, err);
	if (r == 0)
		r = listen_somewhere(context, &service, err);
	if (r < 0)
		return r;
	fd = service.fd;
	/* Each request opens the state for itself. */
	caisson_close(context->caisson);
	context->caisson = NULL;
	r = run_service(&service, &context->log, err);
	if (service.path != NULL)
		(void)unlink(service.path);
	return r;
}

const struct cli_command command_volume_serve = {
	.name = "volume serve",
	.summary = "let Docker and Podman use volumes, as their volume plug-in",
	.details =
		"Serves Docker's volume plug-in protocol on a UNIX socket: 'docker volume create -d\n"
		"caisson', and the same with Podman. Ends with SIGTERM; volumes that are mounted stay\n"
		"so. Whoever may use the socket may do with volumes what root may.\n",
	.options = serve_options,
	.needs_state = true,
	.run = serve,
};
