/* Namespaces: making them, mapping ids, holding them open for `enter`. */
#define _GNU_SOURCE
#include "ns.h"

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "sys.h"

const struct ns_kind ns_kinds[] = {
	{NS_FD_USER, CLONE_NEWUSER, "user"},
	{NS_FD_PID, CLONE_NEWPID, "pid"},
	{NS_FD_MNT, CLONE_NEWNS, "mnt"},
	{NS_FD_IPC, CLONE_NEWIPC, "ipc"},
	{NS_FD_UTS, CLONE_NEWUTS, "uts"},
	{NS_FD_NET, CLONE_NEWNET, "net"},
	{NS_FD_CGROUP, K_CLONE_NEWCGROUP, "cgroup"},
};
const size_t ns_nkinds = COUNT(ns_kinds);

static bool sysctl_is(const char *path, char value)
{
	char text[32];

	return read_file(AT_FDCWD, path, text, sizeof(text)) > 0 &&
	       text[0] == value;
}

/* Each kind has a limit of its own, and all answer ENOSPC. */
static void hint_limit(struct fault *f)
{
	static const char *const limits[] = {
		"user.max_user_namespaces", "user.max_mnt_namespaces",
		"user.max_pid_namespaces",  "user.max_ipc_namespaces",
		"user.max_uts_namespaces",  "user.max_cgroup_namespaces",
		"user.max_net_namespaces"};

	for (size_t i = 0; i < COUNT(limits); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/sys/user/%s",
			 limits[i] + strlen("user."));
		if (!sysctl_is(path, '0'))
			continue;
		fault_hint(f, "Namespaces of this kind are switched off: set "
			      "%s=10000", limits[i]);
		return;
	}
	fault_hint(f, "The number of namespaces is limited: raise "
		      "user.max_user_namespaces, or those of the other kinds "
		      "(user.max_*_namespaces)");
}

void ns_hint(struct fault *f)
{
	if (sysctl_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
		      '1'))
		fault_hint(f, "AppArmor restricts user namespaces here: "
			      "install a profile that allows `userns` for "
			      "agentfw-driver, or set kernel."
			      "apparmor_restrict_unprivileged_userns=0");
	else if (sysctl_is("/proc/sys/kernel/unprivileged_userns_clone", '0'))
		fault_hint(f, "User namespaces are switched off: set "
			      "kernel.unprivileged_userns_clone=1");
	else if (sysctl_is("/proc/sys/user/max_user_namespaces", '0'))
		fault_hint(f, "User namespaces are switched off: set "
			      "user.max_user_namespaces=10000");
	else
		fault_hint(f, "In a container, its seccomp or LSM profile may "
			      "forbid namespaces, and below a chroot the "
			      "kernel does: run `agentfw doctor`");
}

static pid_t clone_as_fork(int flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static pid_t clone_into(int flags, int group)
{
	struct k_clone_args args = {
		.flags = (unsigned)flags | K_CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)group,
	};

	return (pid_t)syscall(NR_clone3, &args, sizeof(args));
}

bool ns_cgroup_is_due(const struct cgroup_way *way)
{
	return way->into >= 0 && !way->moved;
}

int ns_own_cgroup(struct fault *f)
{
	if (unshare((int)K_CLONE_NEWCGROUP))
		return fault_errno(f, "userns", "can't create a namespace of "
						"control groups");
	return 0;
}

pid_t ns_clone(const struct spec *s, struct cgroup_way *way, struct fault *f)
{
	int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
		    (int)K_CLONE_NEWCGROUP;
	pid_t pid;

	if (s->mode == MODE_USER)
		flags |= CLONE_NEWUSER;
	if (s->net != NET_HOST)
		flags |= CLONE_NEWNET;
	if (way->into >= 0) {
		/* A namespace made now would begin where we are. */
		pid = clone_into(flags & ~(int)K_CLONE_NEWCGROUP, way->into);
		if (pid >= 0)
			return pid;
		if (cgroup_move(way, f))
			return -1;
	}
	pid = clone_as_fork(flags);
	if (pid < 0 && s->mode == MODE_USER) {
		fault_errno(f, "userns", "can't create a user namespace");
		if (errno == ENOSPC)
			hint_limit(f);
		else
			ns_hint(f);
	} else if (pid < 0) {
		fault_errno(f, "userns", "can't create namespaces");
		if (errno == ENOSPC)
			hint_limit(f);
		else
			fault_hint(f, "Root mode needs CAP_SYS_ADMIN, which "
				      "a container seldom has: use user mode "
				      "there");
	}
	return pid;
}

