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
	char target[256];	/* cut when it is longer */
	bool has_host, has_authority;
	size_t length;		/* of the head itself */
	uint64_t body;		/* Content-Length */
	bool has_length, chunked, upgrade, h2c;
};

enum http_result http_parse(const char *data, size_t len,
			    struct http_head *head);

/*
 * Some servers pass over blank lines, know any method, or take other blanks
 * and more of them. HTTP_BAD: they would read a request in it, which is
 * ambiguous; HTTP_MORE: the line may become one; HTTP_NOT: nobody does.
 */
struct http_line {	/* zeros at the start */
	enum { LINE_START, LINE_METHOD, LINE_REST } part;
	unsigned char method, version;
};

enum http_result http_line(struct http_line *line, const char *data,
			   size_t len);

/* True when the bytes so far begin like a request (for refusals). */
bool http_like(const char *data, size_t len);

#endif
