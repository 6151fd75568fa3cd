#define _GNU_SOURCE
#include "gate.h"
#include "gate_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The gate without the rest of the driver, for tests and measurements:
 *
 *     gate-harness [RUNG] -- COMMAND…      the channel is fd 5
 *
 * builds the namespaces as the driver does (root: without the outer user
 * namespace when AGENTFW_HARNESS=root), runs COMMAND behind the gate and
 * ends with its status.
 */

static void die(const char *what)
{
	fprintf(stderr, "gate-harness: can't %s: %s\n", what, strerror(errno));
	exit(125);
}

static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(path);
	close(fd);
}

static void map_self(uid_t uid, gid_t gid)
{
	char text[64];

	put_file("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "%u %u 1", uid, uid);
	put_file("/proc/self/uid_map", text);
	snprintf(text, sizeof(text), "%u %u 1", gid, gid);
	put_file("/proc/self/gid_map", text);
}

static void bind_file(const char *from, const char *to)
{
	if (mount(from, to, NULL, MS_BIND, NULL) < 0)
		die(to);
}

static void resolver(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/mnt", "tmpfs", 0, NULL) < 0)
		die("mount");
	put_file("/mnt/resolv.conf", "nameserver 198.18.0.1\n"
				     "options timeout:30 attempts:2\n");
	put_file("/mnt/nsswitch.conf", "passwd: files\ngroup: files\n"
				       "hosts: files dns\n");
	bind_file("/mnt/resolv.conf", "/etc/resolv.conf");
	bind_file("/mnt/nsswitch.conf", "/etc/nsswitch.conf");
}

static void drop_all(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[2] = { { 0 } };

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) < 0)
			die("drop capabilities");
	if (syscall(SYS_capset, &head, none) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die("drop capabilities");
}

static void run_agent(char **argv, int notify, uid_t uid, gid_t gid)
{
	if (mount("proc", "/proc", "proc", 0, NULL) < 0 ||
	    unshare(CLONE_NEWUSER) < 0)
		die("enter the inner namespaces");
	map_self(uid, gid);
	drop_all();
	if (notify >= 0 && gate_notify_arm(notify) < 0)
		die("arm the notifier");
	execvp(argv[0], argv);
	die(argv[0]);
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 128 + WTERMSIG(status);
}

/* A parent that had died before we asked to die with it would not answer. */
static void die_with_parent(int parent)
{
	char c;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || write(parent, "i", 1) != 1 ||
	    read(parent, &c, 1) != 1)
		_exit(125);
	close(parent);
}

/* pid 1: its end takes everything with it. */
static void run_init(char **argv, int notify, uid_t uid, gid_t gid)
{
	pid_t agent = fork(), pid;
	int status;

	if (agent < 0)
		die("fork");
	if (agent == 0)
		run_agent(argv, notify, uid, gid);
	while ((pid = wait(&status)) > 0 || errno == EINTR)
		if (pid == agent)
			_exit(status_of(status));
	_exit(125);
}

static void run_namespaces(int sync, char **argv, bool root)
{
	int flags = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID;
	uid_t uid = getuid();
	gid_t gid = getgid();
	int notify = -1, status, pair[2];
	size_t n = 1;
	pid_t init;
	char c;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    unshare(flags | (root ? 0 : CLONE_NEWUSER)) < 0)
		die("make namespaces");
	if (!root)
		map_self(uid, gid);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    fd_send(sync, "r", 1, NULL, 0) < 0 ||
	    fd_recv(sync, &c, 1, &notify, &n) != 1)
		exit(125);
	resolver();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("make a socket pair");
	init = fork();
	if (init < 0)
		die("fork");
	close(pair[init == 0]);
	if (init == 0) {
		die_with_parent(pair[0]);
		run_init(argv, notify, uid, gid);
	}
	if (read(pair[1], &c, 1) == 1 && write(pair[1], "g", 1) != 1)
		die("start");
	while (waitpid(init, &status, 0) < 0 && errno == EINTR)
		;
	_exit(status_of(status));
}

static int ns_fd(pid_t pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static void start_gate(pid_t child, const char *rung, bool root,
		       struct gate *gate)
{
	struct gate_opts opts = {
		.user_fd = root ? -1 : ns_fd(child, "user"),
		.net_fd = ns_fd(child, "net"),
		.channel = GATE_CHANNEL_FD,
		.force = rung,
		.debug_fd = 2,
	};

	if (gate_start(&opts, gate) < 0) {
		fprintf(stderr, "gate-harness: %s\nHint: %s\n", gate->error,
			gate->hint);
		kill(child, SIGKILL);
		exit(125);
	}
	fprintf(stderr, "gate-harness: gate %d netd %d rung %s\n",
		(int)gate->gate, (int)gate->netd, gate->rung);
	close(GATE_CHANNEL_FD);
}

int main(int argc, char **argv)
{
	const char *mode = getenv("AGENTFW_HARNESS");
	bool root = mode && !strcmp(mode, "root") && getuid() == 0;
	int at = argc > 1 && strcmp(argv[1], "--") != 0 ? 2 : 1;
	struct gate gate;
	int sync[2], status;
	pid_t child, pid;
	size_t none = 0;
	char c;

	if (argc < at + 2 || strcmp(argv[at], "--") != 0) {
		fputs("usage: gate-harness [RUNG] -- COMMAND…\n", stderr);
		return 2;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0)
		die("make a socket pair");
	if (fcntl(GATE_CHANNEL_FD, F_SETFD, FD_CLOEXEC) < 0)
		die("find the channel on fd 5");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		close(sync[0]);
		close(GATE_CHANNEL_FD);
		run_namespaces(sync[1], argv + at + 1, root);
	}
	close(sync[1]);
	if (fd_recv(sync[0], &c, 1, NULL, &none) != 1)
		return 125;
	start_gate(child, at == 2 ? argv[1] : NULL, root, &gate);
	if (fd_send(sync[0], "g", 1, &gate.notify, gate.notify >= 0) < 0)
		die("go on");
	while ((pid = wait(&status)) != child) {
		if (pid < 0)
			die("wait");
		fprintf(stderr, "gate-harness: %s ended\n",
			pid == gate.gate ? "the gate" : "netd");
		if (pid == gate.gate)
			gate.gate = 0;
		else
			gate.netd = 0;
		kill(child, SIGKILL);
	}
	gate_stop(&gate);
	return status_of(status);
}
