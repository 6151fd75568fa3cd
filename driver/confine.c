/*
 * Takes everything from the calling process that an agent must not have, and
 * then tries to use it: a promise is something we just failed to break.
 */
#define _GNU_SOURCE
#include "confine.h"

#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "execs.h"
#include "gate.h"
#include "landlock.h"
#include "seccomp.h"
#include "sys.h"

#define BIT(cap) (1ULL << (cap))
enum { CAP_COUNT_MAX = 64 };

/* What dpkg and apt need as root of a user namespace with the full map. */
static const uint64_t root_caps =
	BIT(CAP_CHOWN) | BIT(CAP_FOWNER) | BIT(CAP_DAC_OVERRIDE) |
	BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_FSETID) | BIT(CAP_KILL) |
	BIT(CAP_SETFCAP) | BIT(CAP_NET_BIND_SERVICE);

static int drop_bounding(uint64_t keep, struct fault *f)
{
	for (int cap = 0; cap < CAP_COUNT_MAX; cap++) {
		if (keep & BIT(cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			return 0; /* past the last one */
		return fault_errno(f, "caps",
				   "can't drop capability %d from the "
				   "bounding set",
				   cap);
	}
	return 0;
}

static int set_caps(uint64_t keep, struct fault *f)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3,
						0};
	struct __user_cap_data_struct data[2] = {{0}};

	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted =
			(uint32_t)(keep >> (32 * i));
	if (drop_bounding(keep, f))
		return -1;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ||
	    syscall(SYS_capset, &head, data))
		return fault_errno(f, "caps", "can't drop capabilities");
	return 0;
}

static int set_limits(const struct spec *s, struct fault *f)
{
	static const struct rlimit none = {0, 0};

	for (size_t i = 0; i < s->nlimits; i++)
		if (setrlimit((__rlimit_resource_t)s->limits[i].resource,
			      &s->limits[i].value))
			return fault_errno(f, "rlimit",
					   "can't set resource limit %d to "
					   "%llu",
					   s->limits[i].resource,
					   (unsigned long long)s->limits[i]
						   .value.rlim_max);
	if (setrlimit(RLIMIT_CORE, &none))
		return fault_errno(f, "rlimit", "can't forbid core dumps");
	return 0;
}

/* The limit of the agent's own user namespace, which it can't raise again. */
static int forbid_namespaces(struct fault *f)
{
	if (write_file(AT_FDCWD, "/proc/sys/user/max_user_namespaces", "0") ==
	    0)
		return 0;
	/* Without /proc in the view the system call filter stands alone. */
	if (errno == ENOENT || errno == EROFS)
		return 0;
	return fault_errno(f, "nested", "can't forbid user namespaces");
}

static bool has_caps_beyond(uint64_t keep)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3,
						0};
	struct __user_cap_data_struct d[2];
	uint64_t seen;

	if (syscall(SYS_capget, &head, d))
		return true;
	seen = d[0].permitted | d[0].effective | d[0].inheritable |
	       (uint64_t)(d[1].permitted | d[1].effective | d[1].inheritable)
		       << 32;
	if (seen & ~keep)
		return true;
	for (int cap = 0; cap < CAP_COUNT_MAX; cap++) {
		int in = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (in < 0)
			break;
		if (in > 0 && !(keep & BIT(cap)))
			return true;
	}
	return false;
}

static bool fails_with(long result, int error)
{
	return result == -1 && errno == error;
}

static int broken(struct fault *f, const char *promise)
{
	return fault(f, "proof", "a protection failed its own check: %s", promise);
}

static int prove(const struct spec *s, uint64_t keep, struct fault *f)
{
	struct rlimit core;

	if (has_caps_beyond(keep))
		return broken(f, "the agent would have capabilities");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return broken(f, "the agent could gain privileges by exec");
	if (getrlimit(RLIMIT_CORE, &core) || core.rlim_max != 0)
		return broken(f, "the agent could dump core");
	if (mount("agentfw", "/", "tmpfs", 0, NULL) == 0)
		return broken(f, "the agent could mount");
	if (umount2("/", MNT_DETACH) == 0)
		return broken(f, "the agent could unmount");
	if (!fails_with(socket(AF_ALG, SOCK_SEQPACKET, 0), EAFNOSUPPORT))
		return broken(f, "the agent could open an AF_ALG socket");
	if (!fails_with(syscall(SYS_io_uring_setup, 0, NULL), ENOSYS))
		return broken(f, "the agent could use io_uring");
	if (!fails_with(syscall(SYS_ioctl, -1L, 0x100000000L | TIOCSTI, 0L),
			EPERM))
		return broken(f, "the agent could type into the terminal");
	if (s->nested == NESTED_DENY &&
	    !fails_with(unshare(CLONE_NEWUSER), EPERM))
		return broken(f, "the agent could nest namespaces");
	if (s->nested == NESTED_NO_CGROUP &&
	    !fails_with(unshare((int)(CLONE_NEWUSER | K_CLONE_NEWCGROUP)),
			EPERM))
		return broken(f, "the agent could see the host's control "
				 "groups");
	return 0;
}

