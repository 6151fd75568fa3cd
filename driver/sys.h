/*
 * System calls and constants newer than the oldest libc we build against.
 * The numbers are the same on every architecture (all are >= 424).
 */
#ifndef AGENTFW_SYS_H
#define AGENTFW_SYS_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR_pidfd_send_signal 424
#define NR_open_tree 428
#define NR_move_mount 429
#define NR_fsopen 430
#define NR_fsconfig 431
#define NR_fsmount 432
#define NR_fspick 433
#define NR_pidfd_open 434
#define NR_clone3 435
#define NR_close_range 436
#define NR_openat2 437
#define NR_mount_setattr 442
#define NR_landlock_create_ruleset 444
#define NR_landlock_restrict_self 446

#define K_CLOEXEC O_CLOEXEC
#define K_OPEN_TREE_CLONE 1u
#define K_AT_RECURSIVE 0x8000u
#define K_AT_EMPTY_PATH 0x1000u
#define K_MOVE_EMPTY_PATHS 0x44u /* MOVE_MOUNT_{F,T}_EMPTY_PATH */
#define K_FSCONFIG_SET_STRING 1u
#define K_FSCONFIG_CMD_CREATE 6u
#define K_CLOSE_RANGE_CLOEXEC 4u

#define K_MOUNT_RDONLY 0x01u
#define K_MOUNT_NOSUID 0x02u
#define K_MOUNT_NODEV 0x04u
#define K_MOUNT_NOEXEC 0x08u

#define K_RESOLVE_NO_MAGICLINKS 0x02u
#define K_RESOLVE_NO_SYMLINKS 0x04u
#define K_RESOLVE_BENEATH 0x08u

#define K_CLONE_NEWTIME 0x00000080u
#define K_CLONE_NEWCGROUP 0x02000000u
#define K_CLONE_INTO_CGROUP 0x200000000ull

#define K_LANDLOCK_VERSION 1u
#define K_SCOPE_ABSTRACT 1u
#define K_SCOPE_SIGNAL 2u

struct k_open_how {
	uint64_t flags, mode, resolve;
};

struct k_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack,
		stack_size, tls, set_tid, set_tid_size, cgroup;
};

struct k_mount_attr {
	uint64_t set, clear, propagation, userns_fd;
};

struct k_landlock_attr {
	uint64_t fs, net, scoped;
};

static inline int sys_openat2(int dir, const char *path,
			      const struct k_open_how *how)
{
	return (int)syscall(NR_openat2, dir, path, how, sizeof(*how));
}

static inline int sys_open_tree(int dir, const char *path, unsigned flags)
{
	return (int)syscall(NR_open_tree, dir, path, flags);
}

static inline int sys_move_mount(int mount, int to)
{
	return (int)syscall(NR_move_mount, mount, "", to, "",
			    K_MOVE_EMPTY_PATHS);
}

static inline int sys_mount_setattr(int fd, unsigned flags,
				    const struct k_mount_attr *attr)
{
	return (int)syscall(NR_mount_setattr, fd, "", flags | K_AT_EMPTY_PATH,
			    attr, sizeof(*attr));
}

static inline int sys_close_range(unsigned first, unsigned flags)
{
	return (int)syscall(NR_close_range, first, ~0u, flags);
}

#endif
