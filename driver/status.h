/*
 * What goes wrong, and how it is told. Inner functions fill a `struct fault`
 * and return -1; the process functions in main.c, init.c and enter.c pass it
 * on and end. Events go to the supervisor as frames on fd 4.
 */
#ifndef AGENTFW_STATUS_H
#define AGENTFW_STATUS_H

#include <sys/types.h>

#include "util.h"

enum {
	EXIT_SETUP = 125,
	EXIT_CANNOT = 126,
	EXIT_MISSING = 127,
	EXIT_SIGNAL = 128,
};

enum { SPEC_FD = 3, EVENT_FD = 4 };

/*
 * Why a start fails, in words. A function that takes one and returns an int
 * gives 0, or a descriptor that its caller owns, or -1 with the fault filled.
 */
struct fault {
	int exit;
	char code[16];
	char text[1024];
	char hint[512];
};

/* Both return -1, so that a caller can `return fault(...)`. */
int fault(struct fault *f, const char *code, const char *format, ...)
	PRINTF(3, 4);
/* The same with `: <errno text>` appended. errno is kept. */
int fault_errno(struct fault *f, const char *code, const char *format, ...)
	PRINTF(3, 4);
/* One thing to do about it; a later one replaces it. */
void fault_hint(struct fault *f, const char *format, ...) PRINTF(2, 3);

/* Messages between the driver's own processes, over a SOCK_SEQPACKET pair. */
enum msg_type {
	MSG_GO = 1,    /* driver -> init: maps are written / inner ns is held */
	MSG_SIGNAL,    /* driver -> init: signal `value` to the agent */
	MSG_CONTINUE,  /* driver -> init: SIGCONT if the agent is stopped */
	MSG_AGENT,     /* agent -> driver: its credentials carry its host pid */
	MSG_STARTED,   /* init -> driver: the agent's exec succeeded */
	MSG_DEGRADED,  /* -> driver: fault.code = name, fault.text = why */
	MSG_FAULT,     /* -> driver: the start failed */
	MSG_STOPPED,   /* init -> driver */
	MSG_CONTINUED, /* init -> driver */
	MSG_EXIT,      /* init -> driver: wait status in `value` */
	MSG_EMPTY,     /* init -> driver: the last process has ended */
	MSG_READY,     /* init -> driver: its namespaces are all its own */
};

struct msg {
	int type;
	int value;
	pid_t sender; /* by msg_receive, where credentials are passed */
	int fd;	      /* by msg_receive, -1 for none */
	struct fault fault;
};

/* `f` may be NULL. 0, or -1 with errno. */
int msg_send(int sock, enum msg_type type, int value, const struct fault *f);
/* MSG_GO with a descriptor; -1 for none. */
int msg_send_go(int sock, int fd);
/* 1 with a message, 0 at end of file, -1 with errno. */
int msg_receive(int sock, struct msg *m, int flags);

/* Events: a frame each. -1 when the supervisor is gone. */
int event_frame(const char *json, size_t length);
/* Frames that are complete already. */
int event_bytes(const void *frames, size_t length);
int event_started(pid_t driver, pid_t init, pid_t agent);
int event_degraded(const char *name, const char *why);
int event_error(const struct fault *f);
int event_exit(int wait_status);
/* By which way: a `group` or `signals`. */
int event_frozen(const char *by);
int event_plain(const char *event);

/* Writes `text` as a JSON string body (no quotes) into buf; the length. */
size_t json_escape(char *buf, size_t size, const char *text);

#endif
