/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests alone, and never installed: runs a command and kills it before the N-th step that it
 * takes. A step is a system call that changes something that lasts, in any of its threads and of
 * the processes that it starts: writing, truncating, syncing, renaming, linking, removing, making,
 * locking, mounting, and the ioctls of loop devices, device-mapper, discards and clones.
 *
 *   kill-at [--steps FILE] [--after N] [--tree] [--power SEED] -- COMMAND...
 *
 *   --steps FILE  how many steps there were
 *   --after N     kill the command itself before its step N; what it started lives on
 *   --tree        kill what it started, too
 *   --power SEED  as if the power had been cut: --tree, and what was written to files and not
 * synced is taken back: of all files (0), or of some that the seed chooses
 *
 * Ends with the status of the command, 137 when that was killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PTRACE_GET_SYSCALL_INFO
#define PTRACE_GET_SYSCALL_INFO 0x420e
#endif

static void die(const char *what)
{
	perror(what);
	_exit(125);
}

/* The filter */

#define ALWAYS(name) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE)
/* Unless it is standard output or error that is written to. */
#define NOT_STANDARD(name) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 4), \
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])), \
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 2, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void install_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		NOT_STANDARD(write),
		NOT_STANDARD(writev),
		ALWAYS(pwrite64),
		ALWAYS(pwritev),
		ALWAYS(pwritev2),
		ALWAYS(copy_file_range),
		ALWAYS(sendfile),
		ALWAYS(io_uring_enter),
		ALWAYS(fsync),
		ALWAYS(fdatasync),
		ALWAYS(sync),
		ALWAYS(syncfs),
		ALWAYS(truncate),
		ALWAYS(ftruncate),
		ALWAYS(fallocate),
		ALWAYS(rename),
		ALWAYS(renameat),
		ALWAYS(renameat2),
		ALWAYS(unlink),
		ALWAYS(unlinkat),
		ALWAYS(rmdir),
		ALWAYS(link),
		ALWAYS(linkat),
		ALWAYS(symlink),
		ALWAYS(symlinkat),
		ALWAYS(mkdir),
		ALWAYS(mkdirat),
		ALWAYS(mknod),
		ALWAYS(mknodat),
		ALWAYS(flock),
		ALWAYS(mount),
		ALWAYS(umount2),
		ALWAYS(fsetxattr),
		/* openat() that may create */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		/* ioctl() of loop devices, block devices, clones, device-mapper */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 0, 8),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 8),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x4c, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x12, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x94, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	/* Without CAP_SYS_ADMIN a filter asks for this; programs that are set-user-ID then stay as
	 * they are. */
	if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die("no_new_privs");
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		die("seccomp");
}

/* What was written and not synced */

struct undo {
	dev_t device;
	ino_t inode;
	int fd;
	off_t size, offset;
	size_t length; /* of @bytes */
	char *bytes;
	struct undo *before;
};

static struct undo *undo_last;

static bool undo_save(pid_t tid, int fd, off_t offset, size_t length)
{
	struct undo *undo;
	char path[64];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	undo = calloc(1, sizeof(*undo));
	if (undo == NULL)
		die("undo");
	*undo = (struct undo){.device = st.st_dev,
		.inode = st.st_ino,
		.size = st.st_size,
		.offset = offset,
		.fd = open(path, O_RDWR | O_CLOEXEC)};
	if (undo->fd < 0) { /* a memfd that is sealed, say */
		free(undo);
		return false;
	}
	if (offset < st.st_size) {
		undo->length = length < (size_t)(st.st_size - offset)
				       ? length
				       : (size_t)(st.st_size - offset);
		undo->bytes = malloc(undo->length + 1);
		n = undo->bytes != NULL ? pread(undo->fd, undo->bytes, undo->length, offset) : -1;
		if (n < 0)
			die("undo");
		undo->length = (size_t)n;
	}
	undo->before = undo_last;
	undo_last = undo;
	return true;
}

static void undo_free(struct undo *undo)
{
	close(undo->fd);
	free(undo->bytes);
	free(undo);
}

