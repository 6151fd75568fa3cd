#ifndef AGENTFW_HTTP_ANSWER_H
#define AGENTFW_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether a server switches protocols. Others may come before the answer
 * itself (100 Continue, 103 Early Hints), and all of it in pieces. Pure.
 */

#define HTTP_ANSWER_MAX 16384	/* all that may come before it */

enum answer { ANSWER_MORE, ANSWER_SWITCHES, ANSWER_NO };

struct http_answer {	/* zeros at the start */
	uint32_t seen;
	uint8_t at;	/* in its first line */
	uint8_t code;	/* its last two digits */
	bool cr, empty;
};

/* The same for the pieces of an answer. ANSWER_SWITCHES: 101 (RFC 9110, 15.2.2). */
enum answer http_answer(struct http_answer *a, const char *data, size_t len);

#endif
