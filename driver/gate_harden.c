/*
 * The gate reads hostile bytes with the user's rights. What it never needs
 * is taken before the first byte: capabilities, files, programs, processes.
 */
#define _GNU_SOURCE
#include "gate_core.h"

#include <linux/capability.h>
#include <sys/resource.h>

#include "harden.h"

static struct sock_filter filter[] = {
	LOAD_CALL,
	ALLOW(epoll_pwait),
#ifdef __NR_epoll_wait
	ALLOW(epoll_wait),
#endif
	ALLOW(recvfrom), ALLOW(sendto), ALLOW(splice), ALLOW(recvmsg),
	ALLOW(sendmsg), ALLOW(accept4), ALLOW(close), ALLOW(connect),
	ALLOW(epoll_ctl), ALLOW(setsockopt), ALLOW(getsockopt),
	ALLOW(getsockname), ALLOW(shutdown), ALLOW(fcntl),
	ALLOW(pipe2), ALLOW(bind), ALLOW(listen), ALLOW(write),
	ALLOW_POLL, ALLOW_LIBRARY,
	/* Only sockets that a dial or a listener needs. */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 4),
	LOAD(ARG0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
	RETURN(SECCOMP_RET_ALLOW),
	REFUSE,
};

/* Descriptors for 10,000 connections where the hard limit has them. */
int gate_limits(void)
{
	struct rlimit files;
	struct rlimit wanted = { 65536, 65536 };

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	if (files.rlim_max < wanted.rlim_max &&
	    setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return 0;
	files.rlim_cur = files.rlim_max < wanted.rlim_max ? files.rlim_max
							  : wanted.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}

/* Root keeps the right to publish a low port, nothing else. */
int gate_harden(void)
{
	return harden(1U << CAP_NET_BIND_SERVICE, filter,
		      sizeof(filter) / sizeof(filter[0]));
}
