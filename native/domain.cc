// What a rename doesn't lead out of though it is one mount: a directory that
// gives its project on, or one that encrypts what is in it.
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>

#include "addon.h"
#include "retry.h"
#include "value.h"

namespace agentfw {

static void addProject(int fd, std::string &domain)
{
	struct fsxattr of = {};
	if (ioctl(fd, FS_IOC_FSGETXATTR, &of) == 0 &&
	    (of.fsx_xflags & FS_XFLAG_PROJINHERIT))
		domain += "project " + std::to_string(of.fsx_projid);
}

static void addEncryption(int fd, std::string &domain)
{
	struct fscrypt_get_policy_ex_arg of = {};
	of.policy_size = sizeof of.policy;
	if (ioctl(fd, FS_IOC_GET_ENCRYPTION_POLICY_EX, &of) == 0)
		domain.append((const char *)&of.policy, of.policy_size);
}

// '' where it is neither, or can't be read: then the rename itself tells.
static Napi::Value Domain(const Napi::CallbackInfo &info)
{
	std::string domain;
	// The descriptor given may be one of O_PATH.
	int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC;
	int at = intArg(info, 0);
	int fd = retry([&] { return openat(at, ".", flags); });
	if (fd >= 0) {
		addProject(fd, domain);
		addEncryption(fd, domain);
		close(fd);
	}
	return bytesOut(info.Env(), domain.data(), domain.size());
}

void exportDomain(Napi::Env env, Napi::Object exports)
{
	exports.Set("domain", Napi::Function::New<Domain>(env));
}

} // namespace agentfw
