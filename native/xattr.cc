// Linux 6.13 has *xattrat; before that the only way to reach an entry of a
// directory fd without following it is /proc/self/fd/N/name. The fd itself goes
// through /proc always: with an empty name *xattrat refuses O_PATH.
#include "xattrs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "addon.h"
#include "lend.h"
#include "value.h"

namespace agentfw {

enum { SETXATTRAT = 463, GETXATTRAT = 464, LISTXATTRAT = 465, REMOVEXATTRAT = 466 };

struct XattrArgs {
	uint64_t value;
	uint32_t size;
	uint32_t flags;
};

// An invalid fd tells a kernel that has the call (EBADF) from one that lacks
// it or a container filter that refuses it.
static bool hasXattrAt()
{
	static const bool has =
		syscall(LISTXATTRAT, -1, "x", 0, nullptr, 0) == -1 &&
		errno == EBADF;
	return has;
}

static std::string procPath(int at, const char *name)
{
	if (at == AT_FDCWD)
		return *name ? name : ".";
	std::string path = "/proc/self/fd/" + std::to_string(at);
	return *name ? path + "/" + name : path;
}

ssize_t listXattrAt(int at, const char *name, char *out, size_t size)
{
	if (*name && hasXattrAt())
		return syscall(LISTXATTRAT, at, name, AT_SYMLINK_NOFOLLOW, out, size);
	std::string path = procPath(at, name);
	return *name ? llistxattr(path.c_str(), out, size)
		     : listxattr(path.c_str(), out, size);
}

ssize_t getXattrAt(int at, const char *name, const char *key, void *out,
		   size_t size)
{
	if (*name && hasXattrAt()) {
		XattrArgs args = { (uint64_t)(uintptr_t)out, (uint32_t)size, 0 };
		return syscall(GETXATTRAT, at, name, AT_SYMLINK_NOFOLLOW, key, &args,
			       sizeof args);
	}
	std::string path = procPath(at, name);
	return *name ? lgetxattr(path.c_str(), key, out, size)
		     : getxattr(path.c_str(), key, out, size);
}

static int setXattrAt(int at, const char *name, const char *key,
		      const void *value, size_t size)
{
	if (*name && hasXattrAt()) {
		XattrArgs args = { (uint64_t)(uintptr_t)value, (uint32_t)size, 0 };
		return syscall(SETXATTRAT, at, name, AT_SYMLINK_NOFOLLOW, key, &args,
			       sizeof args);
	}
	std::string path = procPath(at, name);
	return *name ? lsetxattr(path.c_str(), key, value, size, 0)
		     : setxattr(path.c_str(), key, value, size, 0);
}

static int plainRemove(int at, const char *name, const char *key)
{
	if (*name && hasXattrAt())
		return syscall(REMOVEXATTRAT, at, name, AT_SYMLINK_NOFOLLOW, key);
	std::string path = procPath(at, name);
	return *name ? lremovexattr(path.c_str(), key)
		     : removexattr(path.c_str(), key);
}

// Attributes of a file are under its mode: `call` again with it widened.
template <typename Call>
static int lending(int at, const char *name, Call call)
{
	int result = call(at, name);
	if (result >= 0 || errno != EACCES)
		return result;
	Lent lent(at, name, S_IRUSR | S_IWUSR);
	errno = EACCES;
	return lent.given() ? call(lent.fd(), "") : -1;
}

int removeXattrAt(int at, const char *name, const char *key)
{
	return lending(at, name, [&](int fd, const char *entry) {
		return plainRemove(fd, entry, key);
	});
}

// Calls `read` with a growing buffer, as the size may change between calls.
template <typename Read> static int readGrowing(Read read, std::string &out)
{
	char small[512];
	ssize_t length = read(small, sizeof small);
	if (length >= 0) {
		out.assign(small, length);
		return 0;
	}
	while (errno == ERANGE) {
		ssize_t size = read(nullptr, 0);
		if (size < 0)
			return -1;
		out.resize(size);
		length = read(out.data(), out.size());
		if (length >= 0) {
			out.resize(length);
			return 0;
		}
	}
	return -1;
}

int readXattr(int at, const char *name, const char *key, std::string &value)
{
	return readGrowing([&](char *out, size_t size) {
		return getXattrAt(at, name, key, out, size);
	}, value);
}

int readXattrNames(int at, const char *name, std::string &names)
{
	int result = readGrowing([&](char *out, size_t size) {
		return listXattrAt(at, name, out, size);
	}, names);
	if (result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
		names.clear();
		return 0;
	}
	return result;
}

int readXattrLent(int at, const char *name, const char *key,
		  std::string &value)
{
	return lending(at, name, [&](int fd, const char *entry) {
		return readXattr(fd, entry, key, value);
	});
}

// Each as name, NUL, length of the value, NUL, value: one call, as commits ask
// for those of every file.
static Napi::Value ReadXattrs(const Napi::CallbackInfo &info)
{
	int at = intArg(info, 0);
	std::string name = bytesArg(info, 1), names, value, packed;
	if (readXattrNames(at, name.c_str(), names) < 0)
		return resultOut(info.Env(), -1);
	for (size_t from = 0; from < names.size();) {
		const char *key = names.data() + from;
		from += strlen(key) + 1;
		if (readXattrLent(at, name.c_str(), key, value) == 0) {
			packed.append(key).push_back('\0');
			packed.append(std::to_string(value.size())).push_back('\0');
			packed.append(value);
		} else if (errno != ENODATA) {
			// (Removed since, or, on btrfs, listed but not for us.)
			return resultOut(info.Env(), -1);
		}
	}
	return bytesOut(info.Env(), packed.data(), packed.size());
}

static Napi::Value SetXattr(const Napi::CallbackInfo &info)
{
	auto value = info[3].As<Napi::Buffer<char>>();
	std::string name = bytesArg(info, 1), key = bytesArg(info, 2);
	return resultOut(info.Env(), lending(intArg(info, 0), name.c_str(),
					     [&](int at, const char *entry) {
		return setXattrAt(at, entry, key.c_str(), value.Data(),
				  value.Length());
	}));
}

static Napi::Value RemoveXattr(const Napi::CallbackInfo &info)
{
	return resultOut(info.Env(), removeXattrAt(intArg(info, 0),
						   bytesArg(info, 1).c_str(),
						   bytesArg(info, 2).c_str()));
}

void exportXattr(Napi::Env env, Napi::Object exports)
{
	exports.Set("readXattrs", Napi::Function::New<ReadXattrs>(env));
	exports.Set("setXattr", Napi::Function::New<SetXattr>(env));
	exports.Set("removeXattr", Napi::Function::New<RemoveXattr>(env));
}

} // namespace agentfw