static void undo_synced(pid_t tid, int fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	if (stat(path, &st) < 0)
		return;
	for (struct undo **at = &undo_last; *at != NULL;) {
		struct undo *undo = *at;

		if (undo->device == st.st_dev && undo->inode == st.st_ino) {
			*at = undo->before;
			undo_free(undo);
		} else {
			at = &undo->before;
		}
	}
}

static void undo_all(unsigned int seed)
{
	while (undo_last != NULL) {
		struct undo *undo = undo_last;
		bool lost = seed == 0 || ((undo->inode * 2654435761u) ^ seed * 40503u) >> 7 & 1;

		if (lost && pwrite(undo->fd, undo->bytes, undo->length, undo->offset) < 0)
			perror("take back");
		if (lost && ftruncate(undo->fd, undo->size) < 0)
			perror("take back");
		undo_last = undo->before;
		undo_free(undo);
	}
}

/* Where a file descriptor stands, and whether it writes through. */
static off_t position(pid_t tid, int fd, bool *ret_through)
{
	char path[64], line[128];
	long long pos = 0;
	unsigned int flags = 0;
	struct stat st;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)tid, fd);
	file = fopen(path, "re");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "pos:", 4) == 0)
			pos = strtoll(line + 4, NULL, 10);
		if (strncmp(line, "flags:", 6) == 0)
			flags = (unsigned int)strtoul(line + 6, NULL, 8);
	}
	if (file != NULL)
		fclose(file);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	if ((flags & O_APPEND) != 0 && stat(path, &st) == 0)
		pos = st.st_size;
	*ret_through = (flags & O_DSYNC) != 0;
	return pos;
}

#define EVERYTHING ((size_t)1 << 40)

static void remember(pid_t tid)
{
	struct __ptrace_syscall_info info;
	bool through = false;
	off_t offset;
	uint64_t *a;
	int fd;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) <= 0)
		return;
	a = (uint64_t *)info.seccomp.args;
	fd = (int)a[0];
	offset = position(tid, fd, &through);
	switch (info.seccomp.nr) {
	case __NR_fsync:
	case __NR_fdatasync:
		undo_synced(tid, fd);
		break;
	case __NR_sync:
	case __NR_syncfs:
		while (undo_last != NULL) {
			struct undo *undo = undo_last;

			undo_last = undo->before;
			undo_free(undo);
		}
		break;
	case __NR_pwrite64:
		if (!through)
			undo_save(tid, fd, (off_t)a[3], a[2]);
		break;
	case __NR_write:
	case __NR_sendfile:
		if (!through)
			undo_save(tid, fd, offset, info.seccomp.nr == __NR_write ? a[2] : a[3]);
		break;
	case __NR_writev:
		if (!through)
			undo_save(tid, fd, offset, EVERYTHING);
		break;
	case __NR_pwritev:
	case __NR_pwritev2:
		if (!through)
			undo_save(tid, fd, (off_t)a[3], EVERYTHING);
		break;
	case __NR_ftruncate:
		undo_save(tid, fd, (off_t)a[1], EVERYTHING);
		break;
	case __NR_fallocate:
		undo_save(tid, fd, (off_t)a[2], a[3]);
		break;
	case __NR_copy_file_range:
		undo_save(tid, (int)a[2], 0, EVERYTHING);
		break;
	default:
		break;
	}
}

/* The tracer */

struct run {
	unsigned long after, steps;
	bool tree, power, killed;
	unsigned int seed;
	pid_t leader;
	pid_t tracees[4096];
	size_t count;
};

static void add_tracee(struct run *run, pid_t tid)
{
	for (size_t i = 0; i < run->count; i++)
		if (run->tracees[i] == tid)
			return;
	if (run->count < sizeof(run->tracees) / sizeof(run->tracees[0]))
		run->tracees[run->count++] = tid;
}

static void remove_tracee(struct run *run, pid_t tid)
{
	for (size_t i = 0; i < run->count; i++)
		if (run->tracees[i] == tid)
			run->tracees[i--] = run->tracees[--run->count];
}

static void kill_now(struct run *run)
{
	run->killed = true;
	if (!run->tree) {
		kill(run->leader, SIGKILL);
		return;
	}
	for (size_t i = 0; i < run->count; i++)
		kill(run->tracees[i], SIGKILL);
}

