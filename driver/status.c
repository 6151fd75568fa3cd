/* Faults, the messages between our processes, and the events on fd 4. */
#define _GNU_SOURCE
#include "status.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

static void set(struct fault *f, const char *code)
{
	*f = (struct fault){.exit = EXIT_SETUP};
	snprintf(f->code, sizeof(f->code), "%s", code);
}

int fault(struct fault *f, const char *code, const char *format, ...)
{
	va_list args;

	set(f, code);
	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return -1;
}

int fault_errno(struct fault *f, const char *code, const char *format, ...)
{
	int saved = errno;
	size_t used;
	va_list args;

	set(f, code);
	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	used = strlen(f->text);
	snprintf(f->text + used, sizeof(f->text) - used, ": %s",
		 strerror(saved));
	errno = saved;
	return -1;
}

void fault_hint(struct fault *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->hint, sizeof(f->hint), format, args);
	va_end(args);
}

int msg_send(int sock, enum msg_type type, int value, const struct fault *f)
{
	struct msg m = {.type = (int)type, .value = value};

	if (f)
		m.fault = *f;
	return RETRY(send(sock, &m, sizeof(m), MSG_NOSIGNAL)) == sizeof(m) ? 0
									   : -1;
}

int msg_send_go(int sock, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msg m = {.type = MSG_GO};
	struct iovec iov = {.iov_base = &m, .iov_len = sizeof(m)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		h.msg_control = &control;
		h.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	return RETRY(sendmsg(sock, &h, MSG_NOSIGNAL)) == sizeof(m) ? 0 : -1;
}

static void take_control(struct msghdr *h, struct msg *m)
{
	struct cmsghdr *c;

	m->sender = 0;
	m->fd = -1;
	for (c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		struct ucred cred;

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&cred, CMSG_DATA(c), sizeof(cred));
			m->sender = cred.pid;
		} else if (c->cmsg_type == SCM_RIGHTS) {
			memcpy(&m->fd, CMSG_DATA(c), sizeof(m->fd));
		}
	}
}

int msg_receive(int sock, struct msg *m, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = RETRY(recvmsg(sock, &h, flags | MSG_CMSG_CLOEXEC));

	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? 0 : -1;
	take_control(&h, m);
	if (n == sizeof(*m))
		return 1;
	errno = EPROTO;
	return -1;
}

static int send_all(struct iovec *iov, size_t count, size_t left)
{
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = count};
	int result = 0;

	while (left > 0) {
		ssize_t sent = RETRY(sendmsg(EVENT_FD, &h, MSG_NOSIGNAL));

		if (sent < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = EVENT_FD, .events = POLLOUT};

			poll(&p, 1, -1);
			continue;
		}
		if (sent < 0) {
			result = -1;
			break;
		}
		left -= (size_t)sent;
		while (h.msg_iovlen > 0 && (size_t)sent >= h.msg_iov->iov_len) {
			sent -= (ssize_t)h.msg_iov->iov_len;
			h.msg_iov++;
			h.msg_iovlen--;
		}
		if (h.msg_iovlen > 0) {
			h.msg_iov->iov_base =
				(char *)h.msg_iov->iov_base + sent;
			h.msg_iov->iov_len -= (size_t)sent;
		}
	}
	return result;
}

int event_frame(const char *json, size_t length)
{
	uint32_t n = (uint32_t)length;
	unsigned char head[4] = {(unsigned char)n, (unsigned char)(n >> 8),
				 (unsigned char)(n >> 16),
				 (unsigned char)(n >> 24)};
	struct iovec iov[2] = {{head, sizeof(head)}, {(void *)json, length}};

	return send_all(iov, 2, sizeof(head) + length);
}

int event_bytes(const void *frames, size_t length)
{
	struct iovec iov = {(void *)(uintptr_t)frames, length};

	return send_all(&iov, 1, length);
}

static int event(const char *format, ...) PRINTF(1, 2);

static int event(const char *format, ...)
{
	char buf[16384];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(buf, sizeof(buf), format, args);
	va_end(args);
	return n < 0 || (size_t)n >= sizeof(buf) ? -1
						 : event_frame(buf, (size_t)n);
}

int event_started(pid_t driver, pid_t init, pid_t agent)
{
	return event("{\"event\":\"started\",\"driver\":%d,\"init\":%d,"
		     "\"agent\":%d}",
		     driver, init, agent);
}

int event_degraded(const char *name, const char *why)
{
	char n[64], w[4096];

	json_escape(n, sizeof(n), name);
	json_escape(w, sizeof(w), why);
	return event("{\"event\":\"degraded\",\"name\":\"%s\",\"why\":\"%s\"}",
		     n, w);
}

int event_error(const struct fault *f)
{
	char code[64], text[6200], hint[3200];
	const char *quote = f->hint[0] ? "\"" : "";

	json_escape(code, sizeof(code), f->code);
	json_escape(text, sizeof(text), f->text);
	json_escape(hint, sizeof(hint), f->hint[0] ? f->hint : "null");
	return event("{\"event\":\"error\",\"exit\":%d,\"code\":\"%s\","
		     "\"message\":\"%s\",\"hint\":%s%s%s}",
		     f->exit, code, text, quote, hint, quote);
}

int event_exit(int status)
{
	if (WIFSIGNALED(status))
		return event("{\"event\":\"exit\",\"signal\":%d}",
			     WTERMSIG(status));
	return event("{\"event\":\"exit\",\"code\":%d}", WEXITSTATUS(status));
}

int event_frozen(const char *by)
{
	return event("{\"event\":\"frozen\",\"by\":\"%s\"}", by);
}

int event_plain(const char *name)
{
	return event("{\"event\":\"%s\"}", name);
}

/* Length of the UTF-8 character at s, or 0 where the bytes are none. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2
		 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

size_t json_escape(char *buf, size_t size, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t used = 0;

	while (*s && used + 7 < size) {
		size_t n = utf8_length(s);

		if (n == 0) {
			memcpy(buf + used, "\\ufffd", 6);
			used += 6;
			s++;
		} else if (*s < 0x20 || *s == 0x7f) {
			used += (size_t)snprintf(buf + used, 7, "\\u%04x", *s);
			s++;
		} else {
			if (*s == '"' || *s == '\\')
				buf[used++] = '\\';
			memcpy(buf + used, s, n);
			used += n;
			s += n;
		}
	}
	buf[used] = '\0';
	return used;
}
