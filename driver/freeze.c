/*
 * Stops every process of a running sandbox until it is told to let go, or
 * whoever asked for it is gone.
 */
#define _GNU_SOURCE
#include "freeze.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

#include "ns.h"
#include "procs.h"
#include "status.h"

enum { SWEEPS = 200, TRIES = 4, PAUSE_NS = 5000000 };

struct freeze {
	dev_t dev; /* the sandbox's pid namespace */
	ino_t ino;
	pid_t driver;
	struct procs found;
	struct procs stopped; /* by us, in this order */
};

static bool is_stopped_by_us(const struct freeze *z, const struct proc *p)
{
	for (size_t i = 0; i < z->stopped.used; i++)
		if (z->stopped.at[i].pid == p->pid &&
		    z->stopped.at[i].start == p->start)
			return true;
	return false;
}

static int stop(struct freeze *z, const struct proc *p)
{
	struct procs *list = &z->stopped;

	if (list->used == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		void *at = realloc(list->at, room * sizeof(*p));

		if (!at)
			return -1;
		list->at = at;
		list->room = room;
	}
	/* Noted first: what we stop must go on again. */
	list->at[list->used++] = *p;
	kill(p->pid, SIGSTOP);
	return 0;
}

/* Its children before itself: a shell that goes on finds its job running. */
static void thaw(struct freeze *z)
{
	for (size_t i = z->stopped.used; i > 0; i--) {
		const struct proc *p = &z->stopped.at[i - 1];
		uint64_t start;

		if (proc_stat(p->pid, &start, NULL) == 0 && start == p->start)
			kill(p->pid, SIGCONT);
	}
	z->stopped.used = 0;
}

/*
 * A driver that entered the sandbox follows its program when that stops, and
 * takes the user's job along. It is stopped before it can see that.
 */
static int stop_follower(struct freeze *z, pid_t pid)
{
	char path[40], name[32];
	struct proc p = {.pid = pid};

	if (pid <= 1 || pid == z->driver)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (read_file(AT_FDCWD, path, name, sizeof(name)) <= 0 ||
	    strncmp(name, "agentfw-driver", 14) != 0 ||
	    proc_stat(pid, &p.start, NULL) || is_stopped_by_us(z, &p) ||
	    proc_is_stopped(pid))
		return 0;
	return stop(z, &p);
}

static bool is_found(const struct freeze *z, pid_t pid)
{
	for (size_t i = 0; i < z->found.used; i++)
		if (z->found.at[i].pid == pid)
			return true;
	return false;
}

/* Stops what runs. 1: nothing did, 0: something may, -1: no memory. */
static int sweep(struct freeze *z)
{
	int still = 1;

	if (procs_in(&z->found, z->dev, z->ino))
		return -1;
	for (size_t i = 0; i < z->found.used; i++) {
		const struct proc *p = &z->found.at[i];

		if (is_stopped_by_us(z, p)) {
			if (!proc_is_still(p->pid))
				still = 0;
			continue;
		}
		/* The user's own Ctrl-Z outlives us. */
		if (proc_is_stopped(p->pid) && proc_is_still(p->pid))
			continue;
		still = 0;
		if ((!is_found(z, p->parent) && stop_follower(z, p->parent)) ||
		    stop(z, p))
			return -1;
	}
	return still;
}

static void rest(long factor)
{
	struct timespec t = {.tv_nsec = PAUSE_NS * factor};

	nanosleep(&t, NULL);
}

/* Until two looks in a row find nothing that runs: what is stopped forks no more. */
static int settle(struct freeze *z, struct fault *f)
{
	for (int quiet = 0, n = 0; n < SWEEPS; n++) {
		int still = sweep(z);

		if (still < 0)
			return fault(f, "freeze", "no memory");
		quiet = still ? quiet + 1 : 0;
		if (quiet == 2)
			return 1;
		if (!still)
			rest(n < 10 ? 1 : 2);
	}
	return 0;
}

/*
 * A process that waits for its vfork can't be stopped before the child has
 * gone on: then all go on for a moment, and it is tried again.
 */
static int hold(struct freeze *z, struct fault *f)
{
	for (int tries = 0; tries < TRIES; tries++) {
		int held = settle(z, f);

		if (held > 0)
			return 0;
		thaw(z);
		if (held < 0)
			return -1;
		rest(4);
	}
	fault(f, "freeze", "a process of the sandbox does not stop");
	fault_hint(f, "Try again, or commit when the agent has ended");
	return -1;
}

static int find_sandbox(struct freeze *z, const char *driver, const char *start,
			struct fault *f)
{
	char path[48];
	struct stat st;
	uint64_t now;

	z->driver = (pid_t)strtol(driver, NULL, 10);
	if (z->driver <= 1 || proc_stat(z->driver, &now, NULL) ||
	    now != strtoull(start, NULL, 10))
		return fault(f, "freeze", "the sandbox isn't running any more");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", z->driver, NS_FD_PID);
	if (stat(path, &st))
		return fault_errno(f, "freeze", "can't find the sandbox's processes");
	z->dev = st.st_dev;
	z->ino = st.st_ino;
	return 0;
}

/* From before the first stop: no signal ends us while something is stopped. */
static int catch_signals(struct fault *f)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGTSTP);
	if (fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL))
		return fault_errno(f, "freeze", "can't watch signals");
	return fd;
}

/* The end of whoever asked, or a signal. */
static void wait_for_end(int signals)
{
	struct pollfd polls[2] = {{.fd = EVENT_FD, .events = POLLIN},
				  {.fd = signals, .events = POLLIN}};

	while (poll(polls, 2, -1) < 0 && errno == EINTR)
		;
}

/*
 * Who: the user's own process in the host's namespaces, a session of its own.
 * When: from `commit --live` until it has its copies, or has ended in any way.
 * It holds the descriptors it was given, the sandbox's commit lock among
 * them: no other commit begins before all go on again.
 */
int freeze_main(const char *driver, const char *start)
{
	struct freeze z = {0};
	struct fault f;
	int signals = catch_signals(&f);

	if (signals < 0 || find_sandbox(&z, driver, start, &f) || hold(&z, &f)) {
		event_error(&f);
		return f.exit;
	}
	if (event_plain("frozen") == 0)
		wait_for_end(signals);
	thaw(&z);
	procs_free(&z.found);
	procs_free(&z.stopped);
	return 0;
}
