/*
 * The system call filter: allow by default, refuse what no agent needs and
 * what would reach around the layers, the gate or the terminal.
 *
 * Read the tables at the end as the policy. Each refusal is an errno, so that
 * programs with a fallback go on. Arguments are 64 bits wide but the kernel
 * uses 32 of those that are compared here: only the low half is looked at.
 */
#define _GNU_SOURCE
#include "seccomp.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "sys.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#else
#error "no system call table for this architecture"
#endif

#define X32_BIT 0x40000000u
#define NAMESPACES                                                             \
	(CLONE_NEWNS | K_CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |       \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define NEW_LISTENER 8u
#define MPTCP 262u
#define TIOCSTI_ 0x5412u
#define TIOCLINUX_ 0x541cu
#define TIOCSETD_ 0x5423u
#define TIOCEXCL_ 0x540cu
/* <linux/btrfs.h>, and what bcachefs makes subvolumes and snapshots with */
#define BTRFS_SNAP_ 0x50009401u
#define BTRFS_SNAP_V2_ 0x50009417u
#define BCACHEFS_SUBVOLUME_ 0x4020bc10u
/* <linux/fscrypt.h>: for one's own user, and for all */
#define FSCRYPT_REMOVE_KEY_ 0xc0406618u
#define FSCRYPT_REMOVE_KEY_ALL_ 0xc0406619u
/* F_SETDELEG, leases of directories: Linux 6.19 */
#define SETDELEG_ 1040u
/* <linux/kd.h>: what a key of the console types */
#define KDSKBENT_ 0x4b47u
#define KDSKBSENT_ 0x4b49u
#define KDSKBDIACR_ 0x4b4bu
#define KDSKBDIACRUC_ 0x4bfbu
#define KDSETKEYCODE_ 0x4b4du
/* ... whether any types at all, and what letters and colours look like */
#define KDSETMODE_ 0x4b3au
#define KDSKBMODE_ 0x4b45u
#define KDSKBMUTE_ 0x4b51u
#define PIO_FONT_ 0x4b61u
#define PIO_UNIMAP_ 0x4b67u
#define PIO_SCRNMAP_ 0x4b41u
#define PIO_UNISCRNMAP_ 0x4b6au
#define PIO_CMAP_ 0x4b71u
#define KDFONTOP_ 0x4b72u

enum { PROGRAM_MAX = 512, MAX_WORDS = 9 };

struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short length;
};

/* How the argument decides; without a test the call is always refused. */
enum test { ALWAYS, IS_ONE_OF, IS_NONE_OF, HAS_BITS };

struct rule {
	long nr;
	int error;
	enum test test;
	int arg;
	unsigned words[MAX_WORDS];
	int nwords;
	unsigned when; /* only if argument 0 is this; 0: always */
};

static void emit(struct program *p, unsigned short code, uint32_t k,
		 unsigned char yes, unsigned char no)
{
	if (p->length < PROGRAM_MAX)
		p->code[p->length] = (struct sock_filter){code, yes, no, k};
	p->length++;
}

static void load(struct program *p, size_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void load_arg(struct program *p, int arg)
{
	/* little-endian: the low half comes first */
	load(p, offsetof(struct seccomp_data, args) + 8 * (size_t)arg);
}

static void answer(struct program *p, uint32_t verdict)
{
	emit(p, BPF_RET | BPF_K, verdict, 0, 0);
}

static void refuse(struct program *p, int error)
{
	answer(p, SECCOMP_RET_ERRNO | (uint32_t)error);
}

/* Skips `n` instructions unless the accumulator is k. */
static void unless(struct program *p, uint32_t k, int n)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, k, 0, (unsigned char)n);
}

static void emit_rule(struct program *p, const struct rule *r)
{
	int n = r->nwords;

	if (r->test == ALWAYS) {
		unless(p, (uint32_t)r->nr, 1);
		refuse(p, r->error);
		return;
	}
	/* load, n compares, refuse, restore; a condition is two more */
	unless(p, (uint32_t)r->nr, n + 3 + (r->when ? 2 : 0));
	if (r->when) {
		load_arg(p, 0);
		unless(p, r->when, n + 2);
	}
	load_arg(p, r->arg);
	for (int i = 0; i < n; i++) {
		int left = n - 1 - i;

		if (r->test == HAS_BITS)
			emit(p, BPF_JMP | BPF_JSET | BPF_K, r->words[i],
			     (unsigned char)left, left ? 0 : 1);
		else
			emit(p, BPF_JMP | BPF_JEQ | BPF_K, r->words[i],
			     (unsigned char)(r->test == IS_ONE_OF ? left
								  : left + 1),
			     r->test == IS_ONE_OF && !left ? 1 : 0);
	}
	refuse(p, r->error);
	load(p, offsetof(struct seccomp_data, nr));
}

