// File contents: comparing and copying without going through JavaScript.
#pragma once

#include <sys/types.h>

namespace agentfw {

// 1 when both hold the same bytes, 0 when not, -1 and errno. Both are `size`
// long; `sparse` allows either to have holes, which are then skipped.
int sameContent(int a, int b, off_t size, bool sparse);

} // namespace agentfw
