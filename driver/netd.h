#ifndef AGENTFW_NETD_H
#define AGENTFW_NETD_H

#include "netlink.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * netd lives in the sandbox's network namespace with the rights of the
 * namespace that owns it, outside the sandbox's pid namespace. It sets the
 * network up, then makes sockets when the gate asks: the only requests it
 * knows are the rows below.
 */

#define GATE_PORT 61
#define GATE_OWN4 0xc6120002U	/* 198.18.0.2 */
#define GATE_DNS4 0xc6120001U	/* 198.18.0.1 */

enum netd_rung { RUNG_NONE, RUNG_TPROXY, RUNG_REDIR, RUNG_NOTIFY };

enum netd_fd {
	NETD_FD_TCP,
	NETD_FD_DNS,
	NETD_FD_UDP,	/* the rest only with RUNG_TPROXY */
	NETD_FD_ICMP4,
	NETD_FD_ICMP6,
	NETD_FDS,
};

/* netd's first message, with the descriptors. */
struct netd_hello {
	int32_t err;		/* 0, or why no rung works */
	int32_t rung;		/* enum netd_rung */
	int32_t has_v6;
	int32_t large;	/* packets of more than 64 KiB */
	char step[160];		/* what failed, for people */
	uint32_t fds;		/* bit n: descriptor n was passed */
};

enum netd_op {
	NETD_STREAM,	/* a TCP socket inside */
	NETD_LISTEN,	/* a listener inside on `local` */
	NETD_DGRAM,	/* a UDP socket from `local` to `remote` */
	NETD_WHO,	/* pid of the TCP client `local` of `remote` */
	NETD_ARRIVED,	/* unasked: a listener made for a new destination */
	NETD_OPS,
};

struct netd_request {
	uint32_t op;
	uint32_t pad;
	uint64_t id;
	struct sockaddr_in6 local, remote;
};

struct netd_reply {
	uint32_t op;
	int32_t err;
	uint64_t id;
	int32_t pid;
	uint32_t subject;	/* bytes of a netd_subject behind it */
};

/*
 * What a process was while it held the socket: path of its program, working
 * directory, arguments, a NUL behind each. It may be gone a moment later.
 */
#define NETD_SUBJECT 6000

struct netd_answer {
	struct netd_reply reply;
	char subject[NETD_SUBJECT];
};

struct netd_opts {
	int user_fd, net_fd;
	int gate;		/* socket to the gate, SOCK_SEQPACKET */
	int notify;		/* where the agent's listener arrives, or -1 */
	enum netd_rung force;	/* RUNG_NONE: the first that works */
	pid_t parent;
};

/* The process: never returns. */
void netd_main(const struct netd_opts *opts) __attribute__((noreturn));

/* netd_setup.c: fills hello and fds; hello->err tells whether it worked. */
void netd_setup(enum netd_rung force, struct netd_hello *hello,
		int fds[NETD_FDS]);
int netd_listener(const struct sockaddr_in6 *address, int transparent);

/*
 * netd_who.c: the process that holds a client's socket; 0 unknown, -1 none.
 * Fills reply.pid, and the subject where all of it could be read and fits.
 */
void netd_who(int diag, const struct netd_request *request,
	      struct netd_answer *answer);

/* netd_notify.c: one connect() of the agent; -1 when the listener ended. */
struct netd_seen;
struct netd_seen *netd_seen_new(void);
int netd_notified(int listener, int gate, struct netd_seen *seen);

#endif
