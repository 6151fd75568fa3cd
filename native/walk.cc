#include "walk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "meta.h"
#include "resolve.h"

namespace agentfw {

// Records are handed to JavaScript in pieces of about this size.
static const size_t CHUNK = 256 * 1024;
// How far helpers may run ahead of the consumer, in bytes.
static const size_t MOST_BACKLOG = 32 * 1024 * 1024;
// A small layer is done before a thread has started.
static const size_t WORTH_HELP = 4;
static const unsigned MOST_HELPERS = 4;

// Its own permissions may be among those that are lent.
int Walk::openTop(int upper)
{
	int fd = ::openat(upper, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 && errno == EACCES &&
			       options.unreadable == Unreadable::unlock
		       ? fcntl(upper, F_DUPFD_CLOEXEC, 0)
		       : fd;
}

int Walk::open(int upper, int base)
{
	rootUpper = openTop(upper);
	if (rootUpper < 0)
		return -1;
	if (base >= 0) {
		// Not by looking "." up in it: the user may not search it.
		rootBase = fcntl(base, F_DUPFD_CLOEXEC, 0);
		if (rootBase < 0)
			return -1;
	}
	Entry entry;
	Place above = { rootUpper, "" }, below = { rootBase, "" };
	if (readUpper(above, options, entry) < 0)
		return -1;
	if (rootBase >= 0 && readBase(below, entry) < 0)
		return -1;
	if (compareSides(above, below, options, entry) < 0)
		return -1;
	packEntry(entry, 0, "", rootRecord);
	auto root = std::make_shared<Dir>();
	root->stat = entry.upper;
	root->hasBase = rootBase >= 0;
	root->upper = openUpper(*root, rootUpper, "");
	if (root->upper < 0)
		return -1;
	heldFds++;
	if (rootBase >= 0) {
		// Without it everything would count as new.
		root->base = fcntl(rootBase, F_DUPFD_CLOEXEC, 0);
		if (root->base < 0)
			return -1;
		heldFds++;
	}
	cursors.push_back({ root });
	return 0;
}

// Destroys the rest of the tree without recursion.
static void release(std::shared_ptr<Dir> root)
{
	std::vector<std::shared_ptr<Dir>> dirs = { std::move(root) };
	while (!dirs.empty()) {
		auto dir = std::move(dirs.back());
		dirs.pop_back();
		for (auto &segment : dir->segments)
			for (auto &child : segment->children)
				if (child)
					dirs.push_back(std::move(child));
	}
}

Walk::~Walk()
{
	{
		std::lock_guard<std::mutex> guard(lock);
		stopping = true;
	}
	work.notify_all();
	for (pthread_t helper : helpers)
		pthread_join(helper, nullptr);
	pending.clear();
	while (!cursors.empty()) {
		release(std::move(cursors.back().dir));
		cursors.pop_back();
	}
	relock();
	if (rootUpper >= 0)
		close(rootUpper);
	if (rootBase >= 0)
		close(rootBase);
}

// "" is the directory itself, which "." could not be looked up in.
static int openLocked(int at, const std::string &path)
{
	return path.empty() ? fcntl(at, F_DUPFD_CLOEXEC, 0)
			    : openAt(at, path, O_PATH | O_DIRECTORY, 0, INSIDE);
}

// An agent can take its own permissions away (chmod 000 dir); without them
// its changes could be neither shown nor committed. The layer is ours, so they
// are lent for the time of the walk.
void Walk::unlock(const Dir &dir, int at, const std::string &path)
{
	int fd = openLocked(at, path);
	if (fd < 0)
		return;
	mode_t mode = dir.stat.mode & 07777;
	if (chmodAt(fd, "", mode | 0500) == 0) {
		std::lock_guard<std::mutex> guard(lock);
		unlocked.push_back({ dir.path(), mode });
	}
	close(fd);
}

void Walk::relock()
{
	for (size_t i = unlocked.size(); i-- > 0;) {
		int fd = openLocked(rootUpper, unlocked[i].path);
		if (fd < 0)
			continue;
		chmodAt(fd, "", unlocked[i].mode);
		close(fd);
	}
}

int Walk::openUpper(const Dir &dir, int at, const std::string &path)
{
	// Root needs no permission, and others can't lend what they don't own.
	bool lend = options.unreadable == Unreadable::unlock &&
		    (dir.stat.mode & 0500) != 0500 &&
		    dir.stat.uid == geteuid() && dir.stat.uid != 0;
	if (lend)
		unlock(dir, at, path);
	return openAt(at, path.empty() ? "." : path,
		      O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0, INSIDE);
}

void Walk::push(const std::vector<std::shared_ptr<Task>> &tasks)
{
	if (tasks.empty())
		return;
	std::lock_guard<std::mutex> guard(lock);
	// What the consumer has done itself is still in here.
	while (!pending.empty() &&
	       pending.back()->state != Task::State::queued)
		pending.pop_back();
	pending.insert(pending.end(), tasks.begin(), tasks.end());
	if (!triedHelpers && pending.size() >= WORTH_HELP)
		startHelpers();
	if (!helpers.empty())
		work.notify_all();
}

// Where no thread can be had (pids limit) the consumer does it all.
void Walk::startHelpers()
{
	triedHelpers = true;
	unsigned cores = std::thread::hardware_concurrency();
	unsigned wanted = std::clamp(cores, 1u, MOST_HELPERS);
	for (unsigned i = 0; i < wanted; i++) {
		pthread_t helper;
		if (pthread_create(&helper, nullptr, helperMain, this))
			break;
		helpers.push_back(helper);
	}
}

void *Walk::helperMain(void *walk)
{
	((Walk *)walk)->help();
	return nullptr;
}

void Walk::help()
{
	std::unique_lock<std::mutex> guard(lock);
	for (;;) {
		work.wait(guard, [&] {
			return stopping ||
			       (!pending.empty() && backlog < MOST_BACKLOG);
		});
		if (stopping)
			return;
		auto task = std::move(pending.back());
		pending.pop_back();
		if (task->state != Task::State::queued)
			continue;
		task->state = Task::State::running;
		guard.unlock();
		task->run(*this);
		guard.lock();
		finish(*task);
	}
}

// With the lock held.
void Walk::finish(Task &task)
{
	task.state = Task::State::done;
	task.counted = task.weight();
	backlog += task.counted;
	done.notify_all();
}

// The consumer needs this task: it does it, or waits for who has begun it.
int Walk::ensure(Task &task)
{
	std::unique_lock<std::mutex> guard(lock);
	if (task.state == Task::State::queued) {
		task.state = Task::State::running;
		guard.unlock();
		task.run(*this);
		guard.lock();
		task.state = Task::State::done;
	} else {
		done.wait(guard, [&] {
			return task.state == Task::State::done;
		});
	}
	return task.error;
}

int Walk::fail(const Dir &dir, const Task &task)
{
	failedPath = dir.path();
	if (!task.failedName.empty())
		failedPath += (failedPath.empty() ? "" : "/") + task.failedName;
	return -task.error;
}

// One step of the depth-first order: some records, and perhaps a directory to
// go into.
int Walk::advance(Cursor &cursor, std::string &chunk)
{
	Dir &dir = *cursor.dir;
	Segment &segment = *dir.segments[cursor.segment];
	if (ensure(segment))
		return fail(dir, segment);
	const std::string &records = segment.records;
	size_t start = cursor.offset;
	bool descend = false;
	while (!descend && cursor.offset < records.size() &&
	       chunk.size() + cursor.offset - start < CHUNK) {
		auto *head = (const RecordHead *)(records.data() + cursor.offset);
		cursor.offset += head->length;
		descend = head->flags & DIRECTORY;
	}
	chunk.append(records, start, cursor.offset - start);
	std::shared_ptr<Dir> child;
	if (descend)
		child = std::move(segment.children[cursor.child++]);
	if (cursor.offset == records.size()) {
		std::lock_guard<std::mutex> guard(lock);
		backlog -= segment.counted;
		std::string().swap(segment.records);
		cursor.segment++;
		cursor.offset = cursor.child = 0;
		work.notify_all();
	}
	if (child)
		cursors.push_back({ std::move(child) });
	return 0;
}

int Walk::next(std::string &chunk)
{
	chunk.append(rootRecord);
	rootRecord.clear();
	while (!cursors.empty() && chunk.size() < CHUNK) {
		Cursor &cursor = cursors.back();
		Dir &dir = *cursor.dir;
		if (ensure(dir))
			return fail(dir, dir);
		if (cursor.segment < dir.segments.size()) {
			int result = advance(cursor, chunk);
			if (result < 0)
				return result;
			continue;
		}
		std::lock_guard<std::mutex> guard(lock);
		backlog -= dir.counted;
		work.notify_all();
		cursors.pop_back();
	}
	return cursors.empty() ? 0 : 1;
}

} // namespace agentfw
