#ifndef AGENTFW_GATE_CORE_H
#define AGENTFW_GATE_CORE_H

#include "dns.h"
#include "gate_json.h"
#include "gate_names.h"
#include "http_answer.h"
#include "http_body.h"
#include "netd.h"
#include "tls.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * The gate's own process: one thread, one epoll loop. Everything that waits
 * has a bound, and every bound is here.
 */
#define GATE_CONNS_MAX 16384	/* fewer when descriptors are fewer */
#define GATE_FD_RESERVE 512	/* for everything but connections */
#define GATE_HEAD_MAX 16896	/* first bytes of a client */
#define GATE_READ 65536		/* at a time */
#define GATE_COPY (256 << 10)	/* of bulk that is copied */
#define GATE_COPY_TIGHT 4096	/* when GATE_STASH_MAX is reached */
#define GATE_STASH_MAX (64U << 20) /* read and not yet taken, in all */
#define GATE_PIPES 128
#define GATE_PIPE_SIZE (512 << 10)
#define GATE_INSIDE_SEND (512 << 10) /* the kernel doubles it */
#define GATE_TURN (1U << 20)	/* bytes in one direction per turn */
#define GATE_ADDRS 8
#define GATE_DNS_PENDING 1024
#define GATE_DNS_TCP 64
#define GATE_FLOWS 256
#define GATE_NOTIFIED 2048	/* listeners of rung notify */
#define GATE_DOORS 2080		/* these, published, forwarded */
#define GATE_WHO_PER_SECOND 1000
#define GATE_SHORT_MS 250	/* without descriptors or memory, until the next try */
#define GATE_KEPT 64		/* verdicts to begin repeats with */
#define GATE_KEPT_MS 2000
#define GATE_NAME_MS 10000	/* a name's own address is given again */
#define GATE_UNCONFIRMED 32	/* repeats ahead of their answers */
#define GATE_OUT_MAX (16U << 20) /* unread by the supervisor */
#define GATE_IN_MAX 65536	/* a frame from it */
#define GATE_TELL_MS 5		/* what nobody waits for is told so late */
#define GATE_TELL_BYTES 16384	/* or once it is so much */

#define GATE_HELLO_MS 30000	/* for the first bytes, where they are due */
#define GATE_REFUSE_MS 1000	/* to learn a refused client's language */
#define GATE_LINGER_MS 2000	/* for it to take the refusal */
#define GATE_DIAL_MS 30000
#define GATE_DIAL_NEXT_MS 4000	/* while other addresses remain */
#define GATE_HALF_MS 600000	/* half-closed and silent */
#define GATE_FLOW_MS 60000
#define GATE_FLOW_IDLE_MS 5000	/* its place may be another's */
#define GATE_DENIED_MS 5000	/* a refused UDP flow is remembered */
#define GATE_DNS_MS 30000

enum source_kind {
	SRC_CHANNEL, SRC_NETD, SRC_LISTENER, SRC_DNS, SRC_DNS_TCP, SRC_UDP,
	SRC_CLIENT, SRC_UPSTREAM, SRC_FLOW_IN, SRC_FLOW_OUT, SRC_DOOR,
};

/* What epoll hands back; the first member of whatever it belongs to. */
struct source {
	enum source_kind kind;
	int fd;
};

/* One end of a connection. Edge-triggered: rd and wr hold until EAGAIN. */
struct side {
	struct source src;
	bool rd, wr, hup, eof, shut;
};

struct pipe_pair {
	int rd, wr;
	struct pipe_pair *next;
};

/* One direction: from its own side to the other. */
struct flow_dir {
	uint64_t total;
	char *stash;		/* read, not yet taken */
	uint32_t stash_at, stash_len;
	struct pipe_pair *pipe;
	uint32_t piped;
	uint8_t full_reads;	/* in a row: bulk, worth a splice */
};

enum conn_state {
	CONN_ASKED,	/* accepted and held: the supervisor decides */
	CONN_INSIDE,	/* ingress: netd makes the inner socket */
	CONN_PROXY,	/* dialled the proxy: for whom does it ask? */
	CONN_DIALING,
	CONN_TUNNEL,	/* CONNECT was sent to the proxy */
	CONN_OPEN,
	CONN_REFUSING,	/* denied: which language does it speak? */
	CONN_LINGER,	/* refusal sent */
};

enum sniff {
	SNIFF_PENDING, SNIFF_ASKED, SNIFF_DONE,
};

enum expect { EXPECT_ANY, EXPECT_TLS, EXPECT_HTTP };
enum check { CHECK_MATCH, CHECK_ALWAYS, CHECK_NEVER };
enum spoken { SPOKE_NOTHING, SPOKE_OTHER, SPOKE_TLS, SPOKE_HTTP, SPOKE_BAD };

