#define _GNU_SOURCE
#include "http.h"

#include <string.h>
#include <strings.h>

/*
 * A first line that is no request as it should be, read as the least strict
 * of servers would read it. Some pass over what is before the method, split
 * at any blank, know any method, take any version, or none (HTTP/0.9).
 */

static bool control(char c)
{
	return (unsigned char)c < ' ';
}

/* Python's servers split a request line at any of these. */
static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r' ||
	       (c >= 0x1c && c <= 0x1f) || c == '\x85' || c == '\xa0';
}

static bool letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Of a word, as RFC 9110 has it. */
static bool token(char c)
{
	return letter(c) || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* No lower case, as methods are and the words of most protocols aren't. */
static bool upper(const struct http_line *l)
{
	for (size_t i = 0; i < l->length; i++)
		if (!(l->method[i] >= 'A' && l->method[i] <= 'Z') &&
		    l->method[i] != '-' && l->method[i] != '_')
			return false;
	return true;
}

/*
 * The PROXY protocol says to a server who its client is, and a request or a
 * hello follows. Its second form is "\r\n\r\n\0\r\nQUIT\n" and binary.
 */
static bool proxied(const struct http_line *l)
{
	return !strcmp(l->method, "PROXY") ||
	       (l->nul && !strcmp(l->method, "QUIT"));
}

/*
 * Whatever stands before the first blank: Java's server takes any of it, and
 * Go's a word of any length.
 */
static enum http_result method_char(struct http_line *l, char c)
{
	if (c == '\n' && proxied(l))
		return HTTP_BAD;
	if (blank(c)) {
		l->part = LINE_TARGET;
		l->version = 1;
		return HTTP_MORE;
	}
	if (c == '\n')
		return HTTP_NOT;
	l->odd = l->odd || !token(c);
	if (l->length < HTTP_METHOD_MAX)
		l->method[l->length++] = c;
	else if (l->odd)
		return HTTP_NOT;
	return HTTP_MORE;
}

/* "/…", "*" or "scheme://…": nothing else is a target of a request. */
static void target_char(struct http_line *l, char c)
{
	static const char colon[] = "://";

	if (!l->begun) {
		l->rooted = c == '/' || c == '*';
		l->object = c == '{';
	}
	l->begun = true;
	l->colon = c == colon[l->colon] ? l->colon + 1 : c == ':';
	if (l->colon == strlen(colon)) {
		l->rooted = true;
		l->colon = 0;
	}
}

/* True at the digit of a word like RTSP/1. */
static bool word_char(struct http_line *l, char c)
{
	bool begun = l->begun;

	l->begun = true;
	if (l->word == WORD_SLASH)
		return c >= '0' && c <= '9';
	if (letter(c) && (!begun || l->word == WORD_LETTERS))
		l->word = WORD_LETTERS;
	else
		l->word = c == '/' && l->word == WORD_LETTERS ? WORD_SLASH
							      : WORD_OTHER;
	return false;
}

/* A line that has ended without a version: what servers may take for one. */
static bool is_request(const struct http_line *l)
{
	/* NATS begins so, and no server finds a host in it. */
	if (l->object && !strcmp(l->method, "CONNECT"))
		return false;
	return http_known(l->method) || (l->rooted && upper(l)) || proxied(l);
}

static enum http_result rest_char(struct http_line *l, char c)
{
	static const char version[] = "http/";

	if (c == '\n')
		return is_request(l) ? HTTP_BAD : HTTP_NOT;
	if (blank(c)) {
		if (l->begun)
			l->part = LINE_REST;
		l->begun = false;
		l->word = WORD_OTHER;
		l->version = 1;
		return HTTP_MORE;
	}
	if (control(c) && !upper(l))
		return HTTP_NOT;
	if (l->version && strncasecmp(&c, version + l->version - 1, 1) == 0)
		l->version++;
	else
		l->version = 0;
	if (l->version > strlen(version))
		return HTTP_BAD;
	if (l->part == LINE_TARGET)
		target_char(l, c);
	else if (word_char(l, c) && l->rooted)
		return HTTP_BAD;
	return HTTP_MORE;
}

/* How many zero bytes it begins with, by the word as far as that goes. */
static size_t zeros(const char *data, size_t len)
{
	size_t n = 0;
	unsigned long word = 0;

	while (len - n >= sizeof(word)) {
		memcpy(&word, data + n, sizeof(word));
		if (word)
			break;
		n += sizeof(word);
	}
	while (n < len && !data[n])
		n++;
	return n;
}

/* What stands before the method; *at: how far it goes. */
static enum http_result start(struct http_line *l, const char *data, size_t len,
			      size_t *at)
{
	for (; *at < len; ++*at) {
		size_t n = zeros(data + *at, len - *at);

		l->nul = l->nul || n > 0;
		l->zeros += (uint32_t)n;
		if (l->zeros > HTTP_ZEROS_MAX)
			return HTTP_NOT;
		*at += n;
		if (*at == len)
			break;
		if (!blank(data[*at]) && !control(data[*at])) {
			l->part = LINE_METHOD;
			break;
		}
		if (++l->before > HTTP_BEFORE_MAX)
			return HTTP_BAD;
	}
	return HTTP_MORE;
}

enum http_result http_line(struct http_line *line, const char *data, size_t len)
{
	enum http_result r = HTTP_MORE;
	size_t i = 0;

	if (line->part == LINE_START)
		r = start(line, data, len, &i);
	for (; i < len && r == HTTP_MORE; i++) {
		if (++line->seen > HTTP_LINE_MAX)
			return upper(line) ? HTTP_BAD : HTTP_NOT;
		r = line->part == LINE_METHOD ? method_char(line, data[i])
					      : rest_char(line, data[i]);
	}
	return r;
}
