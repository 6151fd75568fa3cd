#include "usual.h"

#include <sys/stat.h>

namespace agentfw {

static const mode_t PERMISSIONS = 07777, SET_ID = 06000, EXECUTE = 0111;

static bool isAlone(const FileStat &stat)
{
	return S_ISREG(stat.mode) && stat.nlink == 1;
}

static bool sameMetadata(const Entry &entry)
{
	const uint32_t same = XATTRS_COMPARED | SAME_XATTRS | SAME_ACL;
	const FileStat &upper = entry.upper, &base = entry.base;
	return ((upper.mode ^ base.mode) & PERMISSIONS) == 0 &&
	       upper.uid == base.uid && upper.gid == base.gid &&
	       (entry.flags & same) == same;
}

static bool isUsual(const Entry &entry)
{
	bool both = entry.flags & HAS_BASE;
	if (entry.flags & WHITEOUT)
		return both && isAlone(entry.base);
	// What is stripped when it lands is told by itself.
	if (!isAlone(entry.upper) || (entry.flags & CAPABLE) ||
	    (entry.upper.mode & SET_ID))
		return false;
	if (!both)
		return true;
	const uint32_t content = CONTENT_COMPARED | SAME_CONTENT;
	return isAlone(entry.base) && sameMetadata(entry) &&
	       (entry.flags & content) == CONTENT_COMPARED;
}

// The permissions of a changed file are those that it had.
static bool givesRights(const Entry &entry)
{
	mode_t bits = entry.flags & HAS_BASE ? SET_ID : SET_ID | EXECUTE;
	return entry.upper.mode & bits;
}

static bool isProgram(const Entry &entry)
{
	uint32_t program = entry.flags / PROGRAM & 7;
	return program && program != SCRIPT;
}

// Or nobody knows: sshfs has the content's whole seconds in the change's place
// (src/changes/conflict/judging.ts).
static bool isSince(const FileStat &base, int64_t before)
{
	return base.ctime >= before ||
	       (base.ctime == base.mtime && base.ctime % 1000000000 == 0);
}

static bool isHarmless(const WalkOptions &options, const Entry &entry)
{
	if ((entry.flags & HAS_BASE) && isSince(entry.base, options.before))
		return false;
	if (options.look == Look::lines &&
	    (entry.flags & (COUNTED | BINARY)) != COUNTED)
		return false;
	if (entry.flags & WHITEOUT)
		return true;
	// What came up from a base that is gone may be the host's deletion.
	if (!(entry.flags & HAS_BASE) && (entry.flags & COPIED_UP))
		return false;
	const uint32_t replaced = HAS_NUL | BASE_TEXT;
	return (entry.flags & LOOKED) && !givesRights(entry) &&
	       !isProgram(entry) && (entry.flags & replaced) != replaced;
}

// By the host since a time that was asked about: what came up from a base that
// is gone may be its deletion. Then it is told by itself.
static bool isTouched(const WalkOptions &options, const Entry &entry)
{
	if (options.before == INT64_MIN)
		return false;
	if (entry.flags & HAS_BASE)
		return isSince(entry.base, options.before);
	return entry.flags & COPIED_UP;
}

void noteUsual(const WalkOptions &options, Entry &entry)
{
	if (!isUsual(entry) || isTouched(options, entry))
		return;
	entry.flags |= USUAL;
	if (isHarmless(options, entry))
		entry.flags |= HARMLESS;
}

} // namespace agentfw
