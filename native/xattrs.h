// Extended attributes relative to a directory fd, never following.
#pragma once

#include <cstddef>
#include <string>
#include <sys/types.h>

namespace agentfw {

// "" is `at` itself. All return -1 and errno on failure; sizes as l*xattr.
ssize_t listXattrAt(int at, const char *name, char *out, size_t size);
ssize_t getXattrAt(int at, const char *name, const char *key, void *out,
		   size_t size);

// 0, or -1 and errno.
int removeXattrAt(int at, const char *name, const char *key);

// The whole value, however big. 0, or -1 and errno.
int readXattr(int at, const char *name, const char *key, std::string &value);

// The same of what is ours, where its mode keeps us from it: that is widened
// for the look.
int readXattrLent(int at, const char *name, const char *key,
		  std::string &value);

// The NUL-ended names; none where the filesystem has no attributes.
int readXattrNames(int at, const char *name, std::string &names);

} // namespace agentfw
