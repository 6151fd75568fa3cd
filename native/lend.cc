#include "lend.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "meta.h"

namespace agentfw {

Lent::Lent(int at, const char *name, mode_t bits)
	: fd_(*name ? openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
		    : fcntl(at, F_DUPFD_CLOEXEC, 0))
{
	struct stat status;
	if (fd_ < 0 || fstat(fd_, &status) || S_ISLNK(status.st_mode) ||
	    status.st_uid != geteuid())
		return;
	mode_ = status.st_mode & 07777;
	given_ = (mode_ & bits) != bits && chmodAt(fd_, "", mode_ | bits) == 0;
}

Lent::~Lent()
{
	int error = errno;
	if (given_)
		chmodAt(fd_, "", mode_);
	if (fd_ >= 0)
		close(fd_);
	errno = error;
}

} // namespace agentfw
