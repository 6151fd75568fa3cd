// The parallel pre-order walk of a layer against the host.
//
// Work comes in tasks: list a directory, or look at a segment of its names.
// The consumer goes through the tree depth first and does whatever it needs
// next itself, unless a helper has begun it; helpers take the newest tasks,
// which are those the consumer needs soonest. So helpers only ever save time:
// without any the walk is the same, and no one can wait for a task that
// nobody has.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "entry.h"
#include "names.h"

namespace agentfw {

class Walk;

struct Task {
	enum class State { queued, running, done };
	State state = State::queued; // guarded by the walk's lock
	int error = 0;
	std::string failedName; // relative to the task's directory
	virtual ~Task() = default;
	virtual void run(Walk &walk) = 0;
	virtual size_t weight() const = 0; // bytes held until consumed
	size_t counted = 0; // of them in the backlog; 0 if the consumer ran it
};

struct Dir;

// Names [from, to) of a directory.
struct Segment : Task {
	Dir *dir = nullptr;
	size_t from = 0, to = 0;
	std::string records;
	std::vector<std::shared_ptr<Dir>> children; // in record order

	void run(Walk &walk) override;
	size_t weight() const override;
};

struct Dir : Task {
	Dir *parent = nullptr; // lives longer: the consumer holds it
	std::string name, redirect;
	uint32_t depth = 0;
	FileStat stat = {};
	int upper = -1, base = -1; // -1: to be opened by path
	bool hasBase = false;
	std::string names;
	std::vector<uint32_t> sorted; // offsets into `names`, by bytes
	std::vector<std::shared_ptr<Segment>> segments;
	std::atomic<size_t> remaining{ 0 }; // segments that still need the fds

	~Dir() override;
	void run(Walk &walk) override;
	size_t weight() const override;
	std::string path() const;
	std::string basePath() const; // differs below a redirect
	void segmentDone(Walk &walk);
	void closeFds(Walk &walk);
};

class Walk {
    public:
	Walk(const WalkOptions &options, std::unique_ptr<NameFilter> names)
		: options(options), names(std::move(names)) {}
	~Walk();

	// base may be -1. 0, or -1 and errno.
	int open(int upper, int base);
	// Appends records; 1 while there may be more, 0 at the end, -errno.
	int next(std::string &chunk);
	std::string failedPath;

	// For tasks:
	const WalkOptions options;
	const std::unique_ptr<NameFilter> names; // null: none is ordinary
	int rootUpper = -1, rootBase = -1;
	std::atomic<int> heldFds{ 0 };
	void push(const std::vector<std::shared_ptr<Task>> &tasks);
	int openUpper(const Dir &dir, int at, const std::string &path);

    private:
	int openTop(int upper);
	struct Cursor {
		std::shared_ptr<Dir> dir;
		size_t segment = 0, offset = 0, child = 0;
	};
	struct Unlocked {
		std::string path;
		mode_t mode;
	};
	std::mutex lock;
	std::condition_variable work, done;
	std::vector<std::shared_ptr<Task>> pending;
	std::vector<pthread_t> helpers;
	bool stopping = false, triedHelpers = false;
	size_t backlog = 0;
	std::vector<Cursor> cursors;
	std::string rootRecord;
	std::vector<Unlocked> unlocked;

	static void *helperMain(void *walk);
	void help();
	void startHelpers();
	void finish(Task &task);
	int ensure(Task &task);
	int advance(Cursor &cursor, std::string &chunk);
	int fail(const Dir &dir, const Task &task);
	void unlock(const Dir &dir, int at, const std::string &path);
	void relock();
};

} // namespace agentfw
