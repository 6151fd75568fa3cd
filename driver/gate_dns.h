#ifndef AGENTFW_GATE_DNS_H
#define AGENTFW_GATE_DNS_H

#include "gate_core.h"

/*
 * The resolver's three parts: questions and what becomes of them (gate_dns.c),
 * what a reply says (gate_dns_answer.c), and the sockets (gate_dns_wire.c).
 */

#define QUERY_MAX 1232

struct dns_pending {
	uint64_t id;		/* 0: free */
	uint64_t deadline;
	struct dns_query query;
	struct sockaddr_in6 peer;
	struct in6_pktinfo local;
	uint64_t session;	/* over TCP: its id; else 0 */
};

struct dns_session {
	struct source src;
	uint64_t id;		/* 0: free */
	uint64_t deadline;
	uint32_t waiting;	/* queries of it that are pending */
	bool stalled;		/* a whole query waits for room */
	bool ended;		/* the client sends no more */
	size_t len;
	uint8_t buf[QUERY_MAX + 2];
};

/* gate_dns.c: false when there is no room for one more question */
bool dns_received(struct core *g, const uint8_t *data, size_t len,
		  const struct dns_pending *from);

/* gate_dns_answer.c */
void dns_answer_code(struct core *g, const struct dns_pending *p,
		     enum dns_rcode code);
void dns_answer_name(struct core *g, const struct dns_pending *p, uint64_t ms);
bool dns_answer_known(struct core *g, const struct dns_pending *p);
void dns_answer_ptr(struct core *g, const struct dns_pending *p);
void dns_answer_foreign(struct core *g, const struct dns_pending *p,
			const char *packet);

/* gate_dns_wire.c */
void dns_send(struct core *g, const struct dns_pending *p, uint8_t *reply,
	      size_t len);
void dns_answered(struct core *g, uint64_t session);
void dns_sessions_tick(struct core *g);

#endif
