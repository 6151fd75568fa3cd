#include "resolve.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "retry.h"

namespace agentfw {

// The kernel's PATH_MAX counts the final NUL.
static const size_t LONGEST = 4095;

static int openShort(int at, const char *path, uint64_t flags, uint64_t mode,
		     uint64_t resolve)
{
	struct open_how how = {};
	how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
	// The kernel refuses a mode that would not be used.
	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		how.mode = mode;
	how.resolve = resolve;
	return retry([&] {
		return syscall(SYS_openat2, at, path, &how, sizeof how);
	});
}

// With `..` a chunk could climb above the chunk before it, which BENEATH
// would then not see.
static bool climbs(const std::string &path)
{
	return ("/" + path + "/").find("/../") != std::string::npos;
}

int openAt(int at, const std::string &path, uint64_t flags, uint64_t mode,
	   uint64_t resolve)
{
	if (path.size() <= LONGEST)
		return openShort(at, path.c_str(), flags, mode, resolve);
	if (climbs(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int held = -1;
	size_t start = 0;
	while (path.size() - start > LONGEST) {
		size_t cut = path.rfind('/', start + LONGEST);
		if (cut == std::string::npos || cut <= start) {
			if (held >= 0)
				close(held);
			errno = ENAMETOOLONG;
			return -1;
		}
		int next = openShort(held >= 0 ? held : at,
				     path.substr(start, cut - start).c_str(),
				     O_PATH | O_DIRECTORY, 0, resolve);
		int error = errno;
		if (held >= 0)
			close(held);
		if (next < 0) {
			errno = error;
			return -1;
		}
		held = next;
		start = cut + 1;
	}
	int fd = openShort(held, path.c_str() + start, flags, mode, resolve);
	int error = errno;
	close(held);
	errno = error;
	return fd;
}

} // namespace agentfw
