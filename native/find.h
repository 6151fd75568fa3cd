// A search of whole trees for names, by several threads.
#pragma once

#include <atomic>
#include <string>
#include <unordered_set>
#include <vector>

namespace agentfw {

// What may be of interest: more is told than is wanted, and never less.
struct NameFilter {
	// In lower case; endings begin with a dot, pieces stand anywhere.
	std::unordered_set<std::string> literals, endings;
	std::vector<std::string> pieces;

	// A name with a byte beyond ASCII always may: folding it is not our job.
	bool mayMatch(const char *name, size_t length) const;
};

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
	int64_t unread = 0; // directories that the disk didn't give
};

FindResult findNames(const FindRequest &request);

} // namespace agentfw
