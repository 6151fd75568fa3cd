// Mode changes that never follow a symlink.
#pragma once

#include <sys/types.h>

namespace agentfw {

// "" is `at` itself, which may be an O_PATH fd. 0, or -1 and errno.
int chmodAt(int at, const char *name, mode_t mode);

} // namespace agentfw
