// File contents: comparing and copying without going through JavaScript.
#pragma once

#include <sys/types.h>

namespace agentfw {

// 1 when both hold the same bytes, 0 when not, -1 and errno.
int sameContent(int a, int b);

} // namespace agentfw