static int scope(const struct spec *s, int notes, struct fault *f)
{
	int lacking = landlock_scope(s->net == NET_HOST, f);

	if (lacking <= 0)
		return lacking;
	if (spec_requires(s, f->code)) {
		fault_hint(f, "The policy requires %s", f->code);
		return -1;
	}
	if (msg_send(notes, MSG_DEGRADED, 0, f))
		return fault_errno(f, "driver", "can't report");
	return 0;
}

/* Before our own filter, which may refuse another listener. */
static int arm_gate(int notify, struct fault *f)
{
#ifdef AGENTFW_GATE
	int error = notify < 0 ? 0 : -gate_notify_arm(notify);

	if (error) {
		errno = error;
		fault_errno(f, "net", "the network gate can't work here: "
				      "nftables is refused, and so is a "
				      "seccomp listener");
		fault_hint(f, "As root: modprobe nf_tables nft_tproxy "
			      "nft_redir; or start agentfw outside of the "
			      "container or sandbox that takes both away. "
			      "agentfw doctor says more, --net off needs "
			      "no gate");
		return -1;
	}
#else
	(void)notify, (void)f;
#endif
	return 0;
}

/*
 * A tree has one listener of seccomp. Where another has it, ours in the rung
 * `notify` or that of a sandbox around this one, the agent starts without.
 */
static int arm_execs(const struct spec *s, const struct told *t,
		     struct fault *f)
{
	int error = t->execs < 0 ? 0
		    : t->connects >= 0 ? EBUSY
				       : -execs_arm(t->execs);

	if (!error)
		return 0;
	errno = error;
	fault_errno(f, "exec-audit", "can't watch which programs start");
	if (spec_requires(s, f->code) ||
	    (error != EBUSY && error != EINVAL && error != ENOSYS))
		return -1;
	return msg_send(t->notes, MSG_DEGRADED, 0, f)
		       ? fault_errno(f, "driver", "can't report") : 0;
}

/* The last step that needs a path: with the agent's own rights. */
static int enter_cwd(const char *cwd, struct fault *f)
{
	int error;

	if (!chdir(cwd))
		return 0;
	error = errno;
	fault_errno(f, "cwd", "can't enter %s", cwd);
	if (error == EACCES)
		fault_hint(f, "The agent has your id and no privileges: start "
			      "it as the owner of that directory, from "
			      "another one, or let others enter it: chmod o+x, "
			      "on those above it too");
	else if (error == ENOENT || error == ENOTDIR)
		fault_hint(f, "It is hidden inside, or gone: start from "
			      "another directory, or name one with exec --cwd");
	return -1;
}

int confine(const struct spec *s, const struct told *t, struct fault *f)
{
	uint64_t keep = s->mode == MODE_ROOT ? root_caps : 0;

	/* KEYCTL_JOIN_SESSION_KEYRING: a fresh, empty one */
	if (syscall(SYS_keyctl, 1, NULL) < 0 && errno != ENOSYS &&
	    errno != EPERM && errno != EDQUOT)
		return fault_errno(f, "keyring",
				   "can't leave the session keyring");
	if (set_limits(s, f) ||
	    (s->nested == NESTED_DENY && forbid_namespaces(f)) ||
	    set_caps(keep, f))
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fault_errno(f, "privs", "can't forbid new privileges");
	if (enter_cwd(s->cwd, f))
		return -1;
	if (scope(s, t->notes, f) || arm_gate(t->connects, f) ||
	    arm_execs(s, t, f) ||
	    seccomp_apply(s->nested, f))
		return -1;
	return prove(s, keep, f);
}