#define NO(name, error) {SYS_##name, error, ALWAYS, 0, {0}, 0, 0}
#define NO_NR(nr, error) {nr, error, ALWAYS, 0, {0}, 0, 0}

/*
 * AF_ALG could write the page cache of a file that is only read, AF_VSOCK
 * reaches the hypervisor's host, MPTCP is no TCP to the gate.
 */
#define SOCKETS(call)                                                          \
	{call, EAFNOSUPPORT, IS_NONE_OF, 0,                                    \
	 {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}, 4, 0},                      \
	{call, EAFNOSUPPORT, IS_NONE_OF, 2, {0 /* ROUTE */, 4 /* SOCK_DIAG */},\
	 2, AF_NETLINK},                                                       \
	{call, EPROTONOSUPPORT, IS_ONE_OF, 2, {MPTCP}, 1, AF_INET},            \
	{call, EPROTONOSUPPORT, IS_ONE_OF, 2, {MPTCP}, 1, AF_INET6}

static const struct rule always[] = {
	SOCKETS(SYS_socket), SOCKETS(SYS_socketpair),
	/* the terminal: no typing into it, no line discipline, no key that
	 * types something else once the agent is gone, and nobody kept from
	 * opening it for as long as it lives */
	{SYS_ioctl, EPERM, IS_ONE_OF, 1,
	 {TIOCSTI_, TIOCLINUX_, TIOCSETD_, TIOCEXCL_, KDSKBENT_, KDSKBSENT_,
	  KDSKBDIACR_, KDSKBDIACRUC_, KDSETKEYCODE_}, 9, 0},
	/* nor a screen or keyboard that stays dead, or shows other letters */
	{SYS_ioctl, EPERM, IS_ONE_OF, 1,
	 {KDSETMODE_, KDSKBMODE_, KDSKBMUTE_, PIO_FONT_, PIO_UNIMAP_,
	  PIO_SCRNMAP_, PIO_UNISCRNMAP_, PIO_CMAP_, KDFONTOP_}, 9, 0},
	/* a lease on what is shared, or an input, holds up whoever opens
	 * it on the host for 45 s each time; filesystems without leases answer
	 * so too */
	{SYS_fcntl, EINVAL, IS_ONE_OF, 1, {F_SETLEASE, SETDELEG_}, 2, 0},
	/* a snapshot shows a subvolume as it is below all that covers parts
	 * of it here, and needs no more than to own its directory */
	{SYS_ioctl, EPERM, IS_ONE_OF, 1,
	 {BTRFS_SNAP_, BTRFS_SNAP_V2_, BCACHEFS_SUBVOLUME_}, 3, 0},
	/* the keys of encrypted directories are the user's, not a mount's: by
	 * any object of the filesystem, read-only too, they would be locked
	 * for the host */
	{SYS_ioctl, EPERM, IS_ONE_OF, 1,
	 {FSCRYPT_REMOVE_KEY_, FSCRYPT_REMOVE_KEY_ALL_}, 2, 0},
	/* one's own process group: that of the job outside, supervisor and
	 * all, who couldn't take it back */
	{SYS_setpriority, EPERM, IS_ONE_OF, 1, {0}, 1, 1 /* PRIO_PGRP */},
	{SYS_ioprio_set, EPERM, IS_ONE_OF, 1, {0}, 1, 2 /* WHO_PGRP */},
	/* 0 Linux, 8 LINUX32; ~0 asks */
	{SYS_personality, EPERM, IS_NONE_OF, 0, {0, 8, 0xffffffffu}, 3, 0},
	/* would reach sockets and files past every other rule */
	NO(io_uring_setup, ENOSYS), NO(io_uring_enter, ENOSYS),
	NO(io_uring_register, ENOSYS),
	/* its flags are in memory, where none can be compared, and it alone
	 * begins a process in another control group, out of all limits: by any
	 * descriptor of that, on a read-only mount too. libc falls back to clone */
	NO_NR(NR_clone3, ENOSYS),
	/* kernel state that no namespace divides */
	NO(add_key, EPERM), NO(request_key, EPERM),
	/* runc and crun begin a session keyring, and do without one if there
	 * is no such call */
	{SYS_keyctl, ENOSYS, IS_ONE_OF, 0, {1 /* JOIN_SESSION_KEYRING */}, 1, 0},
	NO(keyctl, EPERM),
	NO(bpf, EPERM), NO(perf_event_open, EPERM), NO(userfaultfd, EPERM),
	NO(kexec_load, EPERM),
#ifdef SYS_kexec_file_load
	NO(kexec_file_load, EPERM),
#endif
	NO(init_module, EPERM), NO(finit_module, EPERM),
	NO(delete_module, EPERM), NO(swapon, EPERM), NO(swapoff, EPERM),
	NO(reboot, EPERM), NO(acct, EPERM), NO(syslog, EPERM),
	NO(vhangup, EPERM), NO(quotactl, EPERM), NO_NR(443, EPERM),
	NO(settimeofday, EPERM), NO(clock_settime, EPERM),
	NO(adjtimex, EPERM), NO(clock_adjtime, EPERM),
	NO(name_to_handle_at, EPERM), NO(open_by_handle_at, EPERM),
	NO(kcmp, EPERM),
#ifdef SYS_lookup_dcookie
	NO(lookup_dcookie, EPERM),
#endif
#ifdef __x86_64__
	NO(modify_ldt, EPERM), NO(iopl, EPERM), NO(ioperm, EPERM),
	NO(uselib, ENOSYS),
#endif
};

