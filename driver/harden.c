#define _GNU_SOURCE
#include "harden.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int drop_caps(uint32_t keep)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	data[0].permitted &= keep;
	data[0].effective = data[0].permitted;
	data[1].permitted = data[1].effective = 0;
	data[0].inheritable = data[1].inheritable = 0;
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int harden(uint32_t keep, struct sock_filter *filter, size_t length)
{
	struct rlimit none = { 0, 0 };
	struct sock_fprog program = {
		.len = (unsigned short)length,
		.filter = filter,
	};
	int err = drop_caps(keep);

	if (err)
		return err;
	if (setrlimit(RLIMIT_CORE, &none) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
#ifdef __SANITIZE_ADDRESS__
	(void)program; /* the sanitizer's own calls are in no list */
	return 0;
#else
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0
		       ? -errno : 0;
#endif
}
