// Opening paths that may be longer than PATH_MAX.
#pragma once

#include <linux/openat2.h>

#include <cstdint>
#include <string>

namespace agentfw {

// Strictly below the directory, through real directories only.
static const uint64_t INSIDE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			       RESOLVE_NO_MAGICLINKS;

// openat2 with O_CLOEXEC and O_NOFOLLOW; -1 and errno on failure.
int openAt(int at, const std::string &path, uint64_t flags, uint64_t mode,
	   uint64_t resolve);

} // namespace agentfw
