/*
 * Calls what must be refused, with arguments that could do no harm if it were
 * not, and prints what came of it: `name errno` per line. A call that reached
 * the kernel shows another errno than one that was stopped before it.
 * `try NAME…` makes these calls alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct attempt {
	const char *name;
	long (*call)(void);
};

static char byte;
static const struct iovec one_byte[1] = {{&byte, 1}};

#define TRY(name, expression)                                                  \
	static long try_##name(void)                                           \
	{                                                                      \
		return (long)(expression);                                     \
	}

TRY(socket_alg, socket(AF_ALG, SOCK_SEQPACKET, 0))
TRY(socket_vsock, socket(40, SOCK_STREAM, 0))
TRY(socket_packet, socket(AF_PACKET, SOCK_RAW, 0))
TRY(socket_bluetooth, socket(31, SOCK_RAW, 0))
TRY(socket_key, socket(15, SOCK_RAW, 2))
TRY(socket_xdp, socket(44, SOCK_RAW, 0))
TRY(socket_high, syscall(SYS_socket, 0x100000000L | AF_ALG, SOCK_SEQPACKET, 0))
TRY(socketpair_tipc, socketpair(30, SOCK_STREAM, 0, (int[2]){-1, -1}))
TRY(socketpair_generic, socketpair(AF_NETLINK, SOCK_RAW, 16, (int[2]){-1, -1}))
TRY(socket_mptcp, socket(AF_INET, SOCK_STREAM, 262))
TRY(socket_mptcp6, socket(AF_INET6, SOCK_STREAM, 262))
TRY(socket_audit, socket(AF_NETLINK, SOCK_RAW, 9))
TRY(socket_netfilter, socket(AF_NETLINK, SOCK_RAW, 12))
TRY(socket_raw, socket(AF_INET, SOCK_RAW, 1))
TRY(socket_unix, socket(AF_UNIX, SOCK_STREAM, 0))
TRY(socket_inet, socket(AF_INET, SOCK_STREAM, 0))
TRY(socket_route, socket(AF_NETLINK, SOCK_RAW, 0))
TRY(socket_diag, socket(AF_NETLINK, SOCK_RAW, 4))
TRY(tiocsti, ioctl(-1, TIOCSTI, "x"))
TRY(tiocsti_high, syscall(SYS_ioctl, -1, 0x100000000L | TIOCSTI, "x"))
TRY(tioclinux, ioctl(-1, TIOCLINUX, "x"))
TRY(tioclinux_high, syscall(SYS_ioctl, -1, 0x7fff00000000L | TIOCLINUX, "x"))
TRY(tiocsetd, ioctl(-1, TIOCSETD, "x"))
TRY(tiocexcl, ioctl(-1, TIOCEXCL, 0))
TRY(setpriority_job, setpriority(PRIO_PGRP, 0, 0))
TRY(setpriority_own, setpriority(PRIO_PROCESS, 0, 19))
TRY(ioprio_job, syscall(SYS_ioprio_set, 2, 0, 3 << 13))
TRY(ioprio_own, syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 5))
TRY(btrfs_snapshot, ioctl(-1, 0x50009401, 0))
TRY(btrfs_snapshot_v2, ioctl(-1, 0x50009417, 0))
TRY(bcachefs_subvolume, ioctl(-1, 0x4020bc10, 0))
TRY(fscrypt_remove_key, ioctl(-1, 0xc0406618, 0))
TRY(fscrypt_remove_key_all, ioctl(-1, 0xc0406619, 0))
TRY(kdskbent, ioctl(-1, 0x4b47, "x"))
TRY(kdskbsent, ioctl(-1, 0x4b49, "x"))
TRY(kdskbdiacr, ioctl(-1, 0x4b4b, "x"))
TRY(kdskbdiacruc, ioctl(-1, 0x4bfb, "x"))
TRY(kdsetkeycode, ioctl(-1, 0x4b4d, "x"))
TRY(kdsetmode, ioctl(-1, 0x4b3a, 1))
TRY(kdskbmode, ioctl(-1, 0x4b45, 4))
TRY(kdskbmute, ioctl(-1, 0x4b51, 1))
TRY(pio_font, ioctl(-1, 0x4b61, "x"))
TRY(pio_unimap, ioctl(-1, 0x4b67, "x"))
TRY(pio_scrnmap, ioctl(-1, 0x4b41, "x"))
TRY(pio_uniscrnmap, ioctl(-1, 0x4b6a, "x"))
TRY(pio_cmap, ioctl(-1, 0x4b71, "x"))
TRY(kdfontop, ioctl(-1, 0x4b72, "x"))
TRY(setlease, fcntl(-1, F_SETLEASE, F_RDLCK))
TRY(setlease_high, syscall(SYS_fcntl, -1, 0x100000000L | F_SETLEASE, F_WRLCK))
TRY(setdeleg, fcntl(-1, 1040, 0))
TRY(dupfd, fcntl(-1, F_DUPFD, 0))
TRY(tiocgwinsz, ioctl(-1, TIOCGWINSZ, 0))
TRY(io_uring_setup, syscall(425, 0, 0))
TRY(io_uring_enter, syscall(426, -1, 0, 0, 0, 0, 0))
TRY(io_uring_register, syscall(427, -1, 0, 0, 0))
TRY(keyctl, syscall(SYS_keyctl, 0, -3, 0))
TRY(keyctl_join, syscall(SYS_keyctl, 1, NULL))
TRY(add_key, syscall(SYS_add_key, "user", "x", "x", 1, 0))
TRY(request_key, syscall(SYS_request_key, "user", "x", 0, 0))
TRY(bpf, syscall(SYS_bpf, -1, 0, 0))
TRY(perf_event_open, syscall(SYS_perf_event_open, 0, 0, -1, -1, 0))
TRY(userfaultfd, syscall(SYS_userfaultfd, ~0))
TRY(kexec_load, syscall(SYS_kexec_load, 0, ~0UL, 0, ~0UL))
TRY(kexec_file_load, syscall(SYS_kexec_file_load, -1, -1, 0, 0, ~0UL))
TRY(init_module, syscall(SYS_init_module, 0, 0, 0))
TRY(finit_module, syscall(SYS_finit_module, -1, 0, 0))
TRY(delete_module, syscall(SYS_delete_module, 0, 0))
TRY(swapon, syscall(SYS_swapon, 0, 0))
TRY(swapoff, syscall(SYS_swapoff, 0))
TRY(reboot, syscall(SYS_reboot, 0, 0, 0, 0))
TRY(clock_settime, syscall(SYS_clock_settime, -1, 0))
TRY(settimeofday, syscall(SYS_settimeofday, 0, -1))
TRY(adjtimex, syscall(SYS_adjtimex, 0))
TRY(clock_adjtime, syscall(SYS_clock_adjtime, -1, 0))
TRY(quotactl, syscall(SYS_quotactl, -1, 0, 0, 0))
TRY(quotactl_fd, syscall(443, -1, 0, 0, 0))
TRY(name_to_handle_at, syscall(SYS_name_to_handle_at, -1, 0, 0, 0, 0))
TRY(open_by_handle_at, syscall(SYS_open_by_handle_at, -1, 0, 0))
TRY(lookup_dcookie, syscall(SYS_lookup_dcookie, 0, 0, 0))
TRY(kcmp, syscall(SYS_kcmp, getpid(), getpid(), -1, 0, 0))
TRY(acct, syscall(SYS_acct, "/nonexistent/x"))
TRY(syslog, syscall(SYS_syslog, 3, 0, 0))
TRY(vhangup, syscall(SYS_vhangup))
TRY(personality_get, syscall(SYS_personality, 0xffffffff))
TRY(personality_norandom, syscall(SYS_personality, 0x0040000))
#ifdef __x86_64__
TRY(modify_ldt, syscall(SYS_modify_ldt, -1, 0, 0))
TRY(iopl, syscall(SYS_iopl, 0))
TRY(uselib, syscall(SYS_uselib, 0))
TRY(ioperm, syscall(SYS_ioperm, 0, 0, 0))
TRY(x32, syscall(0x40000000 | SYS_getpid))
#endif
TRY(mount, mount("none", "/", "tmpfs", 0, ""))
TRY(remount_rw, mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0))
TRY(remount_usr_rw, mount(0, "/usr", 0, MS_REMOUNT | MS_BIND, 0))
TRY(bind, mount("/usr", "/tmp", 0, MS_BIND, 0))
TRY(move, mount("/work", "/tmp", 0, MS_MOVE, 0))
TRY(make_shared, mount(0, "/", 0, MS_SHARED, 0))
TRY(umount, umount2("/work", MNT_DETACH))
TRY(umount_proc, umount2("/proc", MNT_DETACH))
TRY(pivot_root, syscall(SYS_pivot_root, ".", "."))
TRY(chroot, chroot("/nonexistent/x"))
TRY(open_tree, syscall(428, AT_FDCWD, "/usr", 1))
TRY(move_mount, syscall(429, -1, "x", -1, "x", 0))
TRY(fsopen, syscall(430, "tmpfs", 0))
TRY(fsconfig, syscall(431, -1, 6, 0, 0, 0))
TRY(fsmount, syscall(432, -1, 0, 0))
TRY(fspick, syscall(433, -1, "x", 0))
TRY(open_tree_attr, syscall(467, -1, "x", 0, 0, 0))
TRY(mount_setattr, syscall(442, AT_FDCWD, "/usr", 0,
			   (uint64_t[4]){0, 1, 0, 0}, 32))
/* no process comes of it: the kernel wants CLONE_VM with that flag */
TRY(clone_mount, syscall(SYS_clone, CLONE_NEWNS | CLONE_SIGHAND, 0, 0, 0, 0))
TRY(clone_cgroup, syscall(SYS_clone, 0x02000000 | CLONE_SIGHAND, 0, 0, 0, 0))
TRY(unshare_time, unshare(0x80))
TRY(unshare_cgroup, unshare(0x02000000))
TRY(unshare_user, unshare(CLONE_NEWUSER))
TRY(unshare_mount, unshare(CLONE_NEWNS))
TRY(unshare_net, unshare(CLONE_NEWNET))
TRY(unshare_files, unshare(CLONE_FILES))
TRY(setns, syscall(SYS_setns, -1, 0))
TRY(clone3, syscall(435, 0, 0))
TRY(new_listener, syscall(SYS_seccomp, 1, 8, 0))
TRY(sethostname, sethostname("x", 1))
TRY(mknod_block, mknod("/tmp/try-block", S_IFBLK | 0600, 0x0801))
TRY(open_proc_sys, open("/proc/sys/kernel/core_pattern", O_WRONLY))
TRY(open_sysrq, open("/proc/sysrq-trigger", O_WRONLY))
TRY(open_kcore, open("/proc/kcore", O_RDONLY))
TRY(open_init_mem, open("/proc/1/mem", O_RDWR))
TRY(open_init_root, open("/proc/1/root/etc", O_RDONLY))
TRY(open_init_fd, open("/proc/1/fd/0", O_RDONLY))
TRY(open_init_environ, open("/proc/1/environ", O_RDONLY))
TRY(ptrace_init, syscall(SYS_ptrace, 0x4206 /* SEIZE */, 1, 0, 0))
TRY(vm_readv_init, syscall(SYS_process_vm_readv, 1, one_byte, 1, one_byte, 1, 0))
TRY(kill_init, kill(1, SIGKILL))
TRY(write_usr, open("/usr/agentfw-try", O_CREAT | O_WRONLY, 0600))
TRY(write_root, open("/agentfw-try", O_CREAT | O_WRONLY, 0600))

