// A search of whole trees for names, by several threads.
#pragma once

#include <atomic>
#include <string>
#include <unordered_set>
#include <vector>

#include "names.h"

namespace agentfw {

struct FindRequest {
	std::vector<std::string> roots;
	NameFilter filter;
	// Directories that are not entered: by name, and by path.
	std::unordered_set<std::string> skip, avoid;
	int64_t limit;
};

struct FindResult {
	std::string paths; // each ended by a NUL, in no order
	int64_t entries = 0, dirs = 0;
	std::string closed; // the user's own directories that they may not read or search, each ended by a NUL
	std::string unread; // directories that the disk didn't give, each ended by a NUL
};

// Throws nothing: what can't be read is told in the result. Ends its threads before it returns.
FindResult findNames(const FindRequest &request);

} // namespace agentfw