struct conn {
	struct side s[2];	/* 0 client, 1 upstream */
	struct flow_dir d[2];
	uint64_t id;
	uint32_t slot;
	enum conn_state state;
	enum sniff sniff;
	enum expect expect;
	enum check check;
	enum spoken spoken;
	bool dead, queued, gone, denied, ingress, unconfirmed, proxied,
	     greeted;
	struct conn *prev, *next;	/* all */
	struct conn *work, *grave;
	struct sockaddr_in6 peer, dst, local; /* local: the client's socket */
	const char *name;		/* from DNS, or NULL: held */
	uint64_t started, deadline;
	char *head;
	uint32_t head_len, head_sent;
	struct sockaddr_storage addr[GATE_ADDRS];
	uint8_t addrs, tried;
	char *rule, *message, *how;	/* why it is refused */
	char *tunnel;	/* said to a proxy before all else */
	char *prefix, *extra;	/* of requests to a proxy: gate_via.c */
	unsigned proxy_said;	/* the status, where it was a refusal */
	int error;
	char alpn[32], method[16];
	bool guard;		/* request by request, gate_request.c */
	bool in_line;		/* no request yet, in its first line */
	struct http_line line;
	enum { UPGRADE_NONE, UPGRADE_ASKED, UPGRADE_DONE } upgrade;
	struct http_answer answer;
	struct http_body body;
	enum { HELLO_NONE, HELLO_SENT, HELLO_AGAIN, HELLO_DONE } hello;
	struct tls_hello *asked_for;	/* gate_hello.c */
	uint8_t answered[TLS_ANSWER_MAX], answered_len;
	struct http_head *said;	/* first and judged; NULL: by its name */
	char *methods;		/* " GET HEAD ": of those after it */
};

/* What the last like it was answered. Names are unique pointers. */
struct kept {
	uint64_t until;
	const char *name;
	struct sockaddr_in6 dst;
	struct sockaddr_storage addr[GATE_ADDRS];
	uint8_t addrs;
	enum expect expect;
	enum check check;
};

/* A listener of ours: on the host (publish) or inside (forward, notify). */
struct door {
	struct source src;
	enum { DOOR_FREE, DOOR_PUBLISH, DOOR_FORWARD, DOOR_NOTIFY } use;
	uint64_t id;
	uint16_t inside;
	struct door *grave;
};

struct dns_session;
struct dns_pending;
struct udp_flow;

struct core {
	int epoll, icmp4, icmp6;
	enum netd_rung rung;
	bool paused, has_v6, large, ending, urgent;
	struct source channel, netd, listener, dns, udp;
	uint64_t now, next_id, tell_at, resume;	/* now: monotonic ms */
	uint32_t conns_max, conns, timed;
	struct conn **slot;
	uint32_t *free_slot;
	struct conn *all, *work, *graves;
	struct door *door_graves;
	struct pipe_pair *pipes;
	uint32_t pipes_made;
	size_t stashed;
	struct names names;
	struct dns_pending *dns_pending;
	uint32_t dns_waiting;
	struct dns_session *dns_session;
	struct udp_flow *flow;
	uint32_t flows, who_tokens, kept_next, unconfirmed;
	struct kept kept[GATE_KEPT];
	struct door *door[GATE_DOORS];
	uint32_t doors;
	uint64_t arrived;	/* listeners of rung notify, ever */
	char *out;
	size_t out_len, out_cap, out_at;
	char in[GATE_IN_MAX + 5];
	size_t in_len;
	char copy[GATE_COPY];
};

/* gate_loop.c. A fatal end resets every connection: no false clean close. */
int gate_watch(struct core *g, struct source *src, uint32_t events);
uint64_t gate_id(struct core *g, uint32_t slot);
void gate_run(struct core *g) __attribute__((noreturn));
bool gate_own(const struct in6_addr *a);

/*
 * Whoever comes by `listener` waits in the kernel until there is room for a
 * connection, for `ms` at least.
 */
void gate_pause(struct core *g, struct source *listener, uint64_t ms);
void gate_fatal(struct core *g, const char *why) __attribute__((noreturn));

/* gate_chan.c: frames to and from the supervisor */
void chan_send(struct core *g, struct gj_writer *w);
void chan_tell(struct core *g, struct gj_writer *w);
void chan_turn(struct core *g);
void chan_flush(struct core *g);
void chan_readable(struct core *g);
void chan_put_endpoint(struct gj_writer *w, const char *ip, const char *port,
		       const struct sockaddr_in6 *at);

/* gate_conn.c */
/* Of an accept: the connection still waits, and would be told of at once. */
bool conn_is_shortage(int error);
void conn_accept(struct core *g, struct source *listener, bool door);
struct conn *conn_new(struct core *g, int fd, const struct sockaddr_in6 *peer,
		      const struct sockaddr_in6 *dst);
struct conn *conn_by_id(const struct core *g, uint64_t id);
void conn_close(struct core *g, struct conn *c, bool reset);
int conn_hold(struct conn *c, const char *data, size_t len);
void conn_deadline(struct core *g, struct conn *c, uint64_t ms);
void conn_client(struct core *g, struct conn *c, uint32_t events);
void conn_upstream(struct core *g, struct conn *c, uint32_t events);
void conn_orphan(struct core *g, uint64_t id);
void conn_tick(struct core *g);
void conn_bury(struct core *g);
uint32_t conn_limit(void);

