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
#include <signal.h>
#include <unistd.h>

void terminal_open(struct terminal *t, bool wanted)
{
	*t = (struct terminal){.fd = -1};
	signal(SIGTSTP, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
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

void terminal_stop_job(struct terminal *t)
{
	if (t->fd < 0)
		return;
	t->stopped = true;
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

void terminal_restore(const struct terminal *t)
{
	pid_t now = t->fd < 0 ? -1 : tcgetpgrp(t->fd);

	if (now <= 0 || now == t->at_start || t->at_start != getpgrp())
		return;
	/* A living group is the shell's, which put us in the background. */
	if (kill(-now, 0) < 0 && errno == ESRCH)
		tcsetpgrp(t->fd, t->at_start);
}
