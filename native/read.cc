// A small regular file in one call.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"
#include "entry.h"
#include "retry.h"
#include "value.h"

namespace agentfw {

// Bytes read, -ENOTSUP for what is no regular file, or -errno. Never waits for
// the other end of a FIFO.
static long readFile(int at, const char *name, char *into, size_t size)
{
	int fd = retry([&] { return openToRead({ at, name }); });
	if (fd < 0)
		return -errno;
	struct stat stat;
	long result = fstat(fd, &stat) < 0 ? -errno : 0;
	if (result == 0 && !S_ISREG(stat.st_mode))
		result = -ENOTSUP;
	while (result >= 0 && (size_t)result < size) {
		long got = retry([&] {
			return read(fd, into + result, size - result);
		});
		if (got < 0)
			result = -errno;
		if (got <= 0)
			break;
		result += got;
		// All that it says it has: no read tells that there is no more.
		if (result == stat.st_size)
			break;
	}
	close(fd);
	return result;
}

static Napi::Value ReadFile(const Napi::CallbackInfo &info)
{
	auto into = info[2].As<Napi::Buffer<char>>();
	long result = readFile(intArg(info, 0), bytesArg(info, 1).c_str(),
			       into.Data(), into.Length());
	return Napi::Number::New(info.Env(), result);
}

void exportRead(Napi::Env env, Napi::Object exports)
{
	exports.Set("readFile", Napi::Function::New<ReadFile>(env));
}

} // namespace agentfw
