#include "entry.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "content.h"
#include "meta.h"
#include "xattrs.h"

namespace agentfw {

static bool startsWith(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

// What the overlay keeps for itself (escaped ones included), and labels that
// the system sets and no agent can.
static bool isHidden(const char *key)
{
	return startsWith(key, "user.overlay.") ||
	       startsWith(key, "trusted.overlay.") ||
	       !strcmp(key, "security.selinux") ||
	       !strcmp(key, "security.ima") || !strcmp(key, "security.evm");
}

static bool isAcl(const char *key)
{
	return startsWith(key, "system.posix_acl_");
}

static int readLink(const Place &place, std::string &target)
{
	char space[4096];
	ssize_t length = readlinkat(place.at, place.name, space, sizeof space);
	if (length < 0)
		return -1;
	target.assign(space, length);
	return 0;
}

// The kernel minds the mode of what a user.* attribute is on, and an agent may
// have taken it away.
static int readOurs(const Place &place, const WalkOptions &options,
		    const char *key, std::string &value)
{
	return options.unreadable == Unreadable::unlock
		       ? readXattrLent(place.at, place.name, key, value)
		       : readXattr(place.at, place.name, key, value);
}

// With it a commit needs no look of its own to know what a roll-back puts back.
static void noteOrigin(const Place &place, const WalkOptions &options,
		       const char *key, Entry &entry)
{
	bool only = entry.xattrNames.size() == strlen(key) + 1;
	if (S_ISREG(entry.upper.mode) && only &&
	    readOurs(place, options, key, entry.origin) == 0)
		entry.flags |= ORIGIN_ONLY;
}

// Only the kernel writes these marks: what a program inside sets under the
// same names is stored escaped.
static int readMarks(const Place &place, const WalkOptions &options,
		     Entry &entry)
{
	const char *family = options.trusted ? "trusted.overlay."
					     : "user.overlay.";
	std::string &names = entry.xattrNames, value;
	if (readXattrNames(place.at, place.name, names) < 0)
		return -1;
	if (names.empty())
		entry.flags |= NO_ATTRIBUTES;
	for (const char *key = names.data(); key < names.data() + names.size();
	     key += strlen(key) + 1) {
		if (!strcmp(key, "security.capability") && S_ISREG(entry.upper.mode))
			entry.flags |= CAPABLE;
		if (!startsWith(key, family))
			continue;
		const char *mark = key + strlen(family);
		if (!strcmp(mark, "origin")) {
			entry.flags |= COPIED_UP;
			if (options.origins)
				noteOrigin(place, options, key, entry);
		} else if (!strcmp(mark, "opaque") && (entry.flags & DIRECTORY) &&
			 readOurs(place, options, key, value) == 0 &&
			 value == "y")
			entry.flags |= OPAQUE;
		else if (!strcmp(mark, "redirect") && options.trusted &&
			 (entry.flags & DIRECTORY) &&
			 readOurs(place, options, key, value) == 0) {
			entry.flags |= HAS_REDIRECT;
			entry.redirect = value;
		}
	}
	return 0;
}

int readUpper(const Place &place, const WalkOptions &options, Entry &entry)
{
	if (statAt(place.at, place.name, entry.upper) < 0)
		return -1;
	mode_t mode = entry.upper.mode;
	if (S_ISCHR(mode) && entry.upper.rdev == 0) {
		entry.flags |= WHITEOUT;
		return 0;
	}
	if (S_ISDIR(mode))
		entry.flags |= DIRECTORY;
	if (S_ISLNK(mode)) {
		entry.flags |= HAS_TARGET;
		if (readLink(place, entry.target) < 0) {
			if (errno != EINVAL)
				return -1;
			// Another object took the name in between.
			entry = Entry();
			return readUpper(place, options, entry);
		}
	}
	return readMarks(place, options, entry);
}

int readBase(const Place &place, Entry &entry)
{
	if (statAt(place.at, place.name, entry.base) == 0) {
		entry.flags |= HAS_BASE;
		return 0;
	}
	// EACCES: a host directory that the user can't search, so nothing in it
	// can have been copied up either.
	if (errno == ENOENT || errno == ENOTDIR || errno == EACCES)
		return 0;
	return -1;
}

// O_NOATIME keeps the host untouched, but only owners may ask for it.
int openToRead(const Place &place)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	int fd = openat(place.at, place.name, flags | O_NOATIME);
	return fd < 0 && errno == EPERM ? openat(place.at, place.name, flags)
					: fd;
}

// An agent may have taken away its own read permission.
int openUpper(const Place &place, const WalkOptions &options,
	      const FileStat &stat)
{
	int fd = openToRead(place);
	if (fd >= 0 || errno != EACCES ||
	    options.unreadable != Unreadable::unlock ||
	    stat.uid != geteuid() || (stat.mode & (S_ISUID | S_ISGID)))
		return fd;
	mode_t mode = stat.mode & 07777;
	if (chmodAt(place.at, place.name, mode | 0400) < 0)
		return -1;
	fd = openToRead(place);
	chmodAt(place.at, place.name, mode);
	return fd;
}

static bool isSparse(const FileStat &stat)
{
	return stat.blocks * 512 < stat.size;
}

static int sameFile(const Place &upper, const Place &base,
		    const WalkOptions &options, const Entry &entry)
{
	const FileStat &stat = entry.upper;
	bool sparse = isSparse(stat) || isSparse(entry.base);
	int a = openUpper(upper, options, stat);
	int b = a < 0 ? -1 : openToRead(base);
	// Unreadable means not known to be equal, which is shown as different.
	int same = b < 0 ? 0 : sameContent(a, b, stat.size, sparse);
	// Another object took the name in between: a directory, say.
	if (same < 0 && (errno == EISDIR || errno == EINVAL || errno == EAGAIN))
		same = 0;
	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return same;
}

static int compareContent(const Place &upper, const Place &base,
			  const WalkOptions &options, Entry &entry)
{
	int same = 0;
	if (entry.upper.size != entry.base.size) {
		same = 0;
	} else if (S_ISREG(entry.upper.mode) && entry.upper.size == 0) {
		same = 1;
	} else if (S_ISREG(entry.upper.mode)) {
		if (!options.compare)
			return 0;
		same = sameFile(upper, base, options, entry);
	} else if (S_ISLNK(entry.upper.mode)) {
		std::string target;
		same = readLink(base, target) == 0 && target == entry.target;
	} else {
		return 0;
	}
	if (same < 0)
		return -1;
	entry.flags |= CONTENT_COMPARED | (same ? (uint32_t)SAME_CONTENT : 0u);
	return 0;
}

static std::vector<const char *> ownKeys(const std::string &names, bool acl)
{
	std::vector<const char *> keys;
	for (const char *key = names.data(); key < names.data() + names.size();
	     key += strlen(key) + 1)
		if (!isHidden(key) && isAcl(key) == acl)
			keys.push_back(key);
	std::sort(keys.begin(), keys.end(), [](const char *a, const char *b) {
		return strcmp(a, b) < 0;
	});
	return keys;
}

static bool sameAttributes(const Place &a, const std::string &aNames,
			   const Place &b, const std::string &bNames,
			   const WalkOptions &options, bool acl)
{
	auto left = ownKeys(aNames, acl), right = ownKeys(bNames, acl);
	if (left.size() != right.size())
		return false;
	std::string first, second;
	for (size_t i = 0; i < left.size(); i++) {
		if (strcmp(left[i], right[i]) ||
		    readOurs(a, options, left[i], first) < 0 ||
		    readXattr(b.at, b.name, right[i], second) < 0 ||
		    first != second)
			return false;
	}
	return true;
}

static int compareAttributes(const Place &upper, const Place &base,
			     const WalkOptions &options, Entry &entry)
{
	const std::string &ours = entry.xattrNames;
	std::string theirs;
	if (readXattrNames(base.at, base.name, theirs) < 0)
		return errno == ENOENT || errno == EACCES ? 0 : -1;
	entry.flags |= XATTRS_COMPARED;
	if (sameAttributes(upper, ours, base, theirs, options, false))
		entry.flags |= SAME_XATTRS;
	if (sameAttributes(upper, ours, base, theirs, options, true))
		entry.flags |= SAME_ACL;
	return 0;
}

int compareSides(const Place &upper, const Place &base,
		 const WalkOptions &options, Entry &entry)
{
	bool sameType = (entry.upper.mode & S_IFMT) == (entry.base.mode & S_IFMT);
	if (!(entry.flags & HAS_BASE) || (entry.flags & WHITEOUT) || !sameType)
		return 0;
	if (compareContent(upper, base, options, entry) < 0)
		return -1;
	return compareAttributes(upper, base, options, entry);
}

void packEntry(const Entry &entry, uint32_t depth, const char *name,
	       std::string &records)
{
	RecordHead head = {};
	head.flags = entry.flags;
	head.depth = depth;
	head.nameLength = strlen(name);
	bool mark = entry.flags & ORIGIN_ONLY; // of a file, which has no target
	const std::string &second = mark ? entry.origin : entry.target;
	head.targetLength = second.size();
	head.redirectLength = entry.redirect.size();
	head.added = entry.lines.added;
	head.removed = entry.lines.removed;
	bool both = entry.flags & HAS_BASE;
	size_t length = sizeof head + sizeof(FileStat) * (both ? 2 : 1) +
			head.nameLength + head.targetLength +
			head.redirectLength;
	head.length = (length + 7) & ~(size_t)7;
	records.append((const char *)&head, sizeof head);
	records.append((const char *)&entry.upper, sizeof entry.upper);
	if (both)
		records.append((const char *)&entry.base, sizeof entry.base);
	records.append(name, head.nameLength);
	records.append(second);
	records.append(entry.redirect);
	records.append(head.length - length, '\0');
}

} // namespace agentfw
