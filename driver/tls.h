#ifndef AGENTFW_TLS_H
#define AGENTFW_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A ClientHello is read, never changed. Pure. */

#define TLS_HELLO_MAX 16384

enum tls_result {
	TLS_NOT,	/* the first byte is no handshake record */
	TLS_MORE,	/* a prefix of a ClientHello */
	TLS_HELLO,
	TLS_BAD,	/* starts like TLS and is malformed or too long */
};

struct tls_hello {
	bool has_sni, ech;
	char sni[256];
	char alpn[128];	/* comma-separated, cut when it is longer */
	size_t length;	/* of the records it came in */
};

/* What a server's first bytes are. */
enum tls_answer {
	TLS_ANSWER_MORE,	/* not enough to tell */
	TLS_ANSWER_RETRY,	/* HelloRetryRequest, or what may be one: another ClientHello follows */
	TLS_ANSWER_OTHER,
};
#define TLS_ANSWER_ALERTS 2	/* before it, at most */
#define TLS_ANSWER_MAX 57	/* bytes that tell: those alerts, and 43 */

/* The ClientHello may be split over several records. */
enum tls_result tls_parse(const uint8_t *data, size_t len,
			  struct tls_hello *hello);

/* Of the first TLS_ANSWER_MAX bytes (RFC 8446, 4.1.4). */
enum tls_answer tls_answer(const uint8_t *data, size_t len);

/*
 * What may lie between a HelloRetryRequest and the hello it asks for: a change
 * of cipher, early data, an alert. Its bytes; 0: none of them, or not all yet.
 */
bool tls_is_between(uint8_t type);
size_t tls_between(const uint8_t *data, size_t len);

#endif
