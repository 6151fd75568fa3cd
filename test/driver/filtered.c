/*
 * Runs a program under the system call filter and nothing else: what it is
 * refused then, the filter refuses, and not the want of a capability.
 *   filtered allow|deny|no-cgroup PROGRAM [ARG…]
 */
#define _GNU_SOURCE
#include "../../driver/seccomp.h"

#include <stdio.h>
#include <sys/prctl.h>

static enum nested nested_of(const char *word)
{
	return same(word, "deny") ? NESTED_DENY
	     : same(word, "allow") ? NESTED_ALLOW
				   : NESTED_NO_CGROUP;
}

int main(int argc, char **argv)
{
	struct fault f;

	if (argc < 3)
		return 2;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    seccomp_apply(nested_of(argv[1]), &f))
		return 1;
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
