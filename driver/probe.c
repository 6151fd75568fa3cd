/*
 * Tries each step of a start, in a child of its own, and prints a JSON line
 * for each. Nothing is read off a version number: a probe does the thing.
 */
#define _GNU_SOURCE
#include "probe.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "landlock.h"
#include "mount.h"
#include "ns.h"
#include "seccomp.h"
#include "sys.h"

struct row {
	const char *name;
	int flags; /* namespaces that the probe runs in */
	probe_fn *probe;
};

static int works(struct probe *p)
{
	(void)p;
	return 0;
}

static int make_mount(const char *type)
{
	struct fault f;
	AUTO_FD int fd = mount_new(type, NULL, 0, &f);

	return fd < 0 ? errno : 0;
}

static int probe_tmpfs(struct probe *p)
{
	(void)p;
	return make_mount("tmpfs");
}

static int probe_proc(struct probe *p)
{
	(void)p;
	return make_mount("proc");
}

static int probe_devpts(struct probe *p)
{
	(void)p;
	return make_mount("devpts");
}

static int probe_mqueue(struct probe *p)
{
	(void)p;
	return make_mount("mqueue");
}

static int probe_hostname(struct probe *p)
{
	(void)p;
	return sethostname("probe", 5) ? errno : 0;
}

static int probe_loopback(struct probe *p)
{
	struct fault f;

	(void)p;
	return ns_loopback_up(&f) ? errno : 0;
}

static int probe_inner(struct probe *p)
{
	(void)p;
	return unshare(CLONE_NEWUSER) ? errno : 0;
}

static int probe_read_only(struct probe *p)
{
	struct k_mount_attr attr = {.set = K_MOUNT_RDONLY};
	AUTO_FD int fd = sys_open_tree(AT_FDCWD, "/",
				       K_OPEN_TREE_CLONE | K_AT_RECURSIVE);

	(void)p;
	if (fd < 0 || sys_mount_setattr(fd, K_AT_RECURSIVE, &attr))
		return errno;
	return 0;
}

static int probe_privs(struct probe *p)
{
	(void)p;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? errno : 0;
}

static int probe_seccomp(struct probe *p)
{
	struct fault f;

	return probe_privs(p) || seccomp_apply(NESTED_DENY, &f) ? errno : 0;
}

static int probe_io_uring(struct probe *p)
{
	int failed = probe_seccomp(p);

	if (failed)
		return failed;
	if (syscall(SYS_io_uring_setup, 0, NULL) == -1 && errno == ENOSYS)
		return 0;
	return errno ? errno : -1;
}

static int probe_close_range(struct probe *p)
{
	(void)p;
	return sys_close_range(1000, K_CLOSE_RANGE_CLOEXEC) ? errno : 0;
}

static int probe_landlock(struct probe *p)
{
	int abi = landlock_abi();

	snprintf(p->detail, sizeof(p->detail), "ABI %d", abi);
	return abi > 0 ? 0 : ENOSYS;
}

static int probe_scope(struct probe *p)
{
	struct fault f = {.text = ""};
	int result = probe_privs(p) ? -1 : landlock_scope(true, &f);

	snprintf(p->detail, sizeof(p->detail), "%.180s", f.text);
	return result;
}

/* Whether limits can be set with cgroups: our own group is writable. */
static int probe_cgroup2(struct probe *p)
{
	char text[4096], path[PATH_MAX], *own;

	if (read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) < 0)
		return errno;
	own = strstr(text, "0::/");
	if (!own)
		return ENOENT;
	own += 3;
	own[strcspn(own, "\n")] = '\0';
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.procs", own);
	if (access(path, F_OK))
		snprintf(path, sizeof(path),
			 "/sys/fs/cgroup/unified%s/cgroup.procs", own);
	snprintf(p->detail, sizeof(p->detail), "%.180s", own);
	return access(path, W_OK) ? errno : 0;
}

static const struct row rows[] = {
	{"userns", CLONE_NEWUSER, works},
	{"inner-userns", CLONE_NEWUSER, probe_inner},
	{"mountns", CLONE_NEWUSER | CLONE_NEWNS, probe_tmpfs},
	{"read-only-clone", CLONE_NEWUSER | CLONE_NEWNS, probe_read_only},
	{"overlay-userxattr", CLONE_NEWUSER | CLONE_NEWNS, probe_overlay},
	{"overlay-volatile", CLONE_NEWUSER | CLONE_NEWNS, probe_volatile},
	{"pidns-proc", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, probe_proc},
	{"ipcns-mqueue", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC,
	 probe_mqueue},
	{"utsns", CLONE_NEWUSER | CLONE_NEWUTS, probe_hostname},
	{"cgroupns", CLONE_NEWUSER | (int)K_CLONE_NEWCGROUP, works},
	{"netns", CLONE_NEWUSER | CLONE_NEWNET, probe_loopback},
	{"gate", CLONE_NEWUSER | CLONE_NEWNET, probe_gate},
	{"devpts", CLONE_NEWUSER | CLONE_NEWNS, probe_devpts},
	{"no-new-privs", 0, probe_privs},
	{"seccomp", 0, probe_seccomp},
	{"io-uring-blocked", 0, probe_io_uring},
	{"landlock", 0, probe_landlock},
	{"signal-scope", 0, probe_scope},
	{"close-range", 0, probe_close_range},
	{"cgroup2-delegated", 0, probe_cgroup2},
	{"root-mode", CLONE_NEWNS, probe_root_overlay},
};

