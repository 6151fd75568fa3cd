/*
 * The broker copies hostile bytes with the user's rights: before the first
 * one it gives up capabilities, programs, the network, and all writing of
 * files. It may look a socket up and connect to it.
 */
#define _GNU_SOURCE
#include "broker_harden.h"

#include <sys/socket.h>

#include "harden.h"

static struct sock_filter filter[] = {
	LOAD_CALL,
	ALLOW_POLL,
	ALLOW(recvmsg), ALLOW(sendto), ALLOW(accept4), ALLOW(connect),
	ALLOW(getsockopt), ALLOW(shutdown), ALLOW(close), ALLOW(fcntl),
	/* O_PATH alone: its descriptors can be neither read nor written, and
	 * a file opened otherwise would have no call that reads it. */
	ALLOW_NR(437 /* openat2 */), ALLOW(fstat),
#ifdef __NR_newfstatat
	ALLOW(newfstatat),
#endif
	ALLOW_LIBRARY,
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3),
	LOAD(ARG0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 0, 1),
	RETURN(SECCOMP_RET_ALLOW),
	REFUSE,
};

int broker_harden(void)
{
	return harden(0, filter, sizeof(filter) / sizeof(filter[0]));
}