pid_t ns_clone_inner(void)
{
	return clone_as_fork(CLONE_NEWUSER);
}

static int write_map(int dir, pid_t pid, const char *name, const char *text,
		     struct fault *f)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/%s", pid, name);
	if (write_file(dir, path, text) == 0)
		return 0;
	fault_errno(f, "userns", "can't write %s of the user namespace", name);
	if (errno == EPERM || errno == EACCES)
		ns_hint(f);
	return -1;
}

static int map_self(int proc, pid_t pid, const struct spec *s,
		    struct fault *f)
{
	char uids[64], gids[64];

	snprintf(uids, sizeof(uids), "%u %u 1\n", s->uid, s->uid);
	snprintf(gids, sizeof(gids), "%u %u 1\n", s->gid, s->gid);
	if (write_map(proc, pid, "setgroups", "deny", f))
		return -1;
	if (write_map(proc, pid, "uid_map", uids, f)) {
		/* To map the root of the namespace around takes it (Linux 5.12). */
		if (s->uid == 0 && strstr(f->text, strerror(EPERM)))
			fault_hint(f, "Root needs CAP_SETFCAP for that: give it "
				      "back (in a container --cap-add SETFCAP), "
				      "or start as a plain user");
		return -1;
	}
	return write_map(proc, pid, "gid_map", gids, f);
}

int ns_map_outer(pid_t child, const struct spec *s, struct fault *f)
{
	AUTO_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc < 0)
		return fault_errno(f, "userns", "can't open /proc");
	return map_self(proc, child, s, f);
}

int ns_map_inner(int proc, pid_t child, const struct spec *s, struct fault *f)
{
	static const char full[] = "0 0 4294967295\n";

	if (s->mode == MODE_USER)
		return map_self(proc, child, s, f);
	if (write_map(proc, child, "uid_map", full, f))
		return -1;
	return write_map(proc, child, "gid_map", full, f);
}

static int hold(pid_t pid, const struct ns_kind *k, int at, struct fault *f)
{
	AUTO_FD int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, k->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || dup3(fd, at, O_CLOEXEC) < 0)
		return fault_errno(f, "userns", "can't hold the %s namespace",
				   k->name);
	return 0;
}

/* Room above the usual soft limit; init was cloned and keeps its own. */
static int make_room(struct fault *f)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return fault_errno(f, "rlimit", "can't read the limit of "
						"descriptors");
	if (limit.rlim_cur > NS_FD_END)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max > NS_FD_END && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	fault(f, "rlimit", "the driver needs %d descriptors", NS_FD_END + 1);
	fault_hint(f, "Raise the hard limit: ulimit -Hn");
	return -1;
}

int ns_hold(pid_t init, const struct spec *s, struct fault *f)
{
	if (make_room(f))
		return -1;
	for (size_t i = 0; i < ns_nkinds; i++) {
		const struct ns_kind *k = &ns_kinds[i];

		if (k->fd == NS_FD_USER && s->mode == MODE_ROOT)
			continue;
		if (hold(init, k, k->fd, f))
			return -1;
	}
	return 0;
}

int ns_hold_inner(pid_t agent, struct fault *f)
{
	return hold(agent, &ns_kinds[0], NS_FD_INNER, f);
}

int ns_loopback_up(struct fault *f)
{
	AUTO_FD int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &ifr) < 0)
		return fault_errno(f, "net", "can't bring up loopback");
	return 0;
}
