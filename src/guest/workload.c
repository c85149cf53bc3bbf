/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The workload: a child of PID 1 with the image as its root, in a mount namespace of its own. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "guest/guest.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ACCOUNT_MOST (1 << 20)

/* As a shell has them. */
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND      127

/* The child's ends of its standard streams. */
struct streams {
	int input, output, error;
};

/* What a child that could not become the workload says before it ends. */
struct child_failure {
	int code;
	char step[60];
};

static int read_account(
	const struct guest_config *config, struct account *ret_account, struct caisson_error *err)
{
	static const char *const names[] = {"/etc/passwd", "/etc/group"};
	_cleanup_strbuf_ struct strbuf passwd = STRBUF_INIT, group = STRBUF_INIT;
	struct strbuf *texts[] = {&passwd, &group};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		/* An image without them is fine as long as only numbers are asked for. */
		_cleanup_close_ int fd = guest_root_open(names[i], O_RDONLY | O_NONBLOCK, 0, NULL);

		strbuf_add(texts[i], "", 0);
		if (fd >= 0) {
			int r = read_to_end(fd, ACCOUNT_MOST, names[i], texts[i], err);

			if (r < 0)
				return r;
		}
	}
	return account_resolve(
		config->user, passwd.data, passwd.size, group.data, group.size, ret_account, err);
}

static const char *find_variable(const struct strv *environment, const char *name)
{
	size_t length = strlen(name);

	/* The last one wins, as with a shell's assignments. */
	for (size_t i = environment->count; i-- > 0;) {
		if (strncmp(environment->items[i], name, length) == 0 &&
			environment->items[i][length] == '=')
			return environment->items[i] + length + 1;
	}
	return NULL;
}

static void default_variable(struct strv *environment, const char *name, const char *value)
{
	if (find_variable(environment, name) == NULL)
		strv_add_format(environment, "%s=%s", name, value);
}

static int complete_environment(
	struct guest_config *config, const struct account *account, struct caisson_error *err)
{
	default_variable(&config->environment, "PATH", DEFAULT_PATH);
	default_variable(&config->environment, "HOME", account->home);
	default_variable(&config->environment, "HOSTNAME", config->machine);
	if (config->terminal)
		default_variable(&config->environment, "TERM", "xterm");
	if (!strv_ok(&config->environment))
		return caisson_fail(err, ENOMEM, "make the workload's environment");
	return 0;
}

static int make_pipe(int *ret_read, int *ret_write, struct caisson_error *err)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return caisson_fail(err, errno, "make a pipe");
	*ret_read = pipes[0];
	*ret_write = pipes[1];
	return 0;
}

static int make_terminal(const struct guest_config *config, struct workload *workload,
	struct streams *streams, struct caisson_error *err)
{
	int unlocked = 0, slave;

