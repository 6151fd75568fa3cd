#include "dirents.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>

#include "retry.h"

namespace agentfw {

// 32 KiB is what the C library uses; a larger buffer measured no faster.
static const size_t BATCH = 32 * 1024;

static void appendNames(const char *batch, long length, std::string &names)
{
	for (long at = 0; at < length;) {
		auto *entry = (const struct dirent64 *)(batch + at);
		at += entry->d_reclen;
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			names.append(entry->d_name, strlen(entry->d_name) + 1);
	}
}

int readNames(int fd, std::string &names)
{
	alignas(struct dirent64) char batch[BATCH];
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	for (;;) {
		long length = retry([&] {
			return syscall(SYS_getdents64, fd, batch, BATCH);
		});
		if (length <= 0)
			return length;
		appendNames(batch, length, names);
	}
}

} // namespace agentfw
