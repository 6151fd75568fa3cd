// The names in a directory.
#pragma once

#include <string>

namespace agentfw {

// Appends every name but . and .., each ended by a NUL, in directory order.
// 0, or -1 and errno.
int readNames(int fd, std::string &names);

} // namespace agentfw
