#include "http2.h"

#include <string.h>

#define FRAME 9		/* bytes before a payload: length, type, flags, stream */
#define PAYLOAD_MAX 16384	/* what every client takes */

enum frame_type { DATA = 0, HEADERS = 1, SETTINGS = 4, GOAWAY = 7 };
enum { END_STREAM = 1, END_HEADERS = 4 };
/* Not quite so, but what a client can do: over HTTP/1.1 it reads the 403. */
enum { NO_ERROR = 0, HTTP_1_1_REQUIRED = 13 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/* HPACK, literally: :status 403, content-type text/plain; charset=utf-8. */
static const char headers[] = "\x08\x03" "403"
			      "\x0f\x10\x19" "text/plain; charset=utf-8";

bool http2_begun(const char *data, size_t len)
{
	size_t line = strlen("PRI * HTTP/2.0\r\n");

	return len >= line && !memcmp(data, preface, line);
}

static uint32_t get(const char *at, size_t bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | (uint8_t)*at++;
	return value;
}

uint32_t http2_stream(const char *data, size_t len)
{
	size_t at = sizeof(preface) - 1;

	while (len >= FRAME && at <= len - FRAME) {
		if (data[at + 3] == HEADERS)
			return get(data + at + 5, 4) & 0x7fffffff;
		at += FRAME + get(data + at, 3);
	}
	return 0;
}

struct out {
	char *data;
	size_t cap, len;
	bool full;
};

static void put(struct out *o, const void *data, size_t len)
{
	if (o->full || len > o->cap - o->len) {
		o->full = true;
		return;
	}
	memcpy(o->data + o->len, data, len);
	o->len += len;
}

static void put_number(struct out *o, uint32_t value, size_t bytes)
{
	while (bytes--) {
		char byte = (char)(value >> 8 * bytes);

		put(o, &byte, 1);
	}
}

static void put_frame(struct out *o, enum frame_type type, uint32_t flags,
		      uint32_t stream, size_t len)
{
	put_number(o, (uint32_t)len, 3);
	put_number(o, type, 1);
	put_number(o, flags, 1);
	put_number(o, stream, 4);
}

size_t http2_refusal(char *out, size_t cap, uint32_t stream, const char *text,
		     size_t len)
{
	struct out o = { .data = out, .cap = cap };
	size_t debug = stream ? 0 : len;

	if (len > PAYLOAD_MAX - 8)
		return 0;
	put_frame(&o, SETTINGS, 0, 0, 0);
	if (stream) {
		put_frame(&o, HEADERS, END_HEADERS, stream,
			  sizeof(headers) - 1);
		put(&o, headers, sizeof(headers) - 1);
		put_frame(&o, DATA, END_STREAM, stream, len);
		put(&o, text, len);
	}
	put_frame(&o, GOAWAY, 0, 0, 8 + debug);
	put_number(&o, stream, 4);
	put_number(&o, stream ? NO_ERROR : HTTP_1_1_REQUIRED, 4);
	put(&o, text, debug);
	return o.full ? 0 : o.len;
}
