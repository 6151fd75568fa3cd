// Making and removing names.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"
#include "value.h"

namespace agentfw {

static Napi::Value Mkdir(const Napi::CallbackInfo &info)
{
	return resultOut(info.Env(), mkdirat(intArg(info, 0),
					     bytesArg(info, 1).c_str(),
					     intArg(info, 2)));
}

static Napi::Value Symlink(const Napi::CallbackInfo &info)
{
	return resultOut(info.Env(), symlinkat(bytesArg(info, 0).c_str(),
					       intArg(info, 1),
					       bytesArg(info, 2).c_str()));
}

static Napi::Value Link(const Napi::CallbackInfo &info)
{
	std::string from = bytesArg(info, 1), to = bytesArg(info, 3);
	int at = intArg(info, 0);
	// linkat with AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH before 6.10; the
	// magic link of an O_TMPFILE works for everyone.
	if (from.empty()) {
		std::string self = "/proc/self/fd/" + std::to_string(at);
		return resultOut(info.Env(),
				 linkat(AT_FDCWD, self.c_str(), intArg(info, 2),
					to.c_str(), AT_SYMLINK_FOLLOW));
	}
	return resultOut(info.Env(), linkat(at, from.c_str(), intArg(info, 2),
					    to.c_str(), 0));
}

static Napi::Value Mknod(const Napi::CallbackInfo &info)
{
	return resultOut(info.Env(), mknodat(intArg(info, 0),
					     bytesArg(info, 1).c_str(),
					     intArg(info, 2),
					     (uint32_t)intArg(info, 3)));
}

static Napi::Value Unlink(const Napi::CallbackInfo &info)
{
	return resultOut(info.Env(), unlinkat(intArg(info, 0),
					      bytesArg(info, 1).c_str(), 0));
}

static Napi::Value Rmdir(const Napi::CallbackInfo &info)
{
	return resultOut(info.Env(),
			 unlinkat(intArg(info, 0), bytesArg(info, 1).c_str(),
				  AT_REMOVEDIR));
}

void exportNode(Napi::Env env, Napi::Object exports)
{
	exports.Set("mkdir", Napi::Function::New<Mkdir>(env));
	exports.Set("symlink", Napi::Function::New<Symlink>(env));
	exports.Set("link", Napi::Function::New<Link>(env));
	exports.Set("mknod", Napi::Function::New<Mknod>(env));
	exports.Set("unlink", Napi::Function::New<Unlink>(env));
	exports.Set("rmdir", Napi::Function::New<Rmdir>(env));
}

} // namespace agentfw
