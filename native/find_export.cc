// The search for names as JavaScript sees it.
#include "addon.h"
#include "find.h"
#include "value.h"

namespace agentfw {

static Napi::Value FindNames(const Napi::CallbackInfo &info)
{
	FindRequest request = { listArg(info, 0),
				{ setArg(info, 1), setArg(info, 2), listArg(info, 3) },
				setArg(info, 4), setArg(info, 5), wideArg(info, 6) };
	FindResult result = findNames(request);
	Napi::Object out = Napi::Object::New(info.Env());
	out.Set("paths", bytesOut(info.Env(), result.paths.data(), result.paths.size()));
	out.Set("closed", bytesOut(info.Env(), result.closed.data(), result.closed.size()));
	out.Set("entries", Napi::Number::New(info.Env(), (double)result.entries));
	out.Set("dirs", Napi::Number::New(info.Env(), (double)result.dirs));
	out.Set("unread", bytesOut(info.Env(), result.unread.data(), result.unread.size()));
	return out;
}

void exportFind(Napi::Env env, Napi::Object exports)
{
	exports.Set("findNames", Napi::Function::New<FindNames>(env));
}

} // namespace agentfw
