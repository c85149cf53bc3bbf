/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/restrict.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

#define OOM_SCORE "-900" /* of -1000 to 1000: others go first */

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int restrict_files(int *keep, size_t count, struct caisson_error *err)
{
	unsigned int from = STDERR_FILENO + 1;

	qsort(keep, count, sizeof(*keep), by_number);
	for (size_t i = 0; i < count; i++) {
		unsigned int fd = (unsigned int)keep[i];

		if (keep[i] < (int)from)
			continue;
		if (fd > from && close_range(from, fd - 1, 0) < 0)
			return caisson_fail(err, errno, "close descriptors");
		from = fd + 1;
	}
	if (close_range(from, ~0u, 0) < 0)
		return caisson_fail(err, errno, "close descriptors");
	return 0;
}

/* Of which only root has the right to: plain data and keys are never swapped out, and to write out
   dirty memory of others never waits for us to. */
static void stay_in_memory(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* What it has is bounded; what is mounted on top would be lost with it. */
	if (score >= 0) {
		(void)!write(score, OOM_SCORE, sizeof(OOM_SCORE) - 1);
		close(score);
	}
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	/* Under a limit, what is mapped later would fail for it: all is locked, or nothing. */
	if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static int drop_capabilities(struct caisson_error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	if (syscall(SYS_capset, &header, none) < 0)
		return caisson_fail(err, errno, "give up capabilities");
	return 0;
}

/* In a user namespace that has no such user, the user stays, without a capability. */
static int become(uid_t uid, gid_t gid, struct caisson_error *err)
{
	if (geteuid() != 0)
		return 0;
	(void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return caisson_fail(err, errno, "give up groups");
	if (setresgid(gid, gid, gid) < 0 && errno != EINVAL)
		return caisson_fail(err, errno, "become the group %u", gid);
	if (setresuid(uid, uid, uid) < 0 && errno != EINVAL)
		return caisson_fail(err, errno, "become the user %u", uid);
	return 0;
}

int restrict_process(uid_t uid, gid_t gid, struct caisson_error *err)
{
	struct rlimit none = {0, 0};
	int r;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return caisson_fail(err, errno, "forbid core dumps");
	stay_in_memory();
	r = become(uid, gid, err);
	if (r == 0)
		r = drop_capabilities(err);
	if (r < 0)
		return r;
	/* After the change of user, which sets it again. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return caisson_fail(err, errno, "give up privileges");
	return 0;
}

static int allow(scmp_filter_ctx filter)
{
	static const int calls[] = {
		/* data */
		SCMP_SYS(read),
		SCMP_SYS(readv),
		SCMP_SYS(pread64),
		SCMP_SYS(preadv),
		SCMP_SYS(write),
		SCMP_SYS(writev),
		SCMP_SYS(pwrite64),
		SCMP_SYS(pwritev),
		SCMP_SYS(lseek),
		SCMP_SYS(fsync),
		SCMP_SYS(fdatasync),
		SCMP_SYS(fallocate),
		SCMP_SYS(fstat),
		SCMP_SYS(close),
		/* clients */
		SCMP_SYS(listen),
		SCMP_SYS(accept4),
		SCMP_SYS(recvfrom),
		SCMP_SYS(recvmsg),
		SCMP_SYS(sendto),
		SCMP_SYS(sendmsg),
		SCMP_SYS(shutdown),
		SCMP_SYS(getsockopt),
		SCMP_SYS(poll),
		SCMP_SYS(ppoll),
		SCMP_SYS(eventfd2),
		/* memory */
		SCMP_SYS(brk),
		SCMP_SYS(mmap),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(mprotect),
		SCMP_SYS(madvise),
		SCMP_SYS(mlock),
		SCMP_SYS(munlock),
		/* threads */
		SCMP_SYS(futex),
		SCMP_SYS(set_robust_list),
		SCMP_SYS(rseq),
		SCMP_SYS(gettid),
		SCMP_SYS(getpid),
		SCMP_SYS(sched_yield),
		SCMP_SYS(sched_getaffinity),
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
		/* signals and time */
		SCMP_SYS(rt_sigaction),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(restart_syscall),
		SCMP_SYS(clock_gettime),
		SCMP_SYS(clock_nanosleep),
		SCMP_SYS(nanosleep),
		SCMP_SYS(getrandom),
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		int r = 0;

		/* Memory that is written is never run. */
		if (calls[i] == SCMP_SYS(mmap) || calls[i] == SCMP_SYS(mprotect))
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
				SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
		else
			r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
		if (r < 0)
			return r;
	}
	/* libfuse looks at its descriptor so. */
	return seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_GETFD));
}

/* Threads and no processes. What clone3(2) is asked for is in memory, where a filter cannot look:
   the C library takes clone(2) when it hears that there is none. */
static int allow_threads(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	if (r < 0)
		return r;
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_NEWUSER, CLONE_THREAD));
}

static void filter_release(scmp_filter_ctx *filter)
{
	if (*filter != NULL)
		seccomp_release(*filter);
}

int restrict_calls(struct caisson_error *err)
{
#ifdef CAISSON_NO_FILTER
	(void)err;
	(void)allow;
	(void)allow_threads;
	(void)filter_release;
	return 0;
#else
	/* Libraries ask for this and that and do without: they are told no, and are not killed. */
	_cleanup_(filter_release) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = filter != NULL ? 0 : -ENOMEM;

	if (r == 0)
		r = allow(filter);
	if (r == 0)
		r = allow_threads(filter);
	if (r == 0)
		r = seccomp_load(filter);
	return r == 0 ? 0 : caisson_fail(err, r, "install a filter of system calls");
#endif
}
