#ifndef AGENTFW_HTTP2_H
#define AGENTFW_HTTP2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As much of HTTP/2 as a refusal takes. Pure. */

/* True when the bytes begin a connection of HTTP/2 without TLS. */
bool http2_begun(const char *data, size_t len);

/* The first stream that a request has opened; 0: none so far. */
uint32_t http2_stream(const char *data, size_t len);

/*
 * A whole answer: 403 and the text on that stream, or, where there is none,
 * the text as what the connection ends with. 0: it has no room.
 */
size_t http2_refusal(char *out, size_t cap, uint32_t stream, const char *text,
		     size_t len);

#endif
