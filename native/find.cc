#include "find.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "retry.h"

namespace agentfw {

static const size_t BATCH = 32 * 1024;
static const unsigned MOST_THREADS = 8;

namespace {

// Who: one thread per search and some helpers. All that is shared is behind
// `mutex`; a directory is read without it.
class Find {
public:
	explicit Find(const FindRequest &asked) : request(asked)
	{
		for (const std::string &root : asked.roots)
			queue.push_back(root);
	}

	FindResult run()
	{
		std::vector<pthread_t> helpers = startHelpers();
		work();
		for (pthread_t helper : helpers)
			pthread_join(helper, nullptr);
		return std::move(result);
	}

private:
	// What reading one directory came to.
	struct Found {
		std::vector<std::string> dirs;
		std::string paths, closed, unread;
		int64_t entries = 0;
	};

	std::vector<pthread_t> startHelpers()
	{
		unsigned cores = std::thread::hardware_concurrency();
		unsigned count = std::min(MOST_THREADS, std::max(4u, 2 * cores));
		std::vector<pthread_t> helpers;
		for (unsigned n = 1; n < count; n++) {
			pthread_t helper;
			if (pthread_create(&helper, nullptr, helperMain, this))
				break;
			helpers.push_back(helper);
		}
		return helpers;
	}

	static void *helperMain(void *self)
	{
		((Find *)self)->work();
		return nullptr;
	}

	void work()
	{
		pthread_mutex_lock(&mutex);
		for (;;) {
			while (queue.empty() && busy > 0)
				pthread_cond_wait(&changed, &mutex);
			if (queue.empty() || result.entries > request.limit)
				break;
			std::string dir = std::move(queue.back());
			queue.pop_back();
			busy++;
			pthread_mutex_unlock(&mutex);
			Found found;
			readDir(dir, found);
			pthread_mutex_lock(&mutex);
			busy--;
			take(found);
		}
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&mutex);
	}

	void take(Found &found)
	{
		result.entries += found.entries;
		result.dirs++;
		result.unread += found.unread;
		result.paths += found.paths;
		result.closed += found.closed;
		for (std::string &dir : found.dirs)
			queue.push_back(std::move(dir));
		if (busy == 0 || found.dirs.size() > 1)
			pthread_cond_broadcast(&changed);
		else if (!found.dirs.empty())
			pthread_cond_signal(&changed);
	}

	void readDir(const std::string &dir, Found &found)
	{
		int fd = retry([&] {
			return open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
		});
		// Without the right to search it, not even itself is found in it.
		if (fd < 0 ? errno == EACCES : faccessat(fd, ".", F_OK, 0) && errno == EACCES) {
			if (isOwn(dir))
				found.closed.append(dir.c_str(), dir.size() + 1);
			if (fd >= 0)
				close(fd);
			return;
		}
		alignas(struct dirent64) char batch[BATCH];
		long length = -1;
		while (fd >= 0 && (length = retry([&] { return syscall(SYS_getdents64, fd, batch, BATCH); })) > 0)
			for (long at = 0; at < length;) {
				auto *entry = (const struct dirent64 *)(batch + at);
				at += entry->d_reclen;
				seen(dir, fd, *entry, found);
			}
		if (length < 0 && errno != ENOENT && errno != ENOTDIR && errno != EACCES && errno != EPERM)
			found.unread.append(dir.c_str(), dir.size() + 1);
		if (fd >= 0)
			close(fd);
	}

	void seen(const std::string &dir, int fd, const struct dirent64 &entry, Found &found)
	{
		const char *name = entry.d_name;
		size_t length = strlen(name);
		if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
			return;
		found.entries++;
		bool enter = isDir(fd, entry) && !request.skip.count(std::string(name, length));
		bool told = request.filter.mayMatch(name, length);
		if (!enter && !told)
			return;
		std::string path = dir == "/" ? "/" : dir + "/";
		path.append(name, length);
		if (told)
			found.paths.append(path.c_str(), path.size() + 1);
		if (enter && !request.avoid.count(path))
			found.dirs.push_back(std::move(path));
	}

	// What others closed to the user is closed to the agent. What is the user's own an agent opens by chmod.
	static bool isOwn(const std::string &dir)
	{
		struct stat st;
		return lstat(dir.c_str(), &st) == 0 && st.st_uid == geteuid();
	}

	static bool isDir(int fd, const struct dirent64 &entry)
	{
		struct stat st;
		if (entry.d_type != DT_UNKNOWN)
			return entry.d_type == DT_DIR;
		// The filesystem gives no types.
		return fstatat(fd, entry.d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
	}

	const FindRequest &request;
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
	std::vector<std::string> queue;
	int busy = 0;
	FindResult result;
};

} // namespace

FindResult findNames(const FindRequest &request)
{
	return Find(request).run();
}

} // namespace agentfw