/* With `nested deny` also: no namespaces and no mounts of one's own. */
static const struct rule not_nested[] = {
	{SYS_clone, EPERM, HAS_BITS, 0, {NAMESPACES}, 1, 0},
	{SYS_unshare, EPERM, HAS_BITS, 0, {NAMESPACES | K_CLONE_NEWTIME}, 1, 0},
	{SYS_seccomp, EPERM, HAS_BITS, 1, {NEW_LISTENER}, 1, 0},
	NO(setns, EPERM), NO(mount, EPERM), NO(umount2, EPERM),
	NO(pivot_root, EPERM), NO(chroot, EPERM),
	NO_NR(NR_open_tree, EPERM),
	NO_NR(NR_move_mount, EPERM),
	NO_NR(NR_fsopen, EPERM),
	NO_NR(NR_fsconfig, EPERM),
	NO_NR(NR_fsmount, EPERM),
	NO_NR(NR_fspick, EPERM),
	NO_NR(NR_mount_setattr, EPERM),
	NO_NR(467 /* open_tree_attr */, EPERM),
};

/*
 * With `nested no-cgroup`: a control group namespace lets its owner mount the
 * hierarchies, which would begin at a group of the host.
 */
static const struct rule no_cgroup[] = {
	{SYS_clone, EPERM, HAS_BITS, 0, {K_CLONE_NEWCGROUP}, 1, 0},
	{SYS_unshare, EPERM, HAS_BITS, 0, {K_CLONE_NEWCGROUP}, 1, 0},
};

static void build(struct program *p, enum nested nested)
{
	load(p, offsetof(struct seccomp_data, arch));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0);
	answer(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	emit(p, BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 1);
	refuse(p, ENOSYS);
#endif
	for (size_t i = 0; i < COUNT(always); i++)
		emit_rule(p, &always[i]);
	for (size_t i = 0; nested == NESTED_DENY && i < COUNT(not_nested); i++)
		emit_rule(p, &not_nested[i]);
	for (size_t i = 0; nested == NESTED_NO_CGROUP && i < COUNT(no_cgroup);
	     i++)
		emit_rule(p, &no_cgroup[i]);
	answer(p, SECCOMP_RET_ALLOW);
}

int seccomp_apply(enum nested nested, struct fault *f)
{
	struct program p = {.length = 0};
	struct sock_fprog filter = {.filter = p.code};

	build(&p, nested);
	if (p.length > PROGRAM_MAX)
		return fault(f, "seccomp", "the filter has %d instructions",
			     p.length);
	filter.len = p.length;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0)
		return 0;
	fault_errno(f, "seccomp", "can't apply the system call filter");
	if (errno == EINVAL)
		fault_hint(f, "The kernel needs CONFIG_SECCOMP_FILTER");
	return -1;
}
