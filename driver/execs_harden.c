/*
 * The exec audit reads what the agent's processes hold: before the first
 * byte it gives up programs, the network and all writing of files. As root
 * it keeps the right to look into the processes of others.
 */
#define _GNU_SOURCE
#include "execs_harden.h"

#include <linux/capability.h>

#include "harden.h"

static struct sock_filter filter[] = {
	LOAD_CALL,
	ALLOW_POLL,
	ALLOW(ioctl), ALLOW(process_vm_readv), ALLOW(readlinkat),
#ifdef __NR_readlink
	ALLOW(readlink),
#endif
	/* O_PATH alone: there is no call that would read a file. */
	ALLOW(openat), ALLOW_NR(437 /* openat2 */), ALLOW(sendto),
	ALLOW(close), ALLOW(setitimer),
	ALLOW(statx), ALLOW_LIBRARY,
	REFUSE,
};

int execs_harden(void)
{
	return harden(1U << CAP_SYS_PTRACE, filter,
		      sizeof(filter) / sizeof(filter[0]));
}
