// statx.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "addon.h"
#include "filestat.h"
#include "retry.h"
#include "value.h"

namespace agentfw {

static int64_t nanoseconds(const struct statx_timestamp &time)
{
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int statAt(int at, const char *name, FileStat &out)
{
	struct statx raw;
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
	if (!*name)
		flags |= AT_EMPTY_PATH;
	if (retry([&] {
		    return statx(at, name, flags,
				 STATX_BASIC_STATS | STATX_BTIME, &raw);
	    }) < 0)
		return -1;
	out.dev = makedev(raw.stx_dev_major, raw.stx_dev_minor);
	out.ino = raw.stx_ino;
	out.rdev = makedev(raw.stx_rdev_major, raw.stx_rdev_minor);
	out.size = raw.stx_size;
	out.blocks = raw.stx_blocks;
	out.atime = nanoseconds(raw.stx_atime);
	out.mtime = nanoseconds(raw.stx_mtime);
	out.ctime = nanoseconds(raw.stx_ctime);
	out.btime = raw.stx_mask & STATX_BTIME ? nanoseconds(raw.stx_btime) : 0;
	out.mode = raw.stx_mode;
	out.nlink = raw.stx_nlink;
	out.uid = raw.stx_uid;
	out.gid = raw.stx_gid;
	return 0;
}

// Fills the caller's eleven words, so that no object is made per call.
static Napi::Value Stat(const Napi::CallbackInfo &info)
{
	std::string name = bytesArg(info, 1);
	auto words = info[2].As<Napi::BigUint64Array>();
	FileStat out;
	if (statAt(intArg(info, 0), name.c_str(), out) < 0)
		return resultOut(info.Env(), -1);
	memcpy(words.Data(), &out, sizeof out);
	return resultOut(info.Env(), 0);
}

void exportStat(Napi::Env env, Napi::Object exports)
{
	exports.Set("stat", Napi::Function::New<Stat>(env));
}

} // namespace agentfw