#define ROW(name) {#name, try_##name}

static const struct attempt attempts[] = {
	ROW(socket_alg), ROW(socket_vsock), ROW(socket_packet),
	ROW(socket_bluetooth), ROW(socket_key), ROW(socket_xdp),
	ROW(socket_high), ROW(socketpair_tipc), ROW(socketpair_generic),
	ROW(socket_mptcp), ROW(socket_mptcp6), ROW(socket_audit), ROW(socket_netfilter),
	ROW(socket_raw), ROW(socket_unix), ROW(socket_inet),
	ROW(socket_route), ROW(socket_diag), ROW(tiocsti), ROW(tiocsti_high),
	ROW(tioclinux), ROW(tioclinux_high), ROW(tiocsetd), ROW(kdskbent),
	ROW(tiocexcl), ROW(setpriority_job), ROW(setpriority_own),
	ROW(ioprio_job), ROW(ioprio_own),
	ROW(btrfs_snapshot), ROW(btrfs_snapshot_v2), ROW(bcachefs_subvolume),
	ROW(fscrypt_remove_key), ROW(fscrypt_remove_key_all),
	ROW(kdskbsent), ROW(kdskbdiacr), ROW(kdskbdiacruc),
	ROW(kdsetkeycode), ROW(kdsetmode), ROW(kdskbmode), ROW(kdskbmute),
	ROW(pio_font), ROW(pio_unimap), ROW(pio_scrnmap),
	ROW(pio_uniscrnmap), ROW(pio_cmap), ROW(kdfontop),
	ROW(setlease), ROW(setlease_high), ROW(setdeleg), ROW(dupfd), ROW(tiocgwinsz),
	ROW(io_uring_setup), ROW(io_uring_enter), ROW(io_uring_register),
	ROW(keyctl), ROW(keyctl_join), ROW(add_key), ROW(request_key), ROW(bpf),
	ROW(perf_event_open), ROW(userfaultfd), ROW(kexec_load), ROW(kexec_file_load),
	ROW(init_module), ROW(finit_module), ROW(delete_module), ROW(swapon), ROW(swapoff),
	ROW(reboot), ROW(clock_settime), ROW(settimeofday), ROW(adjtimex),
	ROW(clock_adjtime), ROW(quotactl), ROW(quotactl_fd),
	ROW(name_to_handle_at), ROW(open_by_handle_at), ROW(lookup_dcookie),
	ROW(kcmp), ROW(acct), ROW(syslog), ROW(vhangup),
	ROW(personality_get), ROW(personality_norandom),
#ifdef __x86_64__
	ROW(modify_ldt), ROW(iopl), ROW(uselib), ROW(ioperm), ROW(x32),
#endif
	ROW(mount), ROW(remount_rw), ROW(remount_usr_rw), ROW(bind),
	ROW(move), ROW(make_shared), ROW(umount), ROW(umount_proc),
	ROW(pivot_root), ROW(chroot), ROW(open_tree), ROW(open_tree_attr),
	ROW(move_mount), ROW(fsopen), ROW(fsconfig), ROW(fsmount), ROW(fspick),
	ROW(clone_mount), ROW(clone_cgroup), ROW(unshare_time), ROW(unshare_cgroup),
	ROW(mount_setattr), ROW(unshare_user), ROW(unshare_mount),
	ROW(unshare_net), ROW(unshare_files), ROW(setns), ROW(clone3),
	ROW(new_listener), ROW(sethostname), ROW(mknod_block),
	ROW(open_proc_sys), ROW(open_sysrq), ROW(open_kcore),
	ROW(open_init_mem), ROW(open_init_root), ROW(open_init_fd),
	ROW(open_init_environ), ROW(ptrace_init), ROW(vm_readv_init),
	ROW(kill_init), ROW(write_usr), ROW(write_root),
};

/* Each in its own process: some change the process that succeeds. */
static void attempt(const struct attempt *a)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		long result = a->call();

		printf("%s %s\n", a->name,
		       result == -1 ? strerrorname_np(errno) : "OK");
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static bool named(const char *name, char **words)
{
	while (*++words)
		if (strcmp(name, *words) == 0)
			return true;
	return false;
}

#ifdef __x86_64__
/* getpid by the 32-bit entry: must kill the process. */
static int compat(void)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
	return result > 0 ? 0 : 1;
}
#endif

int main(int argc, char **argv)
{
#ifdef __x86_64__
	if (argc == 2 && strcmp(argv[1], "compat") == 0)
		return compat();
#endif
	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		if (argc == 1 || named(attempts[i].name, argv))
			attempt(&attempts[i]);
	return 0;
}
