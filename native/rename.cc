// renameat2: replace, no-replace, exchange.
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"
#include "value.h"

namespace agentfw {

static Napi::Value Rename(const Napi::CallbackInfo &info)
{
	std::string from = bytesArg(info, 1), to = bytesArg(info, 3);
	return resultOut(info.Env(),
			 syscall(SYS_renameat2, intArg(info, 0), from.c_str(),
				 intArg(info, 2), to.c_str(), intArg(info, 4)));
}

void exportRename(Napi::Env env, Napi::Object exports)
{
	exports.Set("rename", Napi::Function::New<Rename>(env));
}

} // namespace agentfw
