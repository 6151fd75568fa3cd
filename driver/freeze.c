/*
 * Stops every process of a running sandbox: until it is told to let go, or
 * whoever asked for it is gone; or until another one lets all go on.
 */
#define _GNU_SOURCE
#include "freeze.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>

#include "freezer.h"
#include "ns.h"
#include "procs.h"
#include "status.h"
#include "sys.h"

enum { SWEEPS = 200, TRIES = 4, PAUSE_NS = 5000000 };

/* No machine has more processes; memory is taken only for those noted. */
enum { MOST_STOPPED = 4 << 20 };

/* In memory that the guardian shares: what we stopped outlives us there. */
struct stopped {
	size_t used;
	struct proc at[MOST_STOPPED];
};

struct freeze {
	dev_t dev; /* the sandbox's pid namespace */
	ino_t ino;
	pid_t driver;
	struct freezer group;
	struct procs found;
	struct stopped *stopped; /* by us, in this order */
};

static bool is_stopped_by_us(const struct freeze *z, const struct proc *p)
{
	for (size_t i = 0; i < z->stopped->used; i++)
		if (z->stopped->at[i].pid == p->pid &&
		    z->stopped->at[i].start == p->start)
			return true;
	return false;
}

/*
 * To that process and no other: its number may be another's by now. A kernel
 * filter may know no pidfd; then by number, looked at right before.
 */
static void signal_to(const struct proc *p, int sig)
{
	AUTO_FD int fd = (int)syscall(NR_pidfd_open, p->pid, 0);
	bool is_gone = fd < 0 && errno == ESRCH;
	uint64_t start;

	if (is_gone || proc_stat(p->pid, &start, NULL) || start != p->start)
		return;
	if (fd < 0)
		kill(p->pid, sig);
	else
		syscall(NR_pidfd_send_signal, fd, sig, NULL, 0);
}

static int stop(struct freeze *z, const struct proc *p)
{
	struct stopped *list = z->stopped;

	if (list->used == MOST_STOPPED)
		return -1;
	/* Noted first: what we stop must go on again. */
	list->at[list->used++] = *p;
	signal_to(p, SIGSTOP);
	return 0;
}

/* Its children before itself: a shell that goes on finds its job running. */
static void thaw(struct freeze *z)
{
	freezer_let_go(&z->group);
	for (size_t i = z->stopped->used; i > 0; i--)
		signal_to(&z->stopped->at[i - 1], SIGCONT);
	z->stopped->used = 0;
}

/* A driver that entered the sandbox for one program in it. */
static bool is_follower(const struct freeze *z, struct proc *p)
{
	char path[40], name[32];

	if (p->pid <= 1 || p->pid == z->driver)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/comm", p->pid);
	return read_file(AT_FDCWD, path, name, sizeof(name)) > 0 &&
	       strncmp(name, "agentfw-driver", 14) == 0 &&
	       proc_stat(p->pid, &p->start, NULL) == 0;
}

/*
 * It follows its program when that stops, and takes the user's job along. It
 * is stopped before it can see that.
 */
static int stop_follower(struct freeze *z, pid_t pid)
{
	struct proc p = {.pid = pid};

	if (!is_follower(z, &p) || is_stopped_by_us(z, &p) ||
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

	if (procs_in(&z->found, z->driver, z->dev, z->ino))
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

/* A frozen group forks no more; two looks are for what runs outside it. */
static bool hold_group(struct freeze *z)
{
	if (!freezer_hold(&z->group))
		return false;
	for (int looks = 0; looks < 2; looks++)
		if (procs_in(&z->found, z->driver, z->dev, z->ino) ||
		    !freezer_has_all(&z->group, &z->found))
			return false;
	return true;
}

/* What does not stop even so may when all have gone on for a moment. */
static int hold(struct freeze *z, struct fault *f)
{
	if (hold_group(z))
		return 0;
	/* Programs that are not in it, or wait for a disk: one by one. */
	freezer_close(&z->group);
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
 * Who: a child of the freezing process, in a session of its own. When: from
 * before the first stop until that one has let go, or has died in any way:
 * then it lets go. It keeps the lock that came along, so nobody begins before.
 */
static void guard(struct freeze *z, int alive)
{
	char nothing;

	setsid();
	close(EVENT_FD);
	while (read(alive, &nothing, 1) < 0 && errno == EINTR)
		;
	thaw(z);
	_exit(0);
}

/* The guardian's end of the pipe closes with us, however we end. */
static int start_guardian(struct freeze *z, struct fault *f)
{
	int ends[2];
	pid_t child;

	z->stopped = mmap(NULL, sizeof(*z->stopped), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (z->stopped == MAP_FAILED || pipe2(ends, O_CLOEXEC))
		return fault_errno(f, "freeze", "can't make room");
	child = fork();
	if (child < 0)
		return fault_errno(f, "freeze", "can't start the guardian");
	if (child == 0) {
		close(ends[1]);
		guard(z, ends[0]);
	}
	close(ends[0]);
	return 0;
}

/*
 * Who: the user's own process in the host's namespaces, a session of its own.
 * When: from `commit --live` until it has its copies, or has ended in any way.
 * It holds the descriptors it was given, the sandbox's commit lock among
 * them: no other commit begins before all go on again. `keep`: it ends at once,
 * and all stays as it is until `thaw`.
 */
int freeze_main(const char *driver, const char *start, const char *group,
		bool keep)
{
	struct freeze z = {0};
	struct fault f;
	int signals = catch_signals(&f);

	freezer_open(&z.group, group);
	if (signals < 0 || find_sandbox(&z, driver, start, &f) ||
	    start_guardian(&z, &f) || hold(&z, &f)) {
		event_error(&f);
		return f.exit;
	}
	if (event_frozen(freezer_is(&z.group) ? "group" : "signals") == 0 && !keep)
		wait_for_end(signals);
	if (keep)
		z.stopped->used = 0;
	thaw(&z);
	procs_free(&z.found);
	return 0;
}

/* PID:START of what was stopped before the freeze, which stays so. */
static bool is_left(const struct proc *p, char *const *left)
{
	char word[48];

	snprintf(word, sizeof(word), "%d:%" PRIu64, p->pid, p->start);
	for (; *left; left++)
		if (strcmp(*left, word) == 0)
			return true;
	return false;
}

/*
 * Lets all of a sandbox go on that stands still, but what is named: whoever
 * stopped it need not be there any more. Children before parents.
 */
int thaw_main(const char *driver, const char *start, const char *group,
	      char *const *left)
{
	struct freeze z = {0};
	struct fault f;

	if (find_sandbox(&z, driver, start, &f) ||
	    (procs_in(&z.found, z.driver, z.dev, z.ino) &&
	     fault_errno(&f, "freeze", "can't look at the processes"))) {
		event_error(&f);
		return f.exit;
	}
	freezer_open(&z.group, group);
	freezer_let_go(&z.group);
	for (size_t i = z.found.used; i > 0; i--) {
		const struct proc *p = &z.found.at[i - 1];
		struct proc above = {.pid = p->parent};

		if (proc_is_stopped(p->pid) && !is_left(p, left))
			signal_to(p, SIGCONT);
		if (!is_found(&z, above.pid) && is_follower(&z, &above) &&
		    proc_is_stopped(above.pid))
			signal_to(&above, SIGCONT);
	}
	procs_free(&z.found);
	return event_plain("thawed");
}
