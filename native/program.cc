// Node's own file in our memory: pages that the start touched and nothing
// has since. They are the kernel's cache all the same, and come back from it.
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>

#include "addon.h"
#include "value.h"

namespace agentfw {

struct Mapping {
	unsigned long from, to, inode;
	char rights[5];
};

static bool isHead(const char *line, Mapping *m)
{
	Mapping said = {};

	if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &said.from, &said.to,
		   said.rights, &said.inode) != 4)
		return false;
	*m = said;
	return true;
}

// Private, never writable, and nobody has written to it: what is dropped of it is in the file, to the byte.
static bool isFile(const Mapping &m, unsigned long inode)
{
	return m.inode == inode && m.rights[1] == '-' && m.rights[3] == 'p';
}

// The bytes that were let go, resident or not.
static Napi::Value ForgetProgram(const Napi::CallbackInfo &info)
{
	struct stat self;
	double total = 0;
	FILE *f = stat("/proc/self/exe", &self) == 0 ? fopen("/proc/self/smaps", "re") : nullptr;
	Mapping m = {};
	char line[8192];

	while (f && fgets(line, sizeof line, f)) {
		unsigned long own;

		if (isHead(line, &m) || sscanf(line, "Anonymous: %lu kB", &own) != 1)
			continue;
		if (own == 0 && isFile(m, self.st_ino) &&
		    madvise(reinterpret_cast<void *>(m.from), m.to - m.from, MADV_DONTNEED) == 0)
			total += static_cast<double>(m.to - m.from);
	}
	if (f)
		fclose(f);
	return Napi::Number::New(info.Env(), total);
}

void exportProgram(Napi::Env env, Napi::Object exports)
{
	exports.Set("forgetProgram", Napi::Function::New<ForgetProgram>(env));
}

} // namespace agentfw