/* gate_verdict.c: what the supervisor said of a connection */
void conn_ask(struct core *g, struct conn *c);
void conn_verdict(struct core *g, const struct gj_object *v);
void first_verdict(struct core *g, const struct gj_object *v);

/* gate_kept.c */
void kept_add(struct core *g, const struct conn *c, uint64_t ms);
bool kept_use(struct core *g, struct conn *c);
void kept_forget(struct core *g, const struct gj_object *v);

/* gate_dial.c */
void dial_start(struct core *g, struct conn *c);
void dial_inside(struct core *g, struct conn *c, int fd);
void dial_event(struct core *g, struct conn *c, uint32_t events);
void dial_next(struct core *g, struct conn *c, int err);
void dial_done(struct core *g, struct conn *c);

/* gate_sniff.c: the client's first bytes */
void sniff_step(struct core *g, struct conn *c);
void sniff_pass(struct core *g, struct conn *c);
bool sniff_read(struct core *g, struct conn *c);
bool sniff_same(const struct conn *c, const struct http_head *h);
void sniff_tell(struct core *g, struct conn *c, const struct http_head *h);
void sniff_tell_tls(struct core *g, struct conn *c, const struct tls_hello *t);

/* gate_hello.c: 0, or -1 with errno when the connection must end */
int hello_begin(struct core *g, struct conn *c, const char *held, size_t len);
int hello_feed(struct core *g, struct conn *c, const char *data, size_t len);
int hello_answered(struct core *g, struct conn *c, const char *data,
		   size_t len);
bool hello_waits(const struct conn *c);

/* gate_request.c: 0, or -1 with errno when the connection must end */
int request_begin(struct conn *c, const struct http_head *head, bool judged);
int request_watch(struct conn *c, const char *data, size_t len);
int request_feed(struct core *g, struct conn *c, const char *data, size_t len);
bool request_waits(const struct conn *c);
int request_answered(struct core *g, struct conn *c, const char *data,
		     size_t len);

/* gate_via.c: through an HTTP proxy */
void tunnel_begin(struct core *g, struct conn *c);
void tunnel_step(struct core *g, struct conn *c);
void proxy_begin(struct core *g, struct conn *c);
void proxy_step(struct core *g, struct conn *c);
int via_put(struct core *g, struct conn *c, const struct http_head *h,
	    const char *data);

/* gate_refuse.c */
void refuse(struct core *g, struct conn *c);
void refuse_step(struct core *g, struct conn *c, bool late);
void linger_step(struct core *g, struct conn *c);

/* gate_pump.c */
void pump(struct core *g, struct conn *c, int from);
void pump_broken(struct core *g, struct conn *c, int i, int err);
void pump_turn(struct core *g);
void pump_free(struct core *g, struct conn *c);
int pump_put(struct core *g, struct conn *c, const char *data, size_t len);
int pump_add(struct core *g, struct conn *c, const char *data, size_t len);
void pump_later(struct core *g, struct conn *c);

/* gate_dns.c */
int dns_init(struct core *g);
void dns_udp(struct core *g);
void dns_tcp_new(struct core *g, int fd);
void dns_tcp(struct core *g, struct source *src, uint32_t events);
void dns_verdict(struct core *g, const struct gj_object *v);
void dns_tick(struct core *g);

/* gate_udp.c */
int udp_init(struct core *g);
void udp_arrived(struct core *g);
void udp_flow(struct core *g, struct source *src);
void udp_verdict(struct core *g, const struct gj_object *v);
void udp_cut(struct core *g, uint64_t id);
void udp_socket_made(struct core *g, uint64_t id, int fd);
void udp_tick(struct core *g);
void udp_end(struct core *g);

/* gate_icmp.c: "port unreachable" to a client inside */
void icmp_refuse(const struct core *g, const struct sockaddr_in6 *client,
		 const struct sockaddr_in6 *dst);

/* gate_door.c */
void door_publish(struct core *g, const struct gj_object *v);
void door_forward(struct core *g, const struct gj_object *v);
void door_close(struct core *g, const struct gj_object *v);
void door_accept(struct core *g, struct door *d);
void door_socket_made(struct core *g, uint64_t id, int fd, int err);
void door_listener_made(struct core *g, uint64_t id, int fd, int err);
void door_bury(struct core *g);
void door_arrived(struct core *g, int fd);

/* gate_netd.c: requests to netd and its replies */
void netd_ask(struct core *g, enum netd_op op, uint64_t id,
	      const struct sockaddr_in6 *local,
	      const struct sockaddr_in6 *remote);
void netd_readable(struct core *g);

/* gate_harden.c */
int gate_limits(void);
int gate_harden(void);

#endif
