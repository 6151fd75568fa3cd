// Starts a program without a copy of our page tables, which takes Node's
// child_process, that forks, several milliseconds and as many again when the
// memory is written to afterwards.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "addon.h"
#include "retry.h"
#include "value.h"

namespace agentfw {

// Above all numbers that a child gets: none is overwritten before it is used.
static const int ASIDE = 32;

static std::vector<char *> vectorOf(std::vector<std::string> &list)
{
	std::vector<char *> pointers;
	for (std::string &one : list)
		pointers.push_back(one.data());
	pointers.push_back(nullptr);
	return pointers;
}

// Node makes the terminal's description non-blocking, which the child shares.
static void makeBlocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && (flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

// Who started us may have ignored it: then there would be no status.
static void wantStatus()
{
	struct sigaction now;
	if (sigaction(SIGCHLD, nullptr, &now) == 0 && now.sa_handler == SIG_IGN)
		signal(SIGCHLD, SIG_DFL);
}

// The pid or an errno; no signal is blocked, ignored or handled in it.
static int start(const char *path, char **argv, char **env,
		 const std::vector<int> &aside, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&how);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &all);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int error = 0;
	for (size_t i = 0; i < aside.size() && error == 0; i++)
		error = posix_spawn_file_actions_adddup2(&files, aside[i], static_cast<int>(i));
	if (error == 0)
		error = posix_spawn(pid, path, &files, &how, argv, env);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

// (path, argv, env, fds): the child's fd i is fds[i], and it has no others.
static Napi::Value SpawnProgram(const Napi::CallbackInfo &info)
{
	std::string path = bytesArg(info, 0);
	std::vector<std::string> argv = listArg(info, 1), env = listArg(info, 2);
	auto fds = info[3].As<Napi::Int32Array>();
	std::vector<int> aside;
	pid_t pid = -1;
	int error = 0;
	for (size_t i = 0; i < fds.ElementLength() && error == 0; i++) {
		if (i < 3)
			makeBlocking(fds[i]);
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, ASIDE);
		if (fd < 0)
			error = errno;
		else
			aside.push_back(fd);
	}
	wantStatus();
	if (error == 0)
		error = start(path.c_str(), vectorOf(argv).data(), vectorOf(env).data(), aside, &pid);
	for (int fd : aside)
		close(fd);
	return Napi::Number::New(info.Env(), error ? -error : pid);
}

// What wait(2) tells of it; -EAGAIN while it runs.
static Napi::Value ChildStatus(const Napi::CallbackInfo &info)
{
	int status = 0;
	pid_t pid = intArg(info, 0);
	pid_t got = retry([&] { return waitpid(pid, &status, WNOHANG); });
	return Napi::Number::New(info.Env(), got < 0 ? -errno : got == 0 ? -EAGAIN : status);
}

// Two connected ends, into the array.
static Napi::Value SocketPair(const Napi::CallbackInfo &info)
{
	auto ends = info[0].As<Napi::Int32Array>();
	return resultOut(info.Env(), socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.Data()));
}

void exportSpawn(Napi::Env env, Napi::Object exports)
{
	exports.Set("spawnProgram", Napi::Function::New<SpawnProgram>(env));
	exports.Set("childStatus", Napi::Function::New<ChildStatus>(env));
	exports.Set("socketPair", Napi::Function::New<SocketPair>(env));
}

} // namespace agentfw
