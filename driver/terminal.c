/*
 * The caller's terminal. Everything runs in the caller's process group, so
 * Ctrl-C and Ctrl-Z reach the agent by the kernel alone. The driver doesn't
 * stop on Ctrl-Z: a program may want to put the screen in order first, or not
 * stop at all. It follows once the agent's first process has stopped, for
 * whatever reason, and leaves the foreground as it was found.
 */
#define _GNU_SOURCE
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

static const char autogroup[] = "/proc/self/autogroup";

void terminal_open(struct terminal *t, bool wanted)
{
	*t = (struct terminal){.fd = -1};
	signal(SIGTSTP, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	read_file(AT_FDCWD, autogroup, t->autogroup, sizeof(t->autogroup));
	for (int fd = 0; wanted && fd <= 2; fd++) {
		t->at_start = tcgetpgrp(fd);
		if (t->at_start <= 0)
			continue; /* not our controlling terminal */
		t->fd = fd;
		return;
	}
}

void terminal_take(struct terminal *t, pid_t agent)
{
	pid_t group = getpgid(agent);

	t->agents = 0;
	if (t->fd < 0 || group <= 0 || group == getpgrp() ||
	    tcgetpgrp(t->fd) != group)
		return;
	t->agents = group;
	tcsetpgrp(t->fd, getpgrp());
}

/*
 * tcflow(TCOOFF) outlives who calls it, and no key undoes it: the next to
 * write, the supervisor, would wait for good. The user's Ctrl-S stays.
 */
static void restart_output(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (isatty(fd))
			tcflow(fd, TCOON);
}

void terminal_stop_job(struct terminal *t)
{
	if (t->fd < 0)
		return;
	t->stopped = true;
	restart_output(); /* for the shell */
	/* In an orphaned group the kernel drops it, as it does for anyone. */
	signal(SIGTSTP, SIG_DFL);
	kill(0, SIGTSTP); /* returns when we are continued */
	signal(SIGTSTP, SIG_IGN);
}

bool terminal_continue_job(struct terminal *t)
{
	if (!t->stopped)
		return false;
	t->stopped = false;
	/* Not after `bg`: then the foreground is the shell's. */
	if (t->agents && tcgetpgrp(t->fd) == getpgrp())
		tcsetpgrp(t->fd, t->agents);
	return true;
}

/*
 * A session's processes are scheduled as one (sched(7)), and any of them may
 * set the nice value of all, which stays. No call shows it to a filter, and
 * nothing may lie over /proc. "/autogroup-7 nice 0": only our own is set back.
 */
static void restore_autogroup(const struct terminal *t)
{
	const struct timespec pause = {.tv_nsec = 50000000};
	const char *nice = strrchr(t->autogroup, ' ');
	char now[sizeof(t->autogroup)];

	if (!nice ||
	    read_file(AT_FDCWD, autogroup, now, sizeof(now)) <= 0 ||
	    strncmp(now, t->autogroup, (size_t)(nice - t->autogroup)) != 0 ||
	    same(now, t->autogroup))
		return;
	/* one change in a tenth of a second, for all users together */
	for (int i = 0; i < 10; i++) {
		if (write_file(AT_FDCWD, autogroup, nice + 1) == 0 ||
		    errno != EAGAIN)
			return;
		nanosleep(&pause, NULL);
	}
}

static void restore_foreground(const struct terminal *t)
{
	pid_t now = t->fd < 0 ? -1 : tcgetpgrp(t->fd);

	if (now <= 0 || now == t->at_start || t->at_start != getpgrp())
		return;
	/* A living group is the shell's, which put us in the background. */
	if (kill(-now, 0) < 0 && errno == ESRCH)
		tcsetpgrp(t->fd, t->at_start);
}

void terminal_restore(const struct terminal *t)
{
	restart_output();
	restore_autogroup(t);
	restore_foreground(t);
}
