#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util.h"

/* Descriptors arrive open: they are closed before anything else happens. */
static bool carries(struct msghdr *h)
{
	bool found = h->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		found = true;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			close(fd);
		}
	}
	return found;
}

static enum relay fill(struct half *h)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 253)]; /* SCM_MAX_FD */
	} control;
	struct iovec iov = {h->bytes, RELAY_BUFFER};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = RETRY(recvmsg(h->from, &m, MSG_CMSG_CLOEXEC));

	if (n < 0)
		return errno == EAGAIN ? RELAY_ON : RELAY_END;
	if (carries(&m))
		return RELAY_RIGHTS;
	if (h->is_keys && !keys_allow(&h->keys, h->bytes, (size_t)n))
		return RELAY_KEYS;
	if (h->is_asked && keys_manage(&h->guess, h->bytes, (size_t)n))
		return RELAY_KEYS;
	h->at = 0;
	h->length = (size_t)n;
	if (n == 0) {
		h->ended = true;
		shutdown(h->to, SHUT_WR);
	}
	return RELAY_ON;
}

static enum relay empty(struct half *h)
{
	ssize_t n = RETRY(send(h->to, h->bytes + h->at, h->length,
			       MSG_NOSIGNAL));

	if (n < 0)
		return errno == EAGAIN ? RELAY_ON : RELAY_END;
	h->at += (size_t)n;
	h->length -= (size_t)n;
	return RELAY_ON;
}

enum relay relay_pump(struct half *h)
{
	enum relay went = RELAY_ON;

	if (h->ended)
		return RELAY_ON;
	if (h->length == 0)
		went = fill(h);
	return went == RELAY_ON && h->length > 0 ? empty(h) : went;
}
