/*
 * The caller's terminal: who owns its foreground, stopping with the job, and
 * how much of the processors its session gets.
 */
#ifndef AGENTFW_TERMINAL_H
#define AGENTFW_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

struct terminal {
	int fd;        /* -1: none, or not to be touched */
	pid_t at_start; /* foreground group when we began */
	pid_t agents;   /* its own foreground group while stopped, or 0 */
	bool stopped;   /* by us */
	char autogroup[64]; /* as /proc told it when we began, or empty */
};

/* Borrows fd 0, 1 or 2; from here on a Ctrl-Z doesn't stop us. */
void terminal_open(struct terminal *t, bool wanted);
/*
 * The agent has stopped. First the foreground is taken from a group of its
 * own, then (the supervisor was told) the whole job stops, as a shell expects.
 */
void terminal_take(struct terminal *t, pid_t agent);
void terminal_stop_job(struct terminal *t);
/* The job was continued (SIGCONT). True if it was us who had stopped it. */
bool terminal_continue_job(struct terminal *t);
/*
 * After the last process: the foreground must not stay with a dead group, the
 * session at a priority that the agent gave it, nor the output held.
 */
void terminal_restore(const struct terminal *t);

#endif
