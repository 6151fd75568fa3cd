/*
 * Keeps the agent from rewriting the driver. A script whose interpreter is
 * /proc/self/exe runs, in the sandbox, the program of the process that
 * executes it: this driver, on the host's mount and not in a layer. Its
 * /proc/PID/exe could then be opened for writing by its owner. So a driver
 * that the user could write runs as a sealed copy in memory.
 */
#define _GNU_SOURCE
#include "self.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define K_MFD_EXEC 0x10u /* Linux 6.3; refused before */

enum { SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static bool writable(int fd)
{
	struct stat st;

	return fstat(fd, &st) || st.st_uid == geteuid() || geteuid() == 0 ||
	       faccessat(AT_FDCWD, fd_path(fd).text, W_OK, AT_EACCESS) == 0;
}

static int sealed_copy(int from)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	AUTO_FD int copy = memfd_create("agentfw-driver", flags | K_MFD_EXEC);
	struct stat st;
	off_t done = 0;

	if (copy < 0 && errno == EINVAL)
		copy = memfd_create("agentfw-driver", flags);
	if (copy < 0 || fstat(from, &st))
		return -1;
	while (done < st.st_size)
		if (sendfile(copy, from, &done,
			     (size_t)(st.st_size - done)) <= 0)
			return -1;
	if (fcntl(copy, F_ADD_SEALS, SEALS))
		return -1;
	return take_fd(&copy);
}

int self_seal(char **argv, struct fault *f)
{
	AUTO_FD int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	AUTO_FD int copy = -1;
	int seals;

	if (self < 0)
		return fault_errno(f, "driver", "can't open the driver");
	seals = fcntl(self, F_GET_SEALS); /* -1 for anything but a memfd */
	if ((seals >= 0 && (seals & SEALS) == SEALS) || !writable(self))
		return 0;
	copy = sealed_copy(self);
	if (copy >= 0)
		syscall(SYS_execveat, copy, "", argv, environ, AT_EMPTY_PATH);
	fault_errno(f, "driver", "can't run a sealed copy of the driver");
	fault_hint(f, "Install agentfw-driver so that only root can write it, "
		      "or set vm.memfd_noexec=0");
	return -1;
}
