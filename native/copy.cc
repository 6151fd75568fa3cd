// Whole contents: clone, copy that keeps holes, comparison that skips them.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "addon.h"
#include "content.h"
#include "retry.h"
#include "value.h"

namespace agentfw {

static const size_t BLOCK = 128 * 1024;
static const size_t SMALL = 16 * 1024;

// Where data begins at or after `from`; `size` when only a hole is left. A
// filesystem without holes answers EINVAL: then all is data.
static off_t dataFrom(int fd, off_t from, off_t size)
{
	off_t at = lseek(fd, from, SEEK_DATA);
	if (at >= 0)
		return std::min(at, size);
	return errno == ENXIO ? size : from;
}

static off_t holeFrom(int fd, off_t from, off_t size)
{
	off_t at = lseek(fd, from, SEEK_HOLE);
	return at > from ? std::min(at, size) : size;
}

// Reads until the block is full or the file ends.
static ssize_t readFull(int fd, char *out, size_t size, off_t at)
{
	size_t done = 0;
	while (done < size) {
		ssize_t count = retry([&] {
			return pread(fd, out + done, size - done, at + done);
		});
		if (count < 0)
			return -1;
		if (count == 0)
			break;
		done += count;
	}
	return done;
}

int sameContent(int a, int b, off_t size, bool sparse)
{
	// Nearly all files fit on the stack, where no memory has to be had.
	char small[2 * SMALL];
	std::unique_ptr<char[]> large;
	size_t block = std::min<off_t>(size, BLOCK);
	if (block > SMALL)
		large.reset(new char[2 * block]);
	char *first = large ? large.get() : small, *second = first + block;
	for (off_t at = 0; at < size;) {
		if (sparse && block == BLOCK)
			at = std::min(dataFrom(a, at, size),
				      dataFrom(b, at, size));
		size_t wanted = std::min<off_t>(block, size - at);
		ssize_t left = readFull(a, first, wanted, at);
		ssize_t right = left < 0 ? -1 : readFull(b, second, wanted, at);
		if (left < 0 || right < 0)
			return -1;
		if (left != right || memcmp(first, second, left))
			return 0;
		if (left < (ssize_t)wanted)
			break; // both shrank meanwhile
		at += left;
	}
	return 1;
}

static int writeFull(int fd, const char *data, size_t size, off_t at)
{
	for (size_t done = 0; done < size;) {
		ssize_t count = retry([&] {
			return pwrite(fd, data + done, size - done, at + done);
		});
		if (count < 0)
			return -1;
		done += count;
	}
	return 0;
}

// How far it came: not to the end where the source has become shorter. -1 and errno.
static off_t copyByHand(int src, int dst, off_t at, off_t end)
{
	std::unique_ptr<char[]> memory(new char[BLOCK]);
	while (at < end) {
		size_t size = std::min<off_t>(BLOCK, end - at);
		ssize_t have = readFull(src, memory.get(), size, at);
		if (have < 0 || writeFull(dst, memory.get(), have, at) < 0)
			return -1;
		if (have == 0)
			break;
		at += have;
	}
	return at;
}

// Errors that mean "not between these two files", not "the copy failed".
static bool cannotOffload(int error)
{
	return error == EXDEV || error == EINVAL || error == ENOSYS ||
	       error == EOPNOTSUPP || error == EPERM || error == EBADF;
}

static off_t copyRange(int src, int dst, off_t at, off_t end)
{
	while (at < end) {
		off_t in = at, out = at;
		ssize_t count = retry([&] {
			return copy_file_range(src, &in, dst, &out, end - at, 0);
		});
		if (count < 0 && !cannotOffload(errno))
			return -1;
		// Some filesystems report 0 although there is more (before 5.19).
		if (count <= 0)
			return copyByHand(src, dst, at, end);
		at += count;
	}
	return at;
}

// 0 cloned, 1 copied, -1 and errno.
static int copyContent(int src, int dst)
{
	if (ioctl(dst, FICLONE, src) == 0)
		return 0;
	struct stat status;
	if (fstat(src, &status) < 0)
		return -1;
	off_t size = status.st_size;
	for (off_t at = 0; at < size;) {
		at = dataFrom(src, at, size);
		off_t end = holeFrom(src, at, size);
		at = copyRange(src, dst, at, end);
		if (at < 0)
			return -1;
		if (at < end)
			size = at; // no zeros for what is no longer there
	}
	return ftruncate(dst, size) < 0 ? -1 : 1;
}

static Napi::Value Copy(const Napi::CallbackInfo &info)
{
	return resultOut(info.Env(),
			 copyContent(intArg(info, 0), intArg(info, 1)));
}

static Napi::Value SameBytes(const Napi::CallbackInfo &info)
{
	int a = intArg(info, 0), b = intArg(info, 1);
	struct stat left, right;
	if (fstat(a, &left) < 0 || fstat(b, &right) < 0)
		return resultOut(info.Env(), -1);
	if (left.st_size != right.st_size)
		return resultOut(info.Env(), 0);
	return resultOut(info.Env(), sameContent(a, b, left.st_size, true));
}

void exportCopy(Napi::Env env, Napi::Object exports)
{
	exports.Set("copy", Napi::Function::New<Copy>(env));
	exports.Set("sameBytes", Napi::Function::New<SameBytes>(env));
}

} // namespace agentfw
