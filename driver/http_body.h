#ifndef AGENTFW_HTTP_BODY_H
#define AGENTFW_HTTP_BODY_H

#include "http.h"

#include <stdint.h>

/* Where the body of an HTTP/1 request ends, and the next request begins. */

enum body_state {
	BODY_END,	/* nothing (more): a request may follow */
	BODY_LENGTH,
	BODY_SIZE,	/* of chunks: in the line that tells the size */
	BODY_DATA,
	BODY_DATA_CR, BODY_DATA_LF,
	BODY_TRAILER,	/* at the start of a line after the last chunk */
	BODY_TRAILER_LINE, BODY_LAST_LF,
	BODY_BAD,
};

struct http_body {
	enum body_state state;
	uint64_t left;		/* of a length or a chunk */
	uint32_t line;		/* bytes of the size line or trailer so far */
	bool digits, extension, cr;
};

/* For a head that was parsed; BODY_END at once where the request has none. */
void body_begin(struct http_body *b, const struct http_head *head);

/* How many of the bytes belong to the body; state tells whether it goes on. */
size_t body_take(struct http_body *b, const char *data, size_t len);

#endif
