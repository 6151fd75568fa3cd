// Lines added and removed between two texts.
#pragma once

#include <cstdint>
#include <string_view>

namespace agentfw {

struct LineCounts {
	uint32_t added = 0, removed = 0;
};

// The same numbers as src/render/text-diff.ts finds hunks for: a shortest
// edit, or all between the common ends when that is too long.
LineCounts countLines(std::string_view before, std::string_view after);

} // namespace agentfw
