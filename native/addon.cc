// The export table. Only src/kernel/native.ts loads this addon; it has no
// policy, no state of its own and no words for users.
#include "addon.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports)
{
	agentfw::exportOpen(env, exports);
	agentfw::exportRead(env, exports);
	agentfw::exportStat(env, exports);
	agentfw::exportNode(env, exports);
	agentfw::exportRename(env, exports);
	agentfw::exportMeta(env, exports);
	agentfw::exportXattr(env, exports);
	agentfw::exportCopy(env, exports);
	agentfw::exportDomain(env, exports);
	agentfw::exportSync(env, exports);
	agentfw::exportWalk(env, exports);
	agentfw::exportFind(env, exports);
	agentfw::exportListing(env, exports);
	agentfw::exportBatch(env, exports);
	agentfw::exportProgram(env, exports);
	return exports;
}

NODE_API_MODULE(agentfw, Init)
