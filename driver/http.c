#define _GNU_SOURCE
#include "http.h"

#include <string.h>
#include <strings.h>

static const char *const methods[] = {
	"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE",
	"PATCH", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK",
	"UNLOCK", "REPORT", "SEARCH", "PURGE", "PRI",
};

bool http_known(const char *method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(methods[i], method))
			return true;
	return false;
}

/* 1: a known method and a space; 0: a prefix of one; -1: neither. */
static int method_state(const char *data, size_t len, size_t *method_len)
{
	size_t i;

	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		size_t n = strlen(methods[i]);

		if (len > n && !memcmp(data, methods[i], n) && data[n] == ' ') {
			*method_len = n;
			return 1;
		}
	}
	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (len <= strlen(methods[i]) && !memcmp(data, methods[i], len))
			return 0;
	return -1;
}

bool http_like(const char *data, size_t len)
{
	size_t n;

	return len > 0 && method_state(data, len, &n) == 1;
}

static void copy_cut(char *to, size_t cap, const char *from, size_t len)
{
	if (len >= cap)
		len = cap - 1;
	memcpy(to, from, len);
	to[len] = '\0';
}

static bool plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] == 0x7f)
			return false;
	return true;
}

/* host[:port], lower-cased; IPv6 in brackets keeps them. */
static bool split_host(const char *text, size_t len, char host[256], int *port)
{
	size_t end = 0, i;

	*port = -1;
	if (len > 0 && text[0] == '[') {
		const char *close = memchr(text, ']', len);

		if (!close)
			return false;
		end = (size_t)(close - text) + 1;
	} else {
		while (end < len && text[end] != ':')
			end++;
	}
	if (end == 0 || end >= 256 || !plain(text, len))
		return false;
	for (i = 0; i < end; i++)
		host[i] = (char)(text[i] >= 'A' && text[i] <= 'Z'
					 ? text[i] + 32 : text[i]);
	host[end] = '\0';
	if (end == len)
		return true;
	if (text[end] != ':' || len - end > 6)
		return false;
	for (i = end + 1, *port = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*port = *port * 10 + (text[i] - '0');
	}
	return *port > 0 && *port < 65536;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0'
	     : c >= 'a' && c <= 'f' ? c - 'a' + 10
	     : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte of a query, decoded; how many bytes of it that took. */
static size_t decoded(const char *text, size_t len, char *c)
{
	int high = len > 2 && *text == '%' ? hex_digit(text[1]) : -1;
	int low = high >= 0 ? hex_digit(text[2]) : -1;

	*c = low < 0 ? *text : (char)(high << 4 | low);
	return low < 0 ? 1 : 3;
}

/*
 * Frameworks take another method from a header or a parameter of these names.
 * To some of them "_" is "-", and PHP makes "_" of more.
 */
static bool overrides(const char *name, size_t len, bool query)
{
	static const char *const names[] = {
		"x-http-method-override", "x-http-method", "x-method-override",
		"-method",
	};
	size_t count = sizeof(names) / sizeof(names[0]) - !query, n = 0;
	char said[24] = "";

	while (len > 0) {
		char c = *name;
		size_t took = query ? decoded(name, len, &c) : 1;

		if (query && (c == '=' || c == '&' || c == ';'))
			break;
		name += took;
		len -= took;
		if (query && n == 0 && (c == ' ' || c == '+'))
			continue;
		if (n + 1 == sizeof(said))
			return false;
		said[n++] = c == '_' || (query && (c == '.' || c == '[' || c == ' ' || c == '+')) ? '-' : c;
	}
	for (size_t i = 0; i < count; i++)
		if (!strcasecmp(said, names[i]))
			return true;
	return false;
}

/* "?a=b&_method=DELETE": WordPress takes that of a GET, too. */
static bool query_overrides(const char *target, size_t len)
{
	const char *query = memchr(target, '?', len);

	for (size_t i = query ? (size_t)(query - target) : len; i < len; i++)
		if ((target[i] == '?' || target[i] == '&' || target[i] == ';') &&
		    overrides(target + i + 1, len - i - 1, true))
			return true;
	return false;
}

/* The authority of "scheme://authority/…" or of a CONNECT target. */
static bool parse_target(const char *target, size_t len,
			 struct http_head *head)
{
	const char *sep = memmem(target, len, "://", 3);
	const char *from = target;
	size_t n = len;

	copy_cut(head->target, sizeof(head->target), target, len);
	head->override = query_overrides(target, len);
	if (len == 0 || !plain(target, len))
		return false;
	if (target[0] == '/' || (len == 1 && target[0] == '*'))
		return true;
	if (strcmp(head->method, "CONNECT") != 0) {
		if (!sep)
			return false;
		from = sep + 3;
		n = len - (size_t)(from - target);
		for (size_t i = 0; i < n; i++) {
			if (from[i] == '#')
				return false;	/* no target has one */
			if (from[i] == '/' || from[i] == '?') {
				n = i;
				break;
			}
		}
	}
	head->has_authority = true;
	return split_host(from, n, head->authority, &head->authority_port);
}

static bool parse_request_line(const char *line, size_t len,
			       struct http_head *head, size_t method_len)
{
	const char *target = line + method_len + 1;
	const char *end = line + len - 9;	/* " HTTP/1.x" */

	if (len < method_len + 11 || target > end ||
	    memcmp(end, " HTTP/", 6) || end[7] != '.' ||
	    (end[6] != '1' && end[6] != '2') || end[8] < '0' || end[8] > '9')
		return false;
	copy_cut(head->method, sizeof(head->method), line, method_len);
	return parse_target(target, (size_t)(end - target), head);
}

static bool is(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

static bool parse_length(const char *text, size_t len, struct http_head *head)
{
	if (head->has_length || len == 0 || len > 18)
		return false;
	head->has_length = true;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		head->body = head->body * 10 + (uint64_t)(text[i] - '0');
	}
	return true;
}

/* Protocols that go on to name hosts, which nobody would read any more. */
static bool names_hosts(const char *text, size_t len)
{
	static const char *const names[] = { "h2", "http/", "tls/" };

	for (size_t i = 0; i < len; i++)
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
			if (len - i >= strlen(names[k]) &&
			    !strncasecmp(text + i, names[k], strlen(names[k])))
				return true;
	return false;
}

/*
 * A field that is named here is for the next hop alone: some proxies take it
 * away, and those behind them read another end or another host.
 */
static bool drops_field(const char *text, size_t len)
{
	static const char *const fields[] = { "host", "content-length",
					      "transfer-encoding" };

	for (size_t at = 0, end; at < len; at = end + 1) {
		while (at < len && (text[at] == ' ' || text[at] == '\t'))
			at++;
		for (end = at; end < len && text[end] != ','; end++)
			;
		for (size_t k = 0; k < sizeof(fields) / sizeof(fields[0]); k++) {
			size_t n = strlen(fields[k]);

			if (end - at >= n &&
			    !strncasecmp(text + at, fields[k], n) &&
			    (end - at == n || text[at + n] == ' ' ||
			     text[at + n] == '\t'))
				return true;
		}
	}
	return false;
}

/* What tells where a request ends: said once, and in one way. */
static bool parse_framing(const char *name, size_t n, const char *value,
			  size_t len, struct http_head *head)
{
	if (is(name, n, "content-length"))
		return !head->chunked && parse_length(value, len, head);
	if (is(name, n, "transfer-encoding")) {
		if (head->has_length || head->chunked)
			return false;
		head->chunked = true;
		return is(value, len, "chunked");
	}
	if (is(name, n, "connection") || is(name, n, "proxy-connection"))
		return !drops_field(value, len);
	if (is(name, n, "upgrade")) {
		head->unread = head->unread || names_hosts(value, len);
		head->upgrade = !head->unread;
	}
	return true;
}

/* A byte of a name (RFC 9110): what else is there, some servers strip. */
static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* A byte of a value: a line end to some servers is a control character. */
static bool is_field(char c)
{
	return c == '\t' || (unsigned char)c > 0x7f || (c >= ' ' && c < 0x7f);
}

static bool parse_header(const char *line, size_t len, struct http_head *head)
{
	const char *colon = memchr(line, ':', len);
	size_t name, i;

	if (!colon || colon == line)
		return false;	/* also catches folded lines without a colon */
	name = (size_t)(colon - line);
	for (i = 0; i < len; i++)
		if (i < name ? !is_token(line[i]) : !is_field(line[i]))
			return false;
	for (i = name + 1; i < len && (line[i] == ' ' || line[i] == '\t'); i++)
		;
	while (len > i && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	head->override = head->override || overrides(line, name, false);
	if (is(line, name, "host")) {
		if (head->has_host)
			return false;
		head->has_host = true;
		return split_host(line + i, len - i, head->host, &head->port);
	}
	return parse_framing(line, name, line + i, len - i, head);
}

static enum http_result loosely(const char *data, size_t len)
{
	struct http_line line = { 0 };

	return http_line(&line, data, len) == HTTP_BAD ? HTTP_BAD : HTTP_NOT;
}

static const char *line_end(const char *from, const char *end)
{
	return memmem(from, (size_t)(end - from), "\r\n", 2);
}

/* No CRLF yet: a bare LF is a line end to some servers and not to others. */
static enum http_result unfinished(const char *from, const char *end,
				   size_t len)
{
	if (memchr(from, '\n', (size_t)(end - from)))
		return HTTP_BAD;
	return len >= HTTP_HEAD_MAX ? HTTP_BAD : HTTP_MORE;
}

/* The first line ends in " HTTP/x.y" before its line end. */
static bool versioned(const char *line, const char *eol)
{
	return eol - line >= 9 && memcmp(eol - 9, " HTTP/", 6) == 0;
}

enum http_result http_parse(const char *data, size_t len,
			    struct http_head *head)
{
	const char *at = data, *end = data + len, *eol;
	size_t method_len = 0;
	int state;

	memset(head, 0, sizeof(*head));
	head->port = head->authority_port = -1;
	if (len == 0)
		return HTTP_MORE;
	state = method_state(data, len, &method_len);
	if (state <= 0)
		return state < 0 ? loosely(data, len) : HTTP_MORE;
	eol = memchr(at, '\n', len);
	if (!eol)
		return len >= HTTP_HEAD_MAX ? HTTP_BAD : HTTP_MORE;
	if (eol[-1] != '\r')
		return loosely(data, len);
	eol--;
	if (!versioned(at, eol))
		return loosely(data, len); /* HTTP/0.9, or another's version */
	if (!parse_request_line(at, (size_t)(eol - at), head, method_len))
		return HTTP_BAD;
	for (;;) {
		at = eol + 2;
		eol = line_end(at, end);
		if (!eol)
			return unfinished(at, end, len);
		if (eol == at) {
			/* The same, however it came in pieces. */
			head->length = (size_t)(at + 2 - data);
			return head->length > HTTP_HEAD_MAX ? HTTP_BAD
							    : HTTP_HEAD;
		}
		if (!parse_header(at, (size_t)(eol - at), head))
			return HTTP_BAD;
	}
}
