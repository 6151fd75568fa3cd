// What a task of the walk does: list a directory, look at a segment of it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dirents.h"
#include "look.h"
#include "resolve.h"
#include "usual.h"
#include "walk.h"

namespace agentfw {

// Enough for every helper to have work from one big flat directory.
static const size_t SEGMENT = 256;
// Beyond this directories are opened by path, so that a wide tree can't use up
// the process's descriptors.
static const int MOST_HELD = 256;

Dir::~Dir()
{
	if (upper >= 0)
		close(upper);
	if (base >= 0)
		close(base);
}

size_t Dir::weight() const
{
	return sizeof *this + names.size() + sorted.size() * sizeof sorted[0] +
	       segments.size() * sizeof(Segment) +
	       (segments.empty() ? 0 : segments[0]->weight());
}

size_t Segment::weight() const
{
	return records.size() + children.size() * sizeof(Dir);
}

// Goes up the chain instead of recursing: trees may be thousands deep.
static std::string pathFrom(const Dir *dir, bool inBase)
{
	std::vector<const std::string *> parts;
	for (; dir->parent; dir = dir->parent) {
		if (inBase && !dir->redirect.empty()) {
			parts.push_back(&dir->redirect);
			break;
		}
		parts.push_back(&dir->name);
	}
	std::string path;
	for (size_t i = parts.size(); i-- > 0;) {
		path += *parts[i];
		if (i > 0)
			path += '/';
	}
	return path;
}

std::string Dir::path() const
{
	return pathFrom(this, false);
}

std::string Dir::basePath() const
{
	return pathFrom(this, true);
}

void Dir::closeFds(Walk &walk)
{
	for (int *fd : { &upper, &base }) {
		if (*fd < 0)
			continue;
		close(*fd);
		*fd = -1;
		walk.heldFds--;
	}
}

void Dir::segmentDone(Walk &walk)
{
	if (--remaining == 0)
		closeFds(walk);
}

// What the host doesn't have, or lets the user not search. Anything else (no
// descriptor left) is not known to be absent.
static bool isAbsent(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP ||
	       error == EACCES;
}

static int openDir(Dir &dir, Walk &walk)
{
	if (dir.upper < 0) {
		dir.upper = walk.openUpper(dir, walk.rootUpper, dir.path());
		if (dir.upper < 0)
			return -1;
		walk.heldFds++;
	}
	if (dir.hasBase && dir.base < 0) {
		dir.base = openAt(walk.rootBase, dir.basePath(),
				  O_PATH | O_DIRECTORY, 0, INSIDE);
		if (dir.base >= 0)
			walk.heldFds++;
		else if (isAbsent(errno))
			dir.hasBase = false;
		else
			return -1;
	}
	return 0;
}

static void sortNames(Dir &dir)
{
	const char *text = dir.names.data();
	for (size_t at = 0; at < dir.names.size(); at += strlen(text + at) + 1)
		dir.sorted.push_back(at);
	std::sort(dir.sorted.begin(), dir.sorted.end(),
		  [text](uint32_t a, uint32_t b) {
			  return strcmp(text + a, text + b) < 0;
		  });
}

void Dir::run(Walk &walk)
{
	if (openDir(*this, walk) < 0 || readNames(upper, names) < 0) {
		bool gone = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
		bool skipped = errno == EACCES &&
			       walk.options.unreadable == Unreadable::skip;
		if (!gone && !skipped)
			error = errno;
		names.clear();
	}
	sortNames(*this);
	for (size_t at = 0; at < sorted.size(); at += SEGMENT) {
		auto segment = std::make_shared<Segment>();
		segment->dir = this;
		segment->from = at;
		segment->to = std::min(at + SEGMENT, sorted.size());
		segments.push_back(std::move(segment));
	}
	remaining = segments.size();
	if (segments.empty()) {
		closeFds(walk);
		return;
	}
	if (segments.size() > 1)
		walk.push({ segments.begin() + 1, segments.end() });
	// The first one here and now: most directories have no second.
	Segment &first = *segments[0];
	first.state = Task::State::running;
	first.run(walk);
	first.state = Task::State::done;
}

// A redirect names the directory's place in the base: absolute from the
// layer's root, or a sibling's name.
static std::string redirectPath(const Dir &parent, const std::string &redirect)
{
	if (redirect[0] == '/')
		return redirect.substr(1);
	std::string above = parent.basePath();
	return above.empty() ? redirect : above + "/" + redirect;
}

static int lookAtBase(const Dir &dir, const char *name, Walk &walk, Entry &entry,
		      int &redirected)
{
	if (walk.rootBase < 0 || (entry.flags & WHITEOUT && dir.base < 0))
		return 0;
	if (!(entry.flags & HAS_REDIRECT))
		return dir.base < 0 ? 0 : readBase({ dir.base, name }, entry);
	entry.redirect = redirectPath(dir, entry.redirect);
	redirected = openAt(walk.rootBase, entry.redirect, O_PATH | O_DIRECTORY,
			    0, INSIDE);
	if (redirected < 0)
		return isAbsent(errno) ? 0 : -1;
	return readBase({ redirected, "" }, entry);
}

static std::shared_ptr<Dir> childOf(Dir &dir, const char *name,
				    const Entry &entry, Walk &walk,
				    int redirected)
{
	auto child = std::make_shared<Dir>();
	child->parent = &dir;
	child->name = name;
	child->redirect = entry.redirect;
	child->depth = dir.depth + 1;
	child->stat = entry.upper;
	child->hasBase = (entry.flags & HAS_BASE) && S_ISDIR(entry.base.mode);
	child->base = redirected;
	if (redirected >= 0)
		walk.heldFds++;
	if (walk.heldFds >= MOST_HELD)
		return child;
	child->upper = walk.openUpper(*child, dir.upper, name);
	if (child->upper >= 0)
		walk.heldFds++;
	if (child->hasBase && child->base < 0) {
		child->base = openat(dir.base, name, O_PATH | O_DIRECTORY |
				     O_NOFOLLOW | O_CLOEXEC);
		if (child->base >= 0)
			walk.heldFds++;
	}
	return child;
}

// Gone meanwhile; or in a directory of the host that may be listed and not
// searched (r--), of which no more can be told than of one that can't be read.
static bool isPassedOver(int error, const WalkOptions &options)
{
	return error == ENOENT ||
	       (error == EACCES && options.unreadable == Unreadable::skip);
}

static int lookAt(Segment &segment, const char *name, Walk &walk)
{
	Dir &dir = *segment.dir;
	Place upper = { dir.upper, name };
	Entry entry;
	int redirected = -1;
	if (readUpper(upper, walk.options, entry) < 0)
		return isPassedOver(errno, walk.options) ? 0 : -1;
	if (lookAtBase(dir, name, walk, entry, redirected) < 0)
		return -1;
	Place base = redirected >= 0 ? Place{ redirected, "" }
				     : Place{ dir.base, name };
	if (compareSides(upper, base, walk.options, entry) < 0 &&
	    errno != ENOENT)
		return -1;
	lookInside(upper, base, walk.options, entry);
	if (walk.names && walk.names->isOrdinary(name))
		entry.flags |= ORDINARY;
	noteUsual(walk.options, entry);
	packEntry(entry, dir.depth + 1, name, segment.records);
	if (entry.flags & DIRECTORY)
		segment.children.push_back(
			childOf(dir, name, entry, walk, redirected));
	return 0;
}

void Segment::run(Walk &walk)
{
	for (size_t i = from; i < to; i++) {
		const char *name = dir->names.data() + dir->sorted[i];
		if (lookAt(*this, name, walk) < 0) {
			error = errno;
			failedName = name;
			break;
		}
	}
	dir->segmentDone(walk);
	// Last in first out: reversed, so that the first child comes up first.
	walk.push({ children.rbegin(), children.rend() });
}

} // namespace agentfw
