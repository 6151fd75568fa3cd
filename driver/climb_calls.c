/*
 * Attempts on the kernel. Arguments are wrong on purpose where the call would
 * do something: only a wall answers EPERM, EACCES or ENOSYS before the kernel
 * has looked at them.
 */
#define _GNU_SOURCE
#include "climb.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "ns.h"
#include "sys.h"

#define CALL(name, number, ...)                                                \
	static bool name(struct climb *c)                                      \
	{                                                                      \
		return climb_refused(c, syscall(number, __VA_ARGS__));         \
	}

CALL(bpf, SYS_bpf, 0, 0, 0)
CALL(perf, SYS_perf_event_open, 0, 0, 0, 0, 0)
CALL(userfault, SYS_userfaultfd, 0)
CALL(uring, SYS_io_uring_setup, 0, 0)
CALL(keyring, SYS_keyctl, 0, -3, 0, 0, 0) /* KEYCTL_GET_KEYRING_ID */
CALL(handle, SYS_open_by_handle_at, -1, 0, 0)
CALL(module, SYS_finit_module, -1, "", 0)
CALL(swap, SYS_swapoff, "")
CALL(restart, SYS_reboot, 0, 0, 0, 0) /* the magic is wrong */
CALL(clock_set, SYS_clock_settime, -1, 0)
CALL(kernel_log, SYS_syslog, 10, 0, 0) /* the size of its buffer */
CALL(mount_new, SYS_mount, "none", "/", "agentfw-none", 0, 0)
CALL(unmount, SYS_umount2, "keep.txt", 0) /* nothing is mounted there */
CALL(clone_tree, NR_open_tree, -1, "/", K_OPEN_TREE_CLONE)

static bool family(struct climb *c, int number, int type, int protocol)
{
	AUTO_FD int fd = socket(number, type, protocol);
	int why = errno;
	bool refused = climb_refused(c, fd);

	return refused || (fd < 0 && why == EAFNOSUPPORT);
}

static bool crypto(struct climb *c)
{
	return family(c, AF_ALG, SOCK_SEQPACKET, 0);
}

static bool machine(struct climb *c)
{
	return family(c, AF_VSOCK, SOCK_STREAM, 0);
}

static bool packets(struct climb *c)
{
	return family(c, AF_PACKET, SOCK_RAW, 0);
}

static bool raw(struct climb *c)
{
	return family(c, AF_INET, SOCK_RAW, 1);
}

static bool firewall(struct climb *c)
{
	return family(c, AF_NETLINK, SOCK_RAW, 12); /* NETLINK_NETFILTER */
}

/* With a pointer to nowhere, so that nothing is typed where it gets through. */
static bool terminal(struct climb *c)
{
	return climb_refused(c, ioctl(0, TIOCSTI, NULL)) &&
	       climb_refused(c, ioctl(0, TIOCLINUX, NULL));
}

/* Where nothing can be made absent, /dev/null lies over it. */
static bool covered(int fd)
{
	struct stat of;

	return fd >= 0 && fstat(fd, &of) == 0 && S_ISCHR(of.st_mode) &&
	       of.st_rdev == makedev(1, 3);
}

/* What is not there can't be opened either. */
static bool closed(struct climb *c, const char *const *paths, int flags)
{
	for (; *paths; paths++) {
		AUTO_FD int fd = open(*paths, flags | O_CLOEXEC | O_NONBLOCK);
		int why = errno;

		if (climb_refused(c, fd) || covered(fd) ||
		    (fd < 0 && (why == ENOENT || why == EROFS || why == ENXIO)))
			continue;
		snprintf(c->detail, sizeof(c->detail), "%s: %s", *paths,
			 fd >= 0 ? "opened" : strerror(why));
		return false;
	}
	return true;
}

