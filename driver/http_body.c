#include "http_body.h"

/* A line of chunk size, extensions or trailers is not longer. */
#define LINE_MAX_ 4096

void body_begin(struct http_body *b, const struct http_head *head)
{
	*b = (struct http_body){ .state = BODY_END };
	if (head->chunked) {
		b->state = BODY_SIZE;
	} else if (head->body > 0) {
		b->state = BODY_LENGTH;
		b->left = head->body;
	}
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0'
	     : c >= 'a' && c <= 'f' ? c - 'a' + 10
	     : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum body_state size_byte(struct http_body *b, char c)
{
	int digit = hex(c);

	if (b->cr) {
		if (c != '\n')
			return BODY_BAD;
		b->line = 0;
		b->digits = b->extension = b->cr = false;
		return b->left > 0 ? BODY_DATA : BODY_TRAILER;
	}
	if (c == '\n' || c == '\0' || ++b->line > LINE_MAX_)
		return BODY_BAD;	/* a bare LF ends a line only for some */
	if (c == '\r') {
		b->cr = true;
		return b->digits ? BODY_SIZE : BODY_BAD;
	}
	if (b->extension)
		return BODY_SIZE;
	if (digit >= 0) {
		if (b->left >> 56)
			return BODY_BAD;
		b->left = b->left << 4 | (uint64_t)digit;
		b->digits = true;
		return BODY_SIZE;
	}
	b->extension = c == ';' && b->digits;
	return b->extension ? BODY_SIZE : BODY_BAD;
}

static enum body_state trailer_byte(struct http_body *b, char c)
{
	if (b->state == BODY_TRAILER && c == '\r')
		return BODY_LAST_LF;
	if (c == '\0' || ++b->line > LINE_MAX_ || (c == '\n' && !b->cr))
		return BODY_BAD;
	if (c == '\n') {
		b->cr = false;
		return BODY_TRAILER;
	}
	if (b->cr)
		return BODY_BAD;
	b->cr = c == '\r';
	return BODY_TRAILER_LINE;
}

static enum body_state one(struct http_body *b, char c)
{
	switch (b->state) {
	case BODY_SIZE:
		return size_byte(b, c);
	case BODY_DATA_CR:
		return c == '\r' ? BODY_DATA_LF : BODY_BAD;
	case BODY_DATA_LF:
		return c == '\n' ? BODY_SIZE : BODY_BAD;
	case BODY_TRAILER:
	case BODY_TRAILER_LINE:
		return trailer_byte(b, c);
	case BODY_LAST_LF:
		return c == '\n' ? BODY_END : BODY_BAD;
	case BODY_END:
	case BODY_LENGTH:
	case BODY_DATA:
	case BODY_BAD:
		break;
	}
	return b->state;
}

size_t body_take(struct http_body *b, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len && b->state != BODY_END && b->state != BODY_BAD) {
		size_t n = len - at;

		if (b->state != BODY_LENGTH && b->state != BODY_DATA) {
			b->state = one(b, data[at++]);
			continue;
		}
		if (n > b->left)
			n = (size_t)b->left;
		at += n;
		b->left -= n;
		if (b->left == 0)
			b->state = b->state == BODY_DATA ? BODY_DATA_CR
							 : BODY_END;
	}
	return at;
}
