#ifndef AGENTFW_DNS_H
#define AGENTFW_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The part of DNS that the gate speaks. Pure: bytes in, bytes out. */

#define DNS_NAME_MAX 254	/* text without the final dot, and a NUL */
#define DNS_TEXT_MAX (4 * DNS_NAME_MAX)	/* with each byte as \DDD */
#define DNS_QUESTION_MAX 260
#define DNS_REPLY_MAX 4096

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_PTR = 12,
	DNS_AAAA = 28,
	DNS_SVCB = 64,
	DNS_HTTPS = 65,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

enum dns_parsed {
	DNS_OK,		/* a query for one well-formed name */
	DNS_DROP,	/* not a query: no answer */
	DNS_ERROR,	/* answer with query.rcode */
};

struct dns_query {
	uint16_t id, type, udp_size;
	bool recursion;
	enum dns_rcode rcode;
	bool host;			/* its name can be one of a host */
	/* lower case, no final dot, what stands in no host name as \DDD */
	char name[DNS_TEXT_MAX + 1];
	uint16_t question_len;
	uint8_t question[DNS_QUESTION_MAX];	/* as asked, for the echo */
};

/* RFC 1035. `query`: whole for DNS_OK, enough to answer for DNS_ERROR. */
enum dns_parsed dns_parse(const uint8_t *data, size_t len,
			  struct dns_query *query);

/* Each writes a whole reply and returns its length. */
size_t dns_reply(const struct dns_query *query, enum dns_rcode rcode,
		 uint8_t out[DNS_REPLY_MAX]);
size_t dns_reply_a(const struct dns_query *query, const uint8_t address[4],
		   uint32_t ttl, uint8_t out[DNS_REPLY_MAX]);
size_t dns_reply_ptr(const struct dns_query *query, const char *name,
		     uint32_t ttl, uint8_t out[DNS_REPLY_MAX]);

/*
 * A reply made elsewhere (by the supervisor): its header and question are
 * replaced by those of the query. Returns 0 when it is malformed.
 */
size_t dns_reply_foreign(const struct dns_query *query, const uint8_t *reply,
			 size_t len, uint8_t out[DNS_REPLY_MAX]);

/* Cuts a reply to what a UDP client takes: header, question, TC bit. */
size_t dns_truncate(const struct dns_query *query, uint8_t *reply, size_t len);

/* Below .arpa: an address written backwards. */
bool dns_is_reverse(const char *name);

/* 198.19.x.y from "y.x.19.198.in-addr.arpa", whatever address it is of. */
bool dns_reverse4(const char *name, uint8_t address[4]);

#endif