static bool settings(struct climb *c)
{
	static const char *const paths[] = {
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
		"/proc/sys/vm/drop_caches", "/proc/sysrq-trigger",
		"/sys/kernel/uevent_helper", "/sys/power/state",
		"/sys/kernel/mm/transparent_hugepage/enabled", NULL};

	return closed(c, paths, O_WRONLY);
}

static bool devices(struct climb *c)
{
	static const char *const paths[] = {
		"/dev/mem",  "/dev/kmsg", "/proc/kcore", "/dev/sda",
		"/dev/vda",  "/dev/kvm",  "/dev/fuse",   "/dev/loop-control",
		"/dev/tty0", NULL};

	return closed(c, paths, O_RDONLY) &&
	       climb_refused(c, mknod("climb.dev", S_IFBLK | 0600,
				      makedev(8, 0)));
}

/* What root of a namespace of the agent's own could undo. */
static bool nested(struct climb *c)
{
	unsigned uid = getuid();
	char map[32];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return climb_refused(c, -1);
	snprintf(map, sizeof(map), "0 %u 1", uid);
	(void)!write_file(AT_FDCWD, "/proc/self/uid_map", map);
	if (umount2(c->store, MNT_DETACH) == 0 ||
	    umount2("/proc", MNT_DETACH) == 0 ||
	    mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND, NULL) == 0)
		return climb_refused(c, 0);
	/* EINVAL is the kernel's word for a mount that is locked. */
	snprintf(c->detail, sizeof(c->detail), "%s", strerror(errno));
	return true;
}

static bool enter_namespace(struct climb *c)
{
	AUTO_FD int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);

	return climb_refused(c, fd < 0 ? -1 : setns(fd, 0));
}

/* The value of a line of /proc/self/status, as hexadecimal. */
static unsigned long long status_bits(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : ~0ull;
}

/*
 * NET_ADMIN, NET_RAW, SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_ADMIN, SYS_BOOT,
 * SYS_TIME, MKNOD, SYSLOG, PERFMON, BPF.
 */
static const int forbidden[] = {12, 13, 16, 17, 19, 21,
				22, 25, 27, 34, 38, 39};

static bool capabilities(struct climb *c)
{
	char text[4096];
	unsigned long long held;

	if (read_file(AT_FDCWD, "/proc/self/status", text, sizeof(text)) < 0)
		return false;
	held = status_bits(text, "CapEff:\t") | status_bits(text, "CapBnd:\t");
	snprintf(c->detail, sizeof(c->detail), "0x%llx", held);
	for (size_t i = 0; i < COUNT(forbidden); i++)
		if (held >> forbidden[i] & 1)
			return false;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static bool core(struct climb *c)
{
	struct rlimit limit;

	(void)c;
	return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0;
}

static bool read_only(struct climb *c)
{
	struct statvfs of;

	(void)c;
	return statvfs("/sys", &of) == 0 && (of.f_flag & ST_RDONLY) != 0;
}

const struct climb_row climb_calls[] = {
	{"kernel.bpf", bpf},
	{"kernel.perf", perf},
	{"kernel.userfaultfd", userfault},
	{"kernel.io_uring", uring},
	{"kernel.keyring", keyring},
	{"kernel.handles", handle},
	{"kernel.modules", module},
	{"kernel.swap", swap},
	{"kernel.reboot", restart},
	{"kernel.clock", clock_set},
	{"kernel.log", kernel_log},
	{"kernel.settings", settings},
	{"kernel.sysfs", read_only},
	{"kernel.devices", devices},
	{"sockets.crypto", crypto},
	{"sockets.vsock", machine},
	{"sockets.packet", packets},
	{"sockets.raw", raw},
	{"sockets.netfilter", firewall},
	{"mounts.new", mount_new},
	{"mounts.unmount", unmount},
	{"mounts.clone", clone_tree},
	{"mounts.nested", nested},
	{"mounts.enter", enter_namespace},
	{"privileges.capabilities", capabilities},
	{"privileges.core", core},
	{"terminal.inject", terminal},
	{NULL, NULL},
};
