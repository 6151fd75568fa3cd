#ifndef AGENTFW_HARDEN_H
#define AGENTFW_HARDEN_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "agentfw knows x86_64 and aarch64"
#endif

/* Words for a filter that allows by list: LOAD_CALL begins it, REFUSE ends it. */
#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, what)
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ARG0 offsetof(struct seccomp_data, args[0])
#define ALLOW_NR(nr) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), \
	RETURN(SECCOMP_RET_ALLOW)
#define ALLOW(name) ALLOW_NR(__NR_##name)
/* Newer architectures have only the calls with more arguments. */
#ifdef __NR_poll
#define ALLOW_POLL ALLOW(ppoll), ALLOW(poll)
#else
#define ALLOW_POLL ALLOW(ppoll)
#endif
/* What the C library does for memory, time and the process's end. */
#define ALLOW_LIBRARY \
	ALLOW(brk), ALLOW(mmap), ALLOW(munmap), ALLOW(mremap), \
	ALLOW(madvise), ALLOW(exit), ALLOW(exit_group), \
	ALLOW(rt_sigreturn), ALLOW(restart_syscall), ALLOW(getrandom), \
	ALLOW(clock_gettime)
#define LOAD_CALL \
	LOAD(offsetof(struct seccomp_data, arch)), \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0), \
	RETURN(SECCOMP_RET_KILL_PROCESS), \
	LOAD(offsetof(struct seccomp_data, nr))
#define REFUSE RETURN(SECCOMP_RET_ERRNO | EPERM)

/*
 * For a process of ours that reads hostile bytes with the user's rights:
 * takes all capabilities but those in `keep` (bits 0 to 31) where they are
 * held, core dumps, new privileges, and each call that the filter does not
 * allow. 0 or -errno.
 */
int harden(uint32_t keep, struct sock_filter *filter, size_t length);

#endif