	/* From the workload's own devpts, so that ttyname() works for it. */
	workload->output = guest_root_open("/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, err);
	if (workload->output < 0)
		return caisson_wrap(err, "make a terminal");
	if (ioctl(workload->output, TIOCSPTLCK, &unlocked) < 0)
		return caisson_fail(err, errno, "unlock the terminal");
	slave = ioctl(workload->output, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return caisson_fail(err, errno, "open the terminal");
	*streams = (struct streams){slave, slave, slave};
	workload->input = fcntl(workload->output, F_DUPFD_CLOEXEC, 0);
	workload_window(workload, config->rows, config->columns);
	return 0;
}

static int make_streams(const struct guest_config *config, struct workload *workload,
	struct streams *streams, struct caisson_error *err)
{
	int r;

	if (config->terminal)
		return make_terminal(config, workload, streams, err);
	r = make_pipe(&workload->output, &streams->output, err);
	if (r == 0)
		r = make_pipe(&workload->error, &streams->error, err);
	if (r == 0 && config->interactive)
		return make_pipe(&streams->input, &workload->input, err);
	if (r == 0) {
		streams->input = open_file("/dev/null", O_RDONLY, 0, err);
		r = streams->input < 0 ? streams->input : 0;
	}
	return r;
}

static _Noreturn void child_fail(int report, const char *step)
{
	struct child_failure failure = {.code = errno};

	strncpy(failure.step, step, sizeof(failure.step) - 1);
	(void)!write(report, &failure, sizeof(failure));
	_exit(127);
}

static void child_streams(
	const struct guest_config *config, const struct streams *streams, int report)
{
	if (setsid() < 0)
		child_fail(report, "start a session");
	if (config->terminal && ioctl(streams->input, TIOCSCTTY, 0) < 0)
		child_fail(report, "take the terminal");
	if (dup2(streams->input, STDIN_FILENO) < 0 || dup2(streams->output, STDOUT_FILENO) < 0 ||
		dup2(streams->error, STDERR_FILENO) < 0)
		child_fail(report, "set up its standard streams");
}

/* The root moves in the child's namespace alone; PID 1 keeps its own view. */
static void child_root(const struct guest_config *config, int report)
{
	if (unshare(CLONE_NEWNS) < 0)
		child_fail(report, "make a mount namespace");
	if (chdir(GUEST_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		child_fail(report, "enter the image");
	if (chdir(config->directory) < 0)
		child_fail(report, "enter the working directory");
}

static void child_account(
	const struct account *account, const struct streams *streams, int report, bool terminal)
{
	if (terminal && fchown(streams->input, account->uid, (gid_t)-1) < 0)
		child_fail(report, "own the terminal");
	if (setgroups(account->group_count, account->groups) < 0 ||
		setresgid(account->gid, account->gid, account->gid) < 0 ||
		setresuid(account->uid, account->uid, account->uid) < 0)
		child_fail(report, "become the user");
}

/* As execvp() does, but with the workload's PATH, and without a shell for what is no program. */
static void child_execute(const struct guest_config *config, int report)
{
	char **argv = config->argv.items, **environment = config->environment.items;
	const char *folder = find_variable(&config->environment, "PATH");
	int code = ENOENT;

	if (strchr(argv[0], '/') != NULL) {
		execve(argv[0], argv, environment);
		child_fail(report, "");
	}
	while (folder != NULL) {
		size_t length = strcspn(folder, ":");
		_cleanup_free_ char *path =
			length > 0 ? format_string("%.*s/%s", (int)length, folder, argv[0])
				   : strdup(argv[0]);

		if (path != NULL)
			execve(path, argv, environment);
		if (errno != ENOENT && errno != ENOTDIR)
			code = errno;
		folder = folder[length] == ':' ? folder + length + 1 : NULL;
	}
	errno = code;
	child_fail(report, "");
}

static _Noreturn void child_run(const struct guest_config *config, const struct account *account,
	const struct streams *streams, int report)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t none;

	child_streams(config, streams, report);
	child_root(config, report);
	child_account(account, streams, report, config->terminal);
	for (int signal = 1; signal < _NSIG; signal++)
		(void)sigaction(signal, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(022);
	child_execute(config, report);
	_exit(127);
}

static int explain(const struct guest_config *config, const struct child_failure *failure,
	int *ret_status, struct caisson_error *err)
{
	if (failure->step[0] != '\0')
		return caisson_fail(err, failure->code, "the workload could not %s", failure->step);
	*ret_status = failure->code == ENOENT || failure->code == ENOTDIR ? STATUS_NOT_FOUND
									  : STATUS_NOT_EXECUTABLE;
	caisson_fail(err, failure->code, "run '%s' in the image", config->argv.items[0]);
	if (failure->code == ENOENT)
		return caisson_hint(err, "is it in the image, and its interpreter too? A name "
					 "without a slash is looked for in the image's PATH");
	return -failure->code;
}

static int start_child(const struct guest_config *config, const struct account *account,
	const struct streams *streams, pid_t *ret_pid, int *ret_status, struct caisson_error *err)
{
	_cleanup_close_ int report_read = -1, report_write = -1;
	struct child_failure failure;
	ssize_t n;
	pid_t pid;
	int r = make_pipe(&report_read, &report_write, err);

	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return caisson_fail(err, errno, "start the workload");
	if (pid == 0)
		child_run(config, account, streams, report_write);
	closep(&report_write);
	report_write = -1;
	do
		n = read(report_read, &failure, sizeof(failure));
	while (n < 0 && errno == EINTR);
	if (n == sizeof(failure)) {
		(void)waitpid(pid, NULL, 0);
		return explain(config, &failure, ret_status, err);
	}
	*ret_pid = pid;
	return 0;
}

int workload_start(struct guest *guest, struct workload *ret_workload, int *ret_status,
	struct caisson_error *err)
{
	struct guest_config *config = &guest->config;
	struct workload workload = {
		.pid = -1, .input = -1, .output = -1, .error = -1, .terminal = config->terminal};
	struct streams streams = {-1, -1, -1};
	_cleanup_account_ struct account account = {0};
	_cleanup_close_ int directory = -1;
	int r;

	r = read_account(config, &account, err);
	if (r == 0)
		r = complete_environment(config, &account, err);
	if (r < 0)
		return r;
	/* As container engines do: a working directory that the image lacks is made. */
	directory = guest_root_directory(config->directory, 0755, err);
	if (directory < 0)
		return directory;
	r = make_streams(config, &workload, &streams, err);
	if (r == 0)
		r = start_child(config, &account, &streams, &workload.pid, ret_status, err);
	closep(&streams.input);
	if (!config->terminal) {
		closep(&streams.output);
		closep(&streams.error);
	}
	if (r < 0)
		return r;
	*ret_workload = workload;
	return 0;
}

void workload_window(struct workload *workload, unsigned int rows, unsigned int columns)
{
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};

	if (rows > 0 && columns > 0 && workload->output >= 0)
		(void)ioctl(workload->output, TIOCSWINSZ, &size);
}
