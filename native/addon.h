// What each subject adds to the exports.
#pragma once

#include <napi.h>

namespace agentfw {

// Functions and no state: what Node opens by them it closes by `close`.
void exportOpen(Napi::Env env, Napi::Object exports);
void exportRead(Napi::Env env, Napi::Object exports);
void exportStat(Napi::Env env, Napi::Object exports);
void exportNode(Napi::Env env, Napi::Object exports);
void exportRename(Napi::Env env, Napi::Object exports);
void exportMeta(Napi::Env env, Napi::Object exports);
void exportXattr(Napi::Env env, Napi::Object exports);
void exportCopy(Napi::Env env, Napi::Object exports);
void exportDomain(Napi::Env env, Napi::Object exports);
void exportSync(Napi::Env env, Napi::Object exports);
void exportWalk(Napi::Env env, Napi::Object exports);
void exportFind(Napi::Env env, Napi::Object exports);
void exportListing(Napi::Env env, Napi::Object exports);
void exportBatch(Napi::Env env, Napi::Object exports);
void exportProgram(Napi::Env env, Napi::Object exports);

} // namespace agentfw
