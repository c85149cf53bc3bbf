/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin/http.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "plugin/driver.h"
#include "plugin/microhttpd.h"

#define CONTENT_TYPE "application/vnd.docker.plugins.v1.2+json"

enum phase {
	PHASE_READING, /* waits for a request, or for the rest of one */
	PHASE_WORKING,
	PHASE_WRITING,
};

/* A connection. */
struct client {
	struct client *next;
	int fd; /* libmicrohttpd's, which closes it after it has told us so */
	struct ucred peer;
	enum phase phase;
	uint64_t since; /* microseconds: when the phase began */
	bool cut;
};

struct server {
	const struct http_options *options;
	struct microhttpd api;
	struct MHD_Daemon *daemon;
	int wake; /* an eventfd: the list has changed, or a phase */
	pthread_mutex_t lock;
	struct client *clients;
	uint64_t last; /* when the last request came or ended */
};

/* A request that is being read. */
struct request {
	struct strbuf body;
	bool too_large;
};

static void wake_up(struct server *server)
{
	uint64_t one = 1;

	(void)!write(server->wake, &one, sizeof(one));
}

static void set_phase(struct server *server, struct client *client, enum phase phase)
{
	pthread_mutex_lock(&server->lock);
	client->phase = phase;
	client->since = now_usec();
	if (phase != PHASE_WRITING)
		server->last = client->since;
	pthread_mutex_unlock(&server->lock);
	wake_up(server);
}

static struct client *client_of(struct server *server, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		server->api.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

static void begin_client(struct server *server, struct MHD_Connection *connection, void **context)
{
	const union MHD_ConnectionInfo *info =
		server->api.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct client *client = calloc(1, sizeof(*client));
	socklen_t size = sizeof(client->peer);

	*context = client;
	/* Its requests are refused. */
	if (client == NULL || info == NULL)
		return;
	client->fd = info->connect_fd;
	client->since = now_usec();
	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &client->peer, &size) < 0)
		client->peer = (struct ucred){.pid = -1, .uid = (uid_t)-1, .gid = (gid_t)-1};
	pthread_mutex_lock(&server->lock);
	client->next = server->clients;
	server->clients = client;
	pthread_mutex_unlock(&server->lock);
	wake_up(server);
}

static void end_client(struct server *server, struct client *client)
{
	pthread_mutex_lock(&server->lock);
	for (struct client **at = &server->clients; *at != NULL; at = &(*at)->next) {
		if (*at == client) {
			*at = client->next;
			break;
		}
	}
	pthread_mutex_unlock(&server->lock);
	free(client);
	wake_up(server);
}

static void on_connection(void *userdata, struct MHD_Connection *connection, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		begin_client(userdata, connection, context);
	else
		end_client(userdata, *context);
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **context,
	enum MHD_RequestTerminationCode code _unused_)
{
	struct client *client = client_of(userdata, connection);
	struct request *request = *context;

	*context = NULL;
	if (request != NULL)
		strbuf_done(&request->body);
	free(request);
	if (client != NULL)
		set_phase(userdata, client, PHASE_READING);
}

static void on_log(void *userdata, const char *format, va_list args) _printf_(2, 0);

static void on_log(void *userdata, const char *format, va_list args)
{
	const struct server *server = userdata;
	char text[512];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	text_flatten(text);
	log_debug(server->options->log, "%s", text);
}

static enum MHD_Result respond(struct server *server, struct MHD_Connection *connection,
	unsigned int status, const struct strbuf *text)
{
	struct MHD_Response *response = server->api.create_response_from_buffer(
		text->size, text->data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	(void)server->api.add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, CONTENT_TYPE);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)server->api.add_response_header(response, MHD_HTTP_HEADER_ALLOW, "POST");
	result = server->api.queue_response(connection, status, response);
	server->api.destroy_response(response);
	return result;
}

static enum MHD_Result respond_refusal(struct server *server, struct MHD_Connection *connection,
	unsigned int status, const char *sentence)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

	driver_refusal(sentence, &text);
	return strbuf_ok(&text) ? respond(server, connection, status, &text) : MHD_NO;
}

static enum MHD_Result answer_request(struct server *server, struct MHD_Connection *connection,
	struct client *client, const char *path, const struct request *request)
{
	_cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
	const struct http_options *options = server->options;
	const char *body = request->body.data != NULL ? request->body.data : "";
	unsigned int status;

	if (request->too_large)
		return respond_refusal(server, connection, MHD_HTTP_CONTENT_TOO_LARGE,
			"the request is larger than 1 MiB");
	log_debug(options->log, "%.64s from process %d of user %u", path, (int)client->peer.pid,
		client->peer.uid);
	set_phase(server, client, PHASE_WORKING);
	status = worker_run(
		options->answer, options->userdata, path, body, request->body.size, &text);
	set_phase(server, client, PHASE_WRITING);
	return strbuf_ok(&text) ? respond(server, connection, status, &text) : MHD_NO;
}

