// Names that rules may be about, as a filter that many threads share.
#pragma once

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
	// Only printable ASCII, and no rule can be about it.
	bool isOrdinary(const char *name) const;
};

} // namespace agentfw
