// Mode, owner and times.
#include "meta.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "addon.h"
#include "value.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

namespace agentfw {

// Before Linux 6.6 the only way not to follow is the magic link of an O_PATH
// fd that was checked not to be a symlink.
static int chmodByFd(int at, const char *name, mode_t mode)
{
	int fd = *name ? openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
		       : fcntl(at, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	struct stat status;
	int result = fstat(fd, &status);
	if (result == 0 && S_ISLNK(status.st_mode)) {
		errno = EOPNOTSUPP;
		result = -1;
	} else if (result == 0) {
		char self[40];
		snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
		result = chmod(self, mode);
	}
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

int chmodAt(int at, const char *name, mode_t mode)
{
	int flags = AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH);
	long result = syscall(SYS_fchmodat2, at, name, mode, flags);
	// Old container filters answer EPERM for calls they don't know.
	if (result == -1 && (errno == ENOSYS || errno == EPERM))
		return chmodByFd(at, name, mode);
	return result;
}

static Napi::Value Chmod(const Napi::CallbackInfo &info)
{
	return resultOut(info.Env(), chmodAt(intArg(info, 0),
					     bytesArg(info, 1).c_str(),
					     intArg(info, 2)));
}

static Napi::Value Chown(const Napi::CallbackInfo &info)
{
	std::string name = bytesArg(info, 1);
	int flags = AT_SYMLINK_NOFOLLOW | (name.empty() ? AT_EMPTY_PATH : 0);
	return resultOut(info.Env(),
			 fchownat(intArg(info, 0), name.c_str(),
				  intArg(info, 2), intArg(info, 3), flags));
}

static struct timespec timeOf(int64_t nanoseconds)
{
	const int64_t second = 1000000000LL;
	struct timespec time;
	time.tv_sec = nanoseconds / second;
	time.tv_nsec = nanoseconds % second;
	if (time.tv_nsec < 0) {
		time.tv_nsec += second;
		time.tv_sec--;
	}
	return time;
}

static Napi::Value Utimes(const Napi::CallbackInfo &info)
{
	std::string name = bytesArg(info, 1);
	struct timespec times[2] = { timeOf(wideArg(info, 2)),
				     timeOf(wideArg(info, 3)) };
	int flags = AT_SYMLINK_NOFOLLOW | (name.empty() ? AT_EMPTY_PATH : 0);
	return resultOut(info.Env(), utimensat(intArg(info, 0), name.c_str(),
					       times, flags));
}

void exportMeta(Napi::Env env, Napi::Object exports)
{
	exports.Set("chmod", Napi::Function::New<Chmod>(env));
	exports.Set("chown", Napi::Function::New<Chown>(env));
	exports.Set("utimes", Napi::Function::New<Utimes>(env));
}

} // namespace agentfw
