// The walk as JavaScript sees it: an opaque handle that yields buffers.
#include <cerrno>
#include <memory>

#include "addon.h"
#include "value.h"
#include "walk.h"

namespace agentfw {

// Held by a box so that closing early and garbage collection both free it.
struct WalkBox {
	std::unique_ptr<Walk> walk;
	bool ended = false;
	std::string failedPath;
};

static WalkBox *boxArg(const Napi::CallbackInfo &info)
{
	return info[0].As<Napi::External<WalkBox>>().Data();
}

// Three lists from `index` on, or nothing.
static std::unique_ptr<NameFilter> namesArg(const Napi::CallbackInfo &info,
					    size_t index)
{
	if (info.Length() <= index)
		return nullptr;
	auto names = std::make_unique<NameFilter>();
	names->literals = setArg(info, index);
	names->endings = setArg(info, index + 1);
	names->pieces = listArg(info, index + 2);
	return names;
}

static Napi::Value WalkOpen(const Napi::CallbackInfo &info)
{
	int bits = intArg(info, 2);
	WalkOptions options = { (bits & 1) != 0, (bits & 2) != 0,
				(Unreadable)(bits >> 2 & 3), (Look)(bits >> 4 & 3),
				(bits & 0x40) != 0, wideArg(info, 3) };
	auto box = std::make_unique<WalkBox>();
	box->walk = std::make_unique<Walk>(options, namesArg(info, 4));
	if (box->walk->open(intArg(info, 0), intArg(info, 1)) < 0)
		return resultOut(info.Env(), -1);
	return Napi::External<WalkBox>::New(
		info.Env(), box.release(),
		[](Napi::Env, WalkBox *data) { delete data; });
}

// A buffer of records, 0 at the end, or -errno.
static Napi::Value WalkNext(const Napi::CallbackInfo &info)
{
	WalkBox *box = boxArg(info);
	if (!box->walk || box->ended)
		return Napi::Number::New(info.Env(), 0);
	std::string chunk;
	int result = box->walk->next(chunk);
	if (result < 0) {
		box->failedPath = box->walk->failedPath;
		box->ended = true;
		return Napi::Number::New(info.Env(), result);
	}
	box->ended = result == 0;
	if (chunk.empty())
		return Napi::Number::New(info.Env(), 0);
	auto memory = Napi::ArrayBuffer::New(info.Env(), chunk.size());
	memcpy(memory.Data(), chunk.data(), chunk.size());
	return memory;
}

static Napi::Value WalkFailedPath(const Napi::CallbackInfo &info)
{
	const std::string &path = boxArg(info)->failedPath;
	return bytesOut(info.Env(), path.data(), path.size());
}

static Napi::Value WalkClose(const Napi::CallbackInfo &info)
{
	boxArg(info)->walk.reset();
	return info.Env().Undefined();
}

void exportWalk(Napi::Env env, Napi::Object exports)
{
	exports.Set("walkOpen", Napi::Function::New<WalkOpen>(env));
	exports.Set("walkNext", Napi::Function::New<WalkNext>(env));
	exports.Set("walkFailedPath", Napi::Function::New<WalkFailedPath>(env));
	exports.Set("walkClose", Napi::Function::New<WalkClose>(env));
}

} // namespace agentfw
