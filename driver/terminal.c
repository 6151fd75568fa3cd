/*
 * The caller's terminal. Everything runs in the caller's process group, so
 * the kernel's own job control works untouched; what is left to do is to stop
 * the job when the agent's first process stops by itself, and to leave the
 * foreground as it was found. SIGTTOU is blocked in the driver.
 */
#define _GNU_SOURCE
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

void terminal_open(struct terminal *t, bool wanted)
{
	*t = (struct terminal){.fd = -1};
	for (int fd = 0; wanted && fd <= 2; fd++) {
		t->at_start = tcgetpgrp(fd);
		if (t->at_start <= 0)
			continue; /* not our controlling terminal */
		t->fd = fd;
		return;
	}
}

void terminal_stop_job(struct terminal *t)
{
	if (t->fd < 0)
		return;
	t->saved = tcgetpgrp(t->fd);
	/* Only take the foreground back from the agent, not from the shell. */
	if (t->saved != getpgrp() && t->at_start == getpgrp())
		tcsetpgrp(t->fd, getpgrp());
	t->stopped = true;
	kill(0, SIGTSTP); /* returns when we are continued */
}

bool terminal_continue_job(struct terminal *t)
{
	if (!t->stopped)
		return false;
	t->stopped = false;
	if (t->saved != getpgrp() && tcgetpgrp(t->fd) == getpgrp())
		tcsetpgrp(t->fd, t->saved);
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
