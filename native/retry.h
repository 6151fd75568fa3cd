// System calls that a signal interrupted.
#pragma once

#include <cerrno>

namespace agentfw {

template <typename Call> long retry(Call call)
{
	long result;
	do
		result = call();
	while (result == -1 && errno == EINTR);
	return result;
}

} // namespace agentfw
