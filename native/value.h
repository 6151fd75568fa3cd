// Between JavaScript values and C: byte strings are latin1, failures are
// negative errno numbers. TypeScript has checked all types before we are called.
#pragma once

#include <napi.h>

#include <string>
#include <unordered_set>
#include <vector>

namespace agentfw {

// Copies, of the type that TypeScript promises.
int intArg(const Napi::CallbackInfo &info, size_t index);
int64_t wideArg(const Napi::CallbackInfo &info, size_t index);
std::string bytesArg(const Napi::CallbackInfo &info, size_t index);
// Strings that are each ended by a NUL.
std::vector<std::string> listArg(const Napi::CallbackInfo &info, size_t index);
std::unordered_set<std::string> setArg(const Napi::CallbackInfo &info, size_t index);
Napi::Value bytesOut(Napi::Env env, const char *data, size_t length);

// The result of a system call: its value, or -errno.
Napi::Value resultOut(Napi::Env env, long result);

} // namespace agentfw
