#include "value.h"

#include <cerrno>

namespace agentfw {

int intArg(const Napi::CallbackInfo &info, size_t index)
{
	int32_t value = -1;
	napi_get_value_int32(info.Env(), info[index], &value);
	return value;
}

int64_t wideArg(const Napi::CallbackInfo &info, size_t index)
{
	int64_t value = 0;
	bool lossless = false;
	napi_get_value_bigint_int64(info.Env(), info[index], &value, &lossless);
	return value;
}

std::string bytesArg(const Napi::CallbackInfo &info, size_t index)
{
	size_t length = 0;
	napi_get_value_string_latin1(info.Env(), info[index], nullptr, 0, &length);
	std::string bytes(length, '\0');
	napi_get_value_string_latin1(info.Env(), info[index], bytes.data(),
				     length + 1, &length);
	return bytes;
}

std::vector<std::string> listArg(const Napi::CallbackInfo &info, size_t index)
{
	std::string packed = bytesArg(info, index);
	std::vector<std::string> list;
	for (size_t from = 0, end; (end = packed.find('\0', from)) != std::string::npos; from = end + 1)
		list.push_back(packed.substr(from, end - from));
	return list;
}

std::unordered_set<std::string> setArg(const Napi::CallbackInfo &info, size_t index)
{
	std::vector<std::string> list = listArg(info, index);
	return { list.begin(), list.end() };
}

Napi::Value bytesOut(Napi::Env env, const char *data, size_t length)
{
	napi_value value = nullptr;
	napi_create_string_latin1(env, data, length, &value);
	return Napi::Value(env, value);
}

Napi::Value resultOut(Napi::Env env, long result)
{
	return Napi::Number::New(env, result == -1 ? -errno : result);
}

} // namespace agentfw
