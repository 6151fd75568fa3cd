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
};

/* The ClientHello may be split over several records. */
enum tls_result tls_parse(const uint8_t *data, size_t len,
			  struct tls_hello *hello);

#endif
