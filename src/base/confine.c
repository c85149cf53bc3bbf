/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE
#define NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | \
		CLONE_NEWCGROUP)
#define FOREIGN_CALLS 0x40000000 /* x32's, and none of other architectures */

#define LOAD(member) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offsetof(struct seccomp_data, member))
#define FAIL_WITH(code)       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (code))
#define DENY_WITH(call, code) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), FAIL_WITH(code)
#define DENY(call)            DENY_WITH(call, EPERM)

/*
 * A list of what is forbidden, not of what is allowed as caisson-attach has it: these are the
 * distribution's programs, and what they need changes with it.
 */
static struct sock_filter filter[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
	FAIL_WITH(EPERM),
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FOREIGN_CALLS, 0, 1),
	FAIL_WITH(EPERM),
	/* other machines */
	DENY(socket),
	DENY(connect),
	DENY(bind),
	DENY(listen),
	/* other processes: those that serve volumes may have the same user */
	DENY(kill),
	DENY(tkill),
	DENY(tgkill),
	DENY(rt_sigqueueinfo),
	DENY(rt_tgsigqueueinfo),
	DENY(pidfd_open),
	DENY(pidfd_send_signal),
	DENY(pidfd_getfd),
	DENY(ptrace),
	DENY(process_vm_readv),
	DENY(process_vm_writev),
	DENY(process_madvise),
	DENY(kcmp),
	DENY(setpriority),
	DENY(shmget),
	DENY(semget),
	DENY(msgget),
	DENY(mq_open),
	/* the system */
	DENY(mount),
	DENY(umount2),
	DENY(pivot_root),
	DENY(chroot),
	DENY(open_tree),
	DENY(move_mount),
	DENY(fsopen),
	DENY(fspick),
	DENY(mount_setattr),
	DENY(unshare),
	DENY(setns),
	DENY(open_by_handle_at),
	DENY(name_to_handle_at),
	DENY(fanotify_init),
	DENY(quotactl),
	DENY(swapon),
	DENY(swapoff),
	DENY(reboot),
	DENY(init_module),
	DENY(finit_module),
	DENY(delete_module),
	DENY(kexec_load),
	DENY(bpf),
	DENY(perf_event_open),
	DENY(userfaultfd),
	DENY(personality),
	DENY(io_uring_setup),
	DENY(io_uring_enter),
	DENY(io_uring_register),
	DENY(add_key),
	DENY(request_key),
	DENY(keyctl),
	/* Limits of its own alone */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 4),
	LOAD(args[0]),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
	FAIL_WITH(EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	/* Its flags are in memory, where a filter cannot look; the C library takes clone(2) then.
	 */
	DENY_WITH(clone3, ENOSYS),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
	LOAD(args[0]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1),
	FAIL_WITH(EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static int filter_calls(void)
{
	const struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
#else
/* The filter is one more wall. Where its numbers are not known, the others stand. */
static int filter_calls(void)
{
	return 0;
}
#endif

static int limit(int resource, rlim_t most)
{
	struct rlimit now;

	if (getrlimit(resource, &now) < 0)
		return -1;
	now.rlim_max = MIN(now.rlim_max, most);
	now.rlim_cur = MIN(now.rlim_cur, now.rlim_max);
	return setrlimit(resource, &now);
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_capset, &header, none);
}

int confine(const struct confinement *confinement)
{
	if (limit(RLIMIT_CORE, 0) < 0)
		return -1;
	if (confinement->memory_most != 0 && limit(RLIMIT_AS, confinement->memory_most) < 0)
		return -1;
	if (confinement->cpu_seconds != 0 && limit(RLIMIT_CPU, confinement->cpu_seconds) < 0)
		return -1;
	/* With it, execve(2) gives none back, also not to root. */
	if (drop_capabilities() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return filter_calls();
}
