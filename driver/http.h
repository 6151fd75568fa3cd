#ifndef AGENTFW_HTTP_H
#define AGENTFW_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The head of an HTTP/1 request is read, never changed. Pure. */

#define HTTP_HEAD_MAX 16384

enum http_result {
	HTTP_NOT,	/* not an HTTP request */
	HTTP_MORE,	/* a prefix of one */
	HTTP_HEAD,
	HTTP_BAD,	/* ambiguous or malformed: readers would disagree */
};

struct http_head {
	char method[16];
	char host[256];		/* lower case, without the port */
	int port;		/* of the Host header, -1 when it has none */
	char authority[256];	/* of an absolute-form or CONNECT target */
	int authority_port;	/* -1 when it has none */
	char target[256];	/* cut when it is longer */
	bool has_host, has_authority;
	size_t length;		/* of the head itself */
	uint64_t body;		/* Content-Length */
	bool has_length, chunked, upgrade, unread;
	bool override;		/* a header or the query asks for another method */
};

/* RFC 9112. `head` is whole for HTTP_HEAD; `data` may go on behind it. */
enum http_result http_parse(const char *data, size_t len,
			    struct http_head *head);

/* A method as it is written, of those that a request here may have. */
bool http_known(const char *method);

/*
 * Behind so many zeros no server takes a request, nor so long a line for one.
 * Blank lines before it some pass over without end: so many are refused.
 */
#define HTTP_ZEROS_MAX (1U << 20)
#define HTTP_BEFORE_MAX 65536
#define HTTP_LINE_MAX (2U << 20)

/*
 * http_line.c. HTTP_BAD: some server would read a request in it, which is
 * ambiguous; HTTP_MORE: the line may become one; HTTP_NOT: nobody does.
 */
#define HTTP_METHOD_MAX 32

struct http_line {	/* zeros at the start */
	enum { LINE_START, LINE_METHOD, LINE_TARGET, LINE_REST } part;
	enum { WORD_OTHER, WORD_LETTERS, WORD_SLASH } word;
	unsigned char length, version, colon;
	bool begun, rooted;	/* begun: a word; rooted: the target is one */
	bool nul;		/* before the method */
	bool odd;		/* the method is no word */
	bool object;		/* the target begins like one of JSON */
	uint32_t zeros, before, seen; /* before the method, then of the line */
	char method[HTTP_METHOD_MAX + 1];
};

/* Pieces may be of any length; `line` carries what is known from one to the next. */
enum http_result http_line(struct http_line *line, const char *data,
			   size_t len);

/* True when the bytes so far begin like a request (for refusals). */
bool http_like(const char *data, size_t len);

#endif
