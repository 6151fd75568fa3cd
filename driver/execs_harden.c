/*
 * The exec audit reads what the agent's processes hold: before the first
 * byte it gives up programs, the network and all writing of files. As root
 * it keeps the right to look into the processes of others.
 */
#define _GNU_SOURCE
#include "execs_harden.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "agentfw knows x86_64 and aarch64"
#endif

#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, what)
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOW_NR(nr) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), \
	RETURN(SECCOMP_RET_ALLOW)
#define ALLOW(name) ALLOW_NR(__NR_##name)

static struct sock_filter filter[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(offsetof(struct seccomp_data, nr)),
	ALLOW(ppoll),
#ifdef __NR_poll
	ALLOW(poll),
#endif
	ALLOW(ioctl), ALLOW(process_vm_readv), ALLOW(readlinkat),
#ifdef __NR_readlink
	ALLOW(readlink),
#endif
	/* O_PATH alone: there is no call that would read a file. */
	ALLOW(openat), ALLOW_NR(437 /* openat2 */), ALLOW(sendto),
	ALLOW(close), ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap),
	ALLOW(madvise), ALLOW(exit), ALLOW(exit_group), ALLOW(rt_sigreturn),
	ALLOW(restart_syscall), ALLOW(getrandom), ALLOW(clock_gettime),
	RETURN(SECCOMP_RET_ERRNO | EPERM),
};

static int drop_caps(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	data[0].permitted &= 1U << CAP_SYS_PTRACE;
	data[0].effective = data[0].permitted;
	data[1].permitted = data[1].effective = 0;
	data[0].inheritable = data[1].inheritable = 0;
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int execs_harden(void)
{
	struct rlimit core = { 0, 0 };
	struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};
	int err = drop_caps();

	if (err)
		return err;
	if (setrlimit(RLIMIT_CORE, &core) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}
