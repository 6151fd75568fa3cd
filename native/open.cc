// open, close, pipe, readlink and the names in a directory.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"
#include "dirents.h"
#include "resolve.h"
#include "value.h"

namespace agentfw {

static Napi::Value Open(const Napi::CallbackInfo &info)
{
	int fd = openAt(intArg(info, 0), bytesArg(info, 1),
			(uint32_t)intArg(info, 2), (uint32_t)intArg(info, 3),
			(uint32_t)intArg(info, 4));
	return resultOut(info.Env(), fd);
}

// Not retried: Linux has released the number even when it reports EINTR.
static Napi::Value Close(const Napi::CallbackInfo &info)
{
	int result = close(intArg(info, 0));
	return resultOut(info.Env(), result == -1 && errno == EINTR ? 0 : result);
}

static Napi::Value Readlink(const Napi::CallbackInfo &info)
{
	std::string name = bytesArg(info, 1);
	char target[4096];
	ssize_t length = readlinkat(intArg(info, 0), name.c_str(), target,
				    sizeof target);
	if (length < 0)
		return resultOut(info.Env(), -1);
	return bytesOut(info.Env(), target, length);
}

// All names, each ended by a NUL.
static Napi::Value List(const Napi::CallbackInfo &info)
{
	std::string names;
	if (readNames(intArg(info, 0), names) < 0)
		return resultOut(info.Env(), -1);
	return bytesOut(info.Env(), names.data(), names.size());
}

// Its ends: to read from, to write to.
static Napi::Value Pipe(const Napi::CallbackInfo &info)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return resultOut(info.Env(), -1);
	auto pair = Napi::Array::New(info.Env(), 2);
	pair.Set(0u, ends[0]);
	pair.Set(1u, ends[1]);
	return pair;
}

void exportOpen(Napi::Env env, Napi::Object exports)
{
	exports.Set("open", Napi::Function::New<Open>(env));
	exports.Set("close", Napi::Function::New<Close>(env));
	exports.Set("readlink", Napi::Function::New<Readlink>(env));
	exports.Set("pipe", Napi::Function::New<Pipe>(env));
	exports.Set("list", Napi::Function::New<List>(env));
}

} // namespace agentfw
