/* Commands from the supervisor: frames on fd 4, see docs/driver-protocol.md. */
#define _GNU_SOURCE
#include "control.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "util.h"

int control_fill(struct control *c, int fd)
{
	size_t room = sizeof(c->bytes) - c->used;
	ssize_t n = RETRY(recv(fd, c->bytes + c->used, room, MSG_DONTWAIT));

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -1;
	c->used += (size_t)n;
	return 0;
}

enum command control_next(struct control *c, int *signal)
{
	const unsigned char *b = c->bytes;
	enum command command;
	uint32_t length;

	if (c->used < 4)
		return COMMAND_NONE;
	length = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
		 (uint32_t)b[3] << 24;
	if (length > CONTROL_MAX)
		return COMMAND_BAD;
	if (c->used < 4 + length)
		return COMMAND_NONE;
	command = control_parse((const char *)b + 4, length, signal);
	c->used -= 4 + length;
	memmove(c->bytes, b + 4 + length, c->used);
	return command;
}

struct scan {
	const char *at, *end;
};

static void skip_space(struct scan *s)
{
	while (s->at < s->end && strchr(" \t\r\n", *s->at))
		s->at++;
}

static bool skip_char(struct scan *s, char c)
{
	skip_space(s);
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* A string without escapes: no command needs one. */
static bool scan_string(struct scan *s, char *out, size_t size)
{
	size_t n = 0;

	if (!skip_char(s, '"'))
		return false;
	while (s->at < s->end && *s->at != '"') {
		if (*s->at == '\\' || n + 1 >= size)
			return false;
		out[n++] = *s->at++;
	}
	out[n] = '\0';
	return skip_char(s, '"');
}

static bool scan_number(struct scan *s, int *out)
{
	const char *from;

	skip_space(s);
	from = s->at;
	*out = 0;
	while (s->at < s->end && *s->at >= '0' && *s->at <= '9' &&
	       s->at - from < 4)
		*out = *out * 10 + (*s->at++ - '0');
	return s->at > from;
}

enum command control_parse(const char *json, size_t length, int *signal)
{
	struct scan s = {json, json + length};
	char key[16], what[16] = "";

	*signal = 0;
	if (!skip_char(&s, '{'))
		return COMMAND_BAD;
	do {
		if (!scan_string(&s, key, sizeof(key)) || !skip_char(&s, ':'))
			return COMMAND_BAD;
		if (same(key, "do") ? !scan_string(&s, what, sizeof(what))
		    : same(key, "signal") ? !scan_number(&s, signal)
					  : true)
			return COMMAND_BAD;
	} while (skip_char(&s, ','));
	if (!skip_char(&s, '}'))
		return COMMAND_BAD;
	skip_space(&s);
	if (s.at != s.end)
		return COMMAND_BAD;
	if (same(what, "kill"))
		return COMMAND_KILL;
	if (same(what, "go"))
		return COMMAND_GO;
	if (same(what, "signal") && *signal > 0 && *signal < NSIG)
		return COMMAND_SIGNAL;
	return COMMAND_BAD;
}
