// A file's identity and metadata in the layout that TypeScript decodes
// (src/kernel/packed.ts): eleven 64-bit words.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace agentfw {

struct FileStat {
	uint64_t dev, ino, rdev, size, blocks;
	int64_t atime, mtime, ctime, btime;
	uint32_t mode, nlink, uid, gid;
};
static_assert(sizeof(FileStat) == 88, "packed.ts decodes eleven words");

// Never follows; "" is `at` itself. 0, or -1 and errno.
int statAt(int at, const char *name, FileStat &out);

} // namespace agentfw