/* Settings that stand in the way when they have this value. */
static const struct {
	const char *name, *bad;
} sysctls[] = {
	{"kernel/apparmor_restrict_unprivileged_userns", "1"},
	{"kernel/unprivileged_userns_clone", "0"},
	{"user/max_user_namespaces", "0"},
	{"vm/memfd_noexec", "2"},
	{"dev/tty/legacy_tiocsti", NULL},
};

static void print(const char *name, int result, const char *detail)
{
	char text[PROBE_DETAIL * 6], number[16] = "null";

	if (result > 0)
		snprintf(number, sizeof(number), "%d", result);
	json_escape(text, sizeof(text), detail);
	printf("{\"name\":\"%s\",\"ok\":%s,\"detail\":\"%s\",\"errno\":%s}\n",
	       name, result == 0 ? "true" : "false", text, number);
}

struct outcome {
	int result;
	char detail[PROBE_DETAIL];
};

/* The child: waits for its id maps, probes, tells. */
static _Noreturn void child(const struct row *r, struct probe *p,
			    const int go[2], int out)
{
	struct outcome o = {.result = -1};
	char byte;

	/* Ours of the end that says go: without maps nobody else closes it. */
	close(go[1]);
	if (read(go[0], &byte, 1) == 1)
		o.result = r->probe(p);
	if (o.result > 0 && !p->detail[0])
		snprintf(p->detail, sizeof(p->detail), "%s",
			 strerror(o.result));
	memcpy(o.detail, p->detail, sizeof(o.detail));
	(void)!write(out, &o, sizeof(o));
	_exit(0);
}

static pid_t start_in(int flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

/* With the namespaces that a run would have: root that may mount mounts as root. */
static pid_t start(const struct row *r, int *flags)
{
	pid_t pid = -1;

	*flags = r->flags & ~CLONE_NEWUSER;
	if (r->probe == probe_proc && geteuid() == 0)
		pid = start_in(*flags);
	if (pid >= 0)
		return pid;
	*flags = r->flags;
	return start_in(*flags);
}

static void run_row(const struct row *r, struct probe p)
{
	struct spec ids = {.mode = MODE_USER, .uid = getuid(),
			   .gid = getgid()};
	struct outcome o = {.result = -1};
	struct fault f = {.text = ""};
	int go[2], out[2], flags;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return;
	pid = start(r, &flags);
	if (pid == 0)
		child(r, &p, go, out[1]);
	close(out[1]);
	if (pid < 0) {
		o.result = errno;
		snprintf(o.detail, sizeof(o.detail), "%s", strerror(errno));
	} else {
		bool mapped = !(flags & CLONE_NEWUSER) ||
			      !ns_map_outer(pid, &ids, &f);

		if (mapped)
			(void)!write(go[1], "", 1);
		close(go[1]);
		go[1] = -1;
		(void)!RETRY(read(out[0], &o, sizeof(o)));
		waitpid(pid, NULL, 0);
		if (!mapped)
			snprintf(o.detail, sizeof(o.detail), "%.150s%s", f.text,
				 strstr(f.hint, "CAP_SETFCAP")
					 ? " (root lacks CAP_SETFCAP)"
					 : "");
	}
	close(go[0]);
	if (go[1] >= 0)
		close(go[1]);
	close(out[0]);
	print(r->name, o.result, o.detail);
}

static void print_sysctls(void)
{
	for (size_t i = 0; i < COUNT(sysctls); i++) {
		const char *bad = sysctls[i].bad;
		char path[128], value[64];

		snprintf(path, sizeof(path), "/proc/sys/%s", sysctls[i].name);
		if (read_file(AT_FDCWD, path, value, sizeof(value)) < 0)
			strcpy(value, "absent");
		value[strcspn(value, "\n")] = '\0';
		print(sysctls[i].name, bad && same(value, bad) ? -1 : 0,
		      value);
	}
}

int probe_main(int argc, char **argv)
{
	const char *dir = getenv("TMPDIR");
	char made[PATH_MAX] = "";

	if (!dir || !*dir)
		dir = "/tmp";
	if (argc == 2 && same(argv[0], "--dir"))
		dir = argv[1];
	else if (argc != 0)
		return EXIT_SETUP;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct probe p = {.dir = made};

		/* Fresh layers each time: some leave marks in them. */
		if (probe_layers_make(dir, made, sizeof(made)))
			made[0] = '\0';
		run_row(&rows[i], p);
		if (made[0])
			probe_layers_remove(made);
	}
	print_sysctls();
	return fflush(stdout) ? 1 : 0;
}
