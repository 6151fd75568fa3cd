// Which entries are changes like very many others: what is to be said of one
// of them in a directory is to be said of all (src/changes/scan/crowd.ts).
#pragma once

#include "entry.h"

namespace agentfw {

// Says of fewer than could be, and never of more. Comes last.
void noteUsual(const WalkOptions &options, Entry &entry);

} // namespace agentfw
