#include "look.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "lines.h"
#include "retry.h"

namespace agentfw {

// Enough for every magic number, and for git's own test for binary content.
static const size_t HEAD = 8000;
// Larger files count as binary, as in src/render/summary.ts.
static const uint64_t MOST_TEXT = 8 << 20;

// One file's bytes; kept by the thread, as most files are small.
struct Content {
	std::string bytes;
	bool read(int fd, uint64_t size);
	std::string_view head() const
	{
		return std::string_view(bytes).substr(0, HEAD);
	}
	bool binary() const
	{
		return head().find('\0') != std::string_view::npos;
	}
};

// Up to `size` bytes: a file that grows meanwhile is shown as it was listed.
// One that can't be read to its end is not taken for a shorter one.
bool Content::read(int fd, uint64_t size)
{
	if (fd < 0)
		return false;
	bytes.resize(size);
	size_t have = 0;
	ssize_t got = 1;
	while (have < size && got > 0) {
		got = retry([&] {
			return ::read(fd, &bytes[have], size - have);
		});
		if (got > 0)
			have += got;
	}
	bytes.resize(have);
	close(fd);
	return got >= 0;
}

static uint32_t programIn(std::string_view head)
{
	static const struct {
		Program program;
		std::string_view magic;
	} known[] = {
		{ ELF, { "\x7f" "ELF", 4 } },
		{ MACH_O, { "\xfe\xed\xfa\xce", 4 } },
		{ MACH_O, { "\xfe\xed\xfa\xcf", 4 } },
		{ MACH_O, { "\xce\xfa\xed\xfe", 4 } },
		{ MACH_O, { "\xcf\xfa\xed\xfe", 4 } },
		{ MACH_O, { "\xca\xfe\xba\xbe", 4 } },
		{ PE, { "MZ", 2 } },
		{ SCRIPT, { "#!", 2 } },
	};
	for (auto &one : known)
		if (head.substr(0, one.magic.size()) == one.magic)
			return one.program;
	return 0;
}

static bool isFile(const FileStat &stat)
{
	return S_ISREG(stat.mode);
}

static uint64_t wanted(const FileStat &stat, const WalkOptions &options)
{
	return options.look == Look::lines ? stat.size
					   : std::min<uint64_t>(stat.size, HEAD);
}

static bool tooLong(const FileStat &stat, const WalkOptions &options)
{
	return options.look == Look::lines && stat.size > MOST_TEXT;
}

// Both sides are read; a side that isn't there or is no file has no lines.
static void count(Entry &entry, bool readable, const Content &before,
		  const Content &after)
{
	entry.flags |= COUNTED;
	if (!readable || before.binary() || after.binary())
		entry.flags |= BINARY;
	else
		entry.lines = countLines(before.bytes, after.bytes);
}

static void lookAtDeletion(const Place &base, const WalkOptions &options,
			   Entry &entry)
{
	thread_local Content before, none;
	if (options.look != Look::lines || !(entry.flags & HAS_BASE) ||
	    !isFile(entry.base))
		return;
	bool readable = !tooLong(entry.base, options) &&
			before.read(openToRead(base), entry.base.size);
	count(entry, readable, before, none);
}

void lookInside(const Place &upper, const Place &base,
		const WalkOptions &options, Entry &entry)
{
	thread_local Content before, after;
	if (options.look == Look::no || (entry.flags & SAME_CONTENT))
		return;
	if (entry.flags & WHITEOUT)
		return lookAtDeletion(base, options, entry);
	if (!isFile(entry.upper))
		return;
	bool both = (entry.flags & HAS_BASE) && isFile(entry.base);
	bool large = tooLong(entry.upper, options) ||
		     (both && tooLong(entry.base, options));
	WalkOptions less = options;
	if (large)
		less.look = Look::head;
	bool readable = after.read(openUpper(upper, options, entry.upper),
				   wanted(entry.upper, less));
	before.bytes.clear();
	if (readable) {
		entry.flags |= LOOKED | programIn(after.head()) * PROGRAM;
		if (after.binary())
			entry.flags |= HAS_NUL;
	}
	if (both && (less.look == Look::lines || (entry.flags & HAS_NUL))) {
		bool old = before.read(openToRead(base), wanted(entry.base, less));
		if (old && !before.binary())
			entry.flags |= BASE_TEXT;
		readable = readable && old;
	}
	if (options.look == Look::lines)
		count(entry, readable && !large, before, after);
}

} // namespace agentfw
