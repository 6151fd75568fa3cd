// What a walk tells of contents, so that nobody has to open 20,000 files from
// JavaScript for their first bytes or their number of lines.
#pragma once

#include "entry.h"

namespace agentfw {

// The first bytes of a file whose content is new or differs; in Look::lines
// also how many lines it adds and removes. What can't be read is left out.
void lookInside(const Place &upper, const Place &base,
		const WalkOptions &options, Entry &entry);

} // namespace agentfw
