/*
 * Which of some paths can be looked at: `agentfw-driver --silent`. The
 * server behind a FUSE or network mount may be gone, or never answer.
 */
#ifndef AGENTFW_ANSWERS_H
#define AGENTFW_ANSWERS_H

/* From stdin to stdout, a NUL after each path. An exit status. */
int answers_main(void);

#endif
