// Locks, durability, and what an errno is called.
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "retry.h"
#include "value.h"

namespace agentfw {

static Napi::Value Fsync(const Napi::CallbackInfo &info)
{
	int fd = intArg(info, 0);
	return resultOut(info.Env(), retry([&] { return fsync(fd); }));
}

static Napi::Value Syncfs(const Napi::CallbackInfo &info)
{
	int fd = intArg(info, 0);
	return resultOut(info.Env(), retry([&] { return syncfs(fd); }));
}

static Napi::Value Flock(const Napi::CallbackInfo &info)
{
	int fd = intArg(info, 0), operation = intArg(info, 1);
	return resultOut(info.Env(), retry([&] { return flock(fd, operation); }));
}

static Napi::Value ErrorText(const Napi::CallbackInfo &info)
{
	char space[128];
	const char *text = strerror_r(intArg(info, 0), space, sizeof space);
	return bytesOut(info.Env(), text, strlen(text));
}

// _exit, not exit: Node's exit handler sets the terminal back to what it was
// at the start, under the hands of a pager that reads what we wrote.
static Napi::Value ExitNow(const Napi::CallbackInfo &info)
{
	_exit(intArg(info, 0));
}

void exportSync(Napi::Env env, Napi::Object exports)
{
	exports.Set("fsync", Napi::Function::New<Fsync>(env));
	exports.Set("syncfs", Napi::Function::New<Syncfs>(env));
	exports.Set("flock", Napi::Function::New<Flock>(env));
	exports.Set("exitNow", Napi::Function::New<ExitNow>(env));
	exports.Set("errorText", Napi::Function::New<ErrorText>(env));
}

} // namespace agentfw
