#define _GNU_SOURCE
#include "gate_core.h"

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

/*
 * The gate reads hostile bytes with the user's rights. What it never needs
 * is taken before the first byte: capabilities, files, programs, processes.
 */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "agentfw knows x86_64 and aarch64"
#endif

#define NR offsetof(struct seccomp_data, nr)
#define ARG0 offsetof(struct seccomp_data, args[0])
#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, what)
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOW(name) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), \
	RETURN(SECCOMP_RET_ALLOW)
#define DENIED RETURN(SECCOMP_RET_ERRNO | EPERM)

static struct sock_filter filter[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(NR),
	ALLOW(epoll_pwait),
#ifdef __NR_epoll_wait
	ALLOW(epoll_wait),
#endif
	ALLOW(recvfrom), ALLOW(sendto), ALLOW(splice), ALLOW(recvmsg),
	ALLOW(sendmsg), ALLOW(accept4), ALLOW(close), ALLOW(connect),
	ALLOW(epoll_ctl), ALLOW(setsockopt), ALLOW(getsockopt),
	ALLOW(getsockname), ALLOW(shutdown), ALLOW(ioctl), ALLOW(fcntl),
	ALLOW(pipe2), ALLOW(bind), ALLOW(listen), ALLOW(clock_gettime),
	ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap),
	ALLOW(madvise), ALLOW(write), ALLOW(exit), ALLOW(exit_group),
	ALLOW(ppoll),
#ifdef __NR_poll
	ALLOW(poll),
#endif
	ALLOW(rt_sigreturn), ALLOW(restart_syscall), ALLOW(getrandom),
	/* Only sockets that a dial or a listener needs. */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 4),
	LOAD(ARG0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
	RETURN(SECCOMP_RET_ALLOW),
	DENIED,
};

/* Descriptors for 10,000 connections where the hard limit has them. */
int gate_limits(void)
{
	struct rlimit none = { 0, 0 };
	struct rlimit files;
	struct rlimit wanted = { 65536, 65536 };

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	if (files.rlim_max < wanted.rlim_max &&
	    setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return 0;
	files.rlim_cur = files.rlim_max < wanted.rlim_max ? files.rlim_max
							  : wanted.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}

/* Root keeps the right to publish a low port, nothing else. */
static int drop_caps(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	data[0].permitted &= 1U << CAP_NET_BIND_SERVICE;
	data[0].effective = data[0].permitted;
	data[1].permitted = data[1].effective = 0;
	data[0].inheritable = data[1].inheritable = 0;
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int gate_harden(void)
{
	struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = filter,
	};
	int err = drop_caps();

	if (err)
		return err;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
#ifdef __SANITIZE_ADDRESS__
	(void)program;	/* the sanitizer's own calls are not in the list */
	return 0;
#else
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0
		       ? -errno : 0;
#endif
}