/* Whether the tracee is to go on, and with which signal. */
static bool stopped(struct run *run, pid_t tid, int status, int *ret_signal)
{
	int event = status >> 16, signal = WSTOPSIG(status);
	unsigned long message = 0;

	*ret_signal = 0;
	add_tracee(run, tid);
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		if (run->killed)
			break;
		if (++run->steps == run->after) {
			kill_now(run);
			return !run->tree && tid != run->leader;
		}
		if (run->power)
			remember(tid);
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &message) == 0)
			add_tracee(run, (pid_t)message);
		if (run->killed && run->tree)
			kill_now(run);
		break;
	case PTRACE_EVENT_EXEC:
		break;
	case PTRACE_EVENT_STOP:
		if (signal != SIGTRAP) { /* a stop of the whole group */
			ptrace(PTRACE_LISTEN, tid, NULL, NULL);
			return false;
		}
		break;
	default:
		*ret_signal = signal;
		break;
	}
	return true;
}

static void report(const struct run *run, const char *file)
{
	FILE *out = file != NULL ? fopen(file, "we") : NULL;

	if (out != NULL) {
		fprintf(out, "%lu\n", run->steps);
		fclose(out);
	}
}

/* Traces until no tracee is left; tells @done how the leader ended as soon as it is known (with
   --tree, as soon as all are gone). */
static void trace(struct run *run, const char *file, int done)
{
	int status, leader = 0, signal;
	bool told = false;
	pid_t tid;

	for (;;) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			break;
		if (WIFSTOPPED(status)) {
			if (stopped(run, tid, status, &signal))
				ptrace(PTRACE_CONT, tid, NULL, (void *)(intptr_t)signal);
			continue;
		}
		remove_tracee(run, tid);
		if (tid != run->leader)
			continue;
		leader = status;
		if (!(run->killed && run->tree)) {
			report(run, file);
			told = write(done, &leader, sizeof(leader)) == sizeof(leader);
			close(done);
			/* What lives on must not hold whoever waits for the end of output. */
			for (int fd = 0; fd < 3; fd++)
				close(fd);
		}
	}
	if (run->power && run->killed)
		undo_all(run->seed);
	if (!told) {
		report(run, file);
		(void)!write(done, &leader, sizeof(leader));
	}
	_exit(0);
}

static void run_tracer(struct run *run, const char *file, int done, char **command)
{
	int go[2];
	char byte = 0;

	if (pipe2(go, O_CLOEXEC) < 0)
		die("pipe");
	run->leader = fork();
	if (run->leader < 0)
		die("fork");
	if (run->leader == 0) {
		close(done);
		if (read(go[0], &byte, 1) != 1)
			_exit(125);
		install_filter();
		execvp(command[0], command);
		die(command[0]);
	}
	if (ptrace(PTRACE_SEIZE, run->leader, NULL,
		    (void *)(PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC)) < 0)
		die("ptrace");
	add_tracee(run, run->leader);
	if (write(go[1], &byte, 1) != 1)
		die("pipe");
	close(go[0]);
	close(go[1]);
	trace(run, file, done);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"steps", required_argument, NULL, 's'},
		{"after", required_argument, NULL, 'a'}, {"tree", no_argument, NULL, 't'},
		{"power", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
	static struct run run;
	const char *file = NULL;
	int option, status, done[2];
	pid_t tracer;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
		if (option == 's')
			file = optarg;
		else if (option == 'a')
			run.after = strtoul(optarg, NULL, 10);
		else if (option == 't')
			run.tree = true;
		else if (option == 'p') {
			run.power = run.tree = true;
			run.seed = (unsigned int)strtoul(optarg, NULL, 10);
		} else
			return 125;
	}
	if (optind >= argc || pipe2(done, O_CLOEXEC) < 0)
		return 125;
	tracer = fork();
	if (tracer < 0)
		die("fork");
	if (tracer == 0) {
		close(done[0]);
		run_tracer(&run, file, done[1], argv + optind);
	}
	close(done[1]);
	if (read(done[0], &status, sizeof(status)) != sizeof(status))
		return 125;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
