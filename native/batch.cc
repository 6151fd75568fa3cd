// Lands many simple steps of a commit in one call: the rename with the checks
// before and after it that src/changes/apply/land.ts makes one by one. Whatever is
// not as expected is left (or put back) as it was and reported, and TypeScript
// does that step again in its own way: no step is decided here.
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "addon.h"
#include "filestat.h"
#include "retry.h"
#include "xattrs.h"

namespace agentfw {

static const unsigned NO_REPLACE = 1, EXCHANGE = 2;

enum Act : uint32_t { PLACE, SWAP, TAKE };
enum StepFlag : uint32_t { CLEAN = 1, KEEP_CAPABILITY = 2, OVER_WHITEOUT = 4 };
enum Status : uint8_t { UNTOUCHED, DONE, UNUSUAL };

struct Ident {
	uint64_t ino, size;
	int64_t mtime;
	uint32_t format, unused;
};

// src/changes/apply/batch.ts packs these; `other` is the place in the layer or the vault.
struct PackedStep {
	uint32_t act, flags;
	int32_t hostAt, otherAt;
	uint32_t hostName, otherName;
	Ident fresh, old;
};
static_assert(sizeof(PackedStep) == 88, "batch.ts packs 88 bytes");

struct Batch {
	const PackedStep *steps;
	const char *names;
	const uint32_t *lanes;
	size_t laneCount;
	uint8_t *status;
	std::atomic<size_t> nextLane{0};
	std::atomic<int64_t> renamesLeft;
};

static bool isIdent(int at, const char *name, const Ident &ident)
{
	FileStat now;
	return statAt(at, name, now) == 0 && now.ino == ident.ino &&
	       (now.mode & S_IFMT) == ident.format && now.size == ident.size &&
	       now.mtime == ident.mtime;
}

static bool isAbsent(int at, const char *name)
{
	FileStat now;
	return statAt(at, name, now) < 0 && errno == ENOENT;
}

static bool isWhiteout(int at, const char *name)
{
	FileStat now;
	return statAt(at, name, now) == 0 && S_ISCHR(now.mode) && now.rdev == 0;
}

static int rename2(int fromAt, const char *from, int toAt, const char *to,
		   unsigned flags)
{
	return syscall(SYS_renameat2, fromAt, from, toAt, to, flags);
}

static bool isMark(const char *key)
{
	return !strncmp(key, "user.overlay.", 13) ||
	       !strncmp(key, "trusted.overlay.", 16);
}

// False when there is something that only TypeScript may take off.
static bool cleanFresh(int at, const char *name, uint32_t flags)
{
	std::string names;
	if (!(flags & CLEAN))
		return true;
	if (readXattrNames(at, name, names) < 0)
		return false;
	const char *end = names.data() + names.size();
	for (const char *key = names.data(); key < end; key += strlen(key) + 1)
		if (!strcmp(key, "security.capability") &&
		    !(flags & KEEP_CAPABILITY))
			return false;
	for (const char *key = names.data(); key < end; key += strlen(key) + 1)
		if (isMark(key) && removeXattrAt(at, name, key) < 0)
			return false;
	return true;
}

static Status place(const PackedStep &step, const char *host, const char *other)
{
	if (!isAbsent(step.hostAt, host) ||
	    !isIdent(step.otherAt, other, step.fresh) ||
	    !cleanFresh(step.otherAt, other, step.flags) ||
	    rename2(step.otherAt, other, step.hostAt, host, NO_REPLACE) < 0)
		return UNUSUAL;
	return DONE;
}

static Status swap(const PackedStep &step, const char *host, const char *other)
{
	if (!isIdent(step.otherAt, other, step.fresh) ||
	    !cleanFresh(step.otherAt, other, step.flags) ||
	    !isIdent(step.hostAt, host, step.old) ||
	    rename2(step.otherAt, other, step.hostAt, host, EXCHANGE) < 0)
		return UNUSUAL;
	if (isIdent(step.otherAt, other, step.old))
		return DONE;
	rename2(step.otherAt, other, step.hostAt, host, EXCHANGE);
	return UNUSUAL;
}

static Status take(const PackedStep &step, const char *host, const char *other)
{
	bool over = step.flags & OVER_WHITEOUT;
	if (over ? !isWhiteout(step.otherAt, other)
		 : !isAbsent(step.otherAt, other))
		return UNUSUAL;
	if (!isIdent(step.hostAt, host, step.old) ||
	    rename2(step.hostAt, host, step.otherAt, other,
		    over ? 0 : NO_REPLACE) < 0)
		return UNUSUAL;
	if (isIdent(step.otherAt, other, step.old))
		return DONE;
	rename2(step.otherAt, other, step.hostAt, host, NO_REPLACE);
	if (over)
		mknodat(step.otherAt, other, S_IFCHR, 0);
	return UNUSUAL;
}

static Status land(const PackedStep &step, const char *names)
{
	const char *host = names + step.hostName, *other = names + step.otherName;
	switch (step.act) {
	case PLACE:
		return place(step, host, other);
	case SWAP:
		return swap(step, host, other);
	default:
		return take(step, host, other);
	}
}

// Lanes are taken as they come; the steps of one are done in order.
static void work(Batch &batch)
{
	for (;;) {
		size_t lane = batch.nextLane++;
		if (lane >= batch.laneCount)
			return;
		size_t from = lane == 0 ? 0 : batch.lanes[lane - 1];
		for (size_t i = from; i < batch.lanes[lane]; i++) {
			if (batch.renamesLeft-- <= 0)
				return;
			batch.status[i] = land(batch.steps[i], batch.names);
		}
	}
}

static void *helperMain(void *batch)
{
	work(*(Batch *)batch);
	return nullptr;
}

// Where no thread can be had (pids limit) the caller does it all.
static std::vector<pthread_t> startHelpers(Batch &batch, size_t count)
{
	std::vector<pthread_t> helpers;
	while (helpers.size() < count) {
		pthread_t helper;
		if (pthread_create(&helper, nullptr, helperMain, &batch))
			break;
		helpers.push_back(helper);
	}
	return helpers;
}

static Napi::Value LandBatch(const Napi::CallbackInfo &info)
{
	Batch batch;
	auto steps = info[0].As<Napi::Buffer<uint8_t>>();
	batch.steps = reinterpret_cast<const PackedStep *>(steps.Data());
	auto names = info[1].As<Napi::Buffer<char>>();
	batch.names = names.Data();
	auto lanes = info[2].As<Napi::Uint32Array>();
	batch.lanes = lanes.Data();
	batch.laneCount = lanes.ElementLength();
	auto status = info[3].As<Napi::Uint8Array>();
	batch.status = status.Data();
	size_t threads = info[4].As<Napi::Number>().Uint32Value();
	batch.renamesLeft = info[5].As<Napi::Number>().Int64Value();
	size_t most = std::min(threads, batch.laneCount);
	std::vector<pthread_t> helpers = startHelpers(batch, most ? most - 1 : 0);
	work(batch);
	for (pthread_t helper : helpers)
		pthread_join(helper, nullptr);
	return info.Env().Undefined();
}

void exportBatch(Napi::Env env, Napi::Object exports)
{
	exports.Set("landBatch", Napi::Function::New<LandBatch>(env));
}

} // namespace agentfw