static void add_to_body(struct request *request, const char *data, size_t size)
{
	if (request->body.size + size > HTTP_BODY_MOST) {
		request->too_large = true;
		strbuf_done(&request->body);
	}
	if (!request->too_large)
		strbuf_add(&request->body, data, size);
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version _unused_, const char *data,
	size_t *data_size, void **context)
{
	struct server *server = userdata;
	struct client *client = client_of(server, connection);
	struct request *request = *context;

	if (client == NULL)
		return MHD_NO;
	/* The first call of a request comes with its headers. */
	if (request == NULL) {
		if (strcmp(method, MHD_HTTP_METHOD_POST) != 0)
			return respond_refusal(server, connection, MHD_HTTP_METHOD_NOT_ALLOWED,
				"requests are made with POST");
		*context = calloc(1, sizeof(*request));
		return *context != NULL ? MHD_YES : MHD_NO;
	}
	if (*data_size > 0) {
		add_to_body(request, data, *data_size);
		*data_size = 0;
		return MHD_YES;
	}
	if (!strbuf_ok(&request->body))
		return MHD_NO;
	return answer_request(server, connection, client, url, request);
}

/* Cuts connections that take too long. Milliseconds until the next may; -1: there is none. */
static int watch_clients(struct server *server, unsigned int *ret_busy)
{
	uint64_t patience = server->options->patience_s * 1000000ull, now = now_usec();
	uint64_t next = UINT64_MAX;

	*ret_busy = 0;
	pthread_mutex_lock(&server->lock);
	for (struct client *client = server->clients; client != NULL; client = client->next) {
		if (client->phase != PHASE_READING)
			(*ret_busy)++;
		if (client->phase == PHASE_WORKING || client->cut)
			continue;
		if (now - client->since >= patience) {
			client->cut = true;
			(void)shutdown(client->fd, SHUT_RDWR);
			continue;
		}
		next = MIN(next, client->since + patience - now);
	}
	pthread_mutex_unlock(&server->lock);
	return next == UINT64_MAX ? -1 : (int)(next / 1000) + 1;
}

/* Milliseconds until it has been idle for long enough; 0: it has; -1: it never will. */
static int until_idle(struct server *server, unsigned int busy)
{
	uint64_t idle = server->options->idle_s * 1000000ull, now = now_usec(), last;

	if (idle == 0 || busy > 0)
		return -1;
	pthread_mutex_lock(&server->lock);
	last = server->last;
	pthread_mutex_unlock(&server->lock);
	return now - last >= idle ? 0 : (int)((last + idle - now) / 1000) + 1;
}

static int sooner(int a, int b)
{
	if (a < 0 || b < 0)
		return MAX(a, b);
	return MIN(a, b);
}

/* Until a signal comes or nothing has for long. */
static void supervise(struct server *server, int signals)
{
	struct signalfd_siginfo info;
	struct pollfd polled[] = {
		{.fd = signals, .events = POLLIN}, {.fd = server->wake, .events = POLLIN}};
	uint64_t count;

	for (;;) {
		unsigned int busy;
		int wait = watch_clients(server, &busy), idle = until_idle(server, busy);

		if (idle == 0)
			return;
		(void)poll(polled, ARRAY_SIZE(polled), sooner(wait, idle));
		if (polled[0].revents != 0 && read(signals, &info, sizeof(info)) > 0)
			return;
		if (polled[1].revents != 0)
			(void)!read(server->wake, &count, sizeof(count));
	}
}

/* Nobody new comes in; who is being answered gets the answer, within bounds. How many do not. */
static unsigned int finish(struct server *server)
{
	uint64_t until = now_usec() + server->options->end_s * 1000000ull, count, now;
	struct pollfd polled = {.fd = server->wake, .events = POLLIN};
	unsigned int busy;

	(void)server->api.quiesce_daemon(server->daemon);
	for (;;) {
		int wait = watch_clients(server, &busy);

		now = now_usec();
		if (busy == 0 || now >= until)
			break;
		(void)poll(&polled, 1, sooner(wait, (int)((until - now) / 1000) + 1));
		if (polled.revents != 0)
			(void)!read(server->wake, &count, sizeof(count));
	}
	if (busy > 0)
		log_warning(server->options->log,
			"%u request%s not at an end after %u seconds: nobody will hear how %s ended",
			busy, busy == 1 ? " is" : "s are", server->options->end_s,
			busy == 1 ? "it" : "they");
	return busy;
}

static int start(struct server *server, struct caisson_error *err)
{
	const unsigned int flags = MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD |
				   MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC | MHD_USE_ERROR_LOG;

	/* It has timeouts of its own, which also run while a request is worked at: not used. */
	server->daemon = server->api.start_daemon(flags, 0, NULL, NULL, on_request, server,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, server, MHD_OPTION_LISTEN_SOCKET,
		server->options->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int)HTTP_CONNECTIONS_MOST, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
		server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_END);
	if (server->daemon == NULL)
		return caisson_fail(err, errno, "start the HTTP server");
	return 0;
}

int http_serve(const struct http_options *options, struct caisson_error *err)
{
	/* Threads that are still at work when it returns look at it. */
	static struct server server;
	_cleanup_close_ int signals = -1;
	struct signalfd_siginfo info;
	sigset_t ends, before;
	int r;

	server = (struct server){.options = options, .wake = -1, .last = now_usec()};
	r = microhttpd_load(&server.api, err);
	if (r < 0)
		return r;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	/* Threads that start from here on inherit it. */
	pthread_sigmask(SIG_BLOCK, &ends, &before);
	signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	server.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (signals < 0 || server.wake < 0)
		return caisson_fail(err, errno, "wait for signals");
	pthread_mutex_init(&server.lock, NULL);
	r = start(&server, err);
	if (r == 0) {
		supervise(&server, signals);
		/* It would wait for threads that are at work; the process ends without them. */
		if (finish(&server) == 0)
			server.api.stop_daemon(server.daemon);
	}
	/* Who asks twice is not to break off what comes behind this. */
	while (read(signals, &info, sizeof(info)) > 0)
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}
