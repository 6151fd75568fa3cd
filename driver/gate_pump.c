#define _GNU_SOURCE
#include "gate_core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Bytes from one side to the other: copied while they are few. Once a direction
 * keeps filling the buffer they are spliced through a pipe, but into a sandbox
 * whose loopback takes large packets: copied, few of those hold much, while
 * one of pages that were spliced holds 17. Nothing is read that has no place
 * to go, so each peer feels the other's pace.
 */

#define BULK_READS 4	/* full buffers in a row: 256 KiB */

static struct pipe_pair *pipe_get(struct core *g)
{
	struct pipe_pair *p = g->pipes;
	int fd[2];

	if (p) {
		g->pipes = p->next;
		return p;
	}
	if (g->pipes_made >= GATE_PIPES)
		return NULL;
	p = malloc(sizeof(*p));
	if (!p)
		return NULL;
	if (pipe2(fd, O_NONBLOCK | O_CLOEXEC) < 0) {
		free(p);
		return NULL;
	}
	/* Refused beyond the user's soft limit: a smaller pipe still works. */
	(void)fcntl(fd[1], F_SETPIPE_SZ, GATE_PIPE_SIZE);
	p->rd = fd[0];
	p->wr = fd[1];
	g->pipes_made++;
	return p;
}

static void pipe_put(struct core *g, struct flow_dir *d)
{
	if (!d->pipe)
		return;
	if (d->piped > 0) {	/* bytes that nobody will take */
		close(d->pipe->rd);
		close(d->pipe->wr);
		free(d->pipe);
		g->pipes_made--;
	} else {
		d->pipe->next = g->pipes;
		g->pipes = d->pipe;
	}
	d->pipe = NULL;
	d->piped = 0;
}

static void stash_drop(struct core *g, struct flow_dir *d)
{
	g->stashed -= d->stash_len;
	free(d->stash);
	d->stash = NULL;
	d->stash_at = d->stash_len = 0;
}

void pump_free(struct core *g, struct conn *c)
{
	for (int i = 0; i < 2; i++) {
		pipe_put(g, &c->d[i]);
		stash_drop(g, &c->d[i]);
	}
}

/* 1 moved, 0 must wait, -1 broken (errno). */
static int push(struct side *to, const char *data, size_t len, size_t *sent)
{
	*sent = 0;
	while (*sent < len) {
		ssize_t n = send(to->src.fd, data + *sent, len - *sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			*sent += (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			to->wr = false;
			return 0;
		} else if (n == 0 || errno != EINTR) {
			return -1;
		}
	}
	return 1;
}

static int push_stash(struct core *g, struct flow_dir *d, struct side *to)
{
	size_t sent;
	int r;

	if (!d->stash)
		return 1;
	r = push(to, d->stash + d->stash_at, d->stash_len - d->stash_at, &sent);
	d->stash_at += (uint32_t)sent;
	if (r > 0)
		stash_drop(g, d);
	return r;
}

static int keep(struct core *g, struct flow_dir *d, const char *data,
		size_t len)
{
	d->stash = malloc(len);
	if (!d->stash)
		return -1;
	memcpy(d->stash, data, len);
	d->stash_at = 0;
	d->stash_len = (uint32_t)len;
	g->stashed += len;
	return 0;
}

/* From the client, now or as soon as there is somebody to take it. */
int pump_put(struct core *g, struct conn *c, const char *data, size_t len)
{
	size_t sent = 0;

	if (c->state == CONN_OPEN && c->s[1].wr) {
		int r = push(&c->s[1], data, len, &sent);

		if (r)
			return r > 0 ? 0 : -1;
	}
	return sent == len ? 0 : keep(g, &c->d[0], data + sent, len - sent);
}

/* After data that had no place: kept behind it, in order. */
static int append(struct core *g, struct flow_dir *d, const char *data,
		  size_t len)
{
	char *more = realloc(d->stash, d->stash_len + len);

	if (!more)
		return -1;
	memcpy(more + d->stash_len, data, len);
	d->stash = more;
	d->stash_len += (uint32_t)len;
	g->stashed += len;
	return 0;
}

/* The same, behind what had no place. */
int pump_add(struct core *g, struct conn *c, const char *data, size_t len)
{
	struct flow_dir *d = &c->d[0];

	if (len == 0)
		return 0;
	return d->stash ? append(g, d, data, len) : pump_put(g, c, data, len);
}

/* Its turn comes again without a new event. */
void pump_later(struct core *g, struct conn *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->work = g->work;
	g->work = c;
}

/* How a read ended: 1 data, 0 nothing more for now, -1 broken. */
static int read_result(struct side *from, ssize_t n, size_t want)
{
	if (n < 0 && errno == EINTR)
		return 1;
	if (n < 0 && errno == EAGAIN) {
		from->rd = false;
		return 0;
	}
	if (n < 0)
		return -1;
	if (n == 0) {
		from->eof = true;
		return 0;
	}
	/* A short read emptied the socket; the next byte is a new edge. */
	if ((size_t)n < want && !from->hup)
		from->rd = false;
	return 1;
}

/* It begins with full reads and ends with small ones. */
static ssize_t bulk_least(const struct flow_dir *d)
{
	return d->full_reads >= BULK_READS ? GATE_READ / 4 : GATE_READ;
}

/* What the client says is not passed as it comes. */
static bool is_read(const struct conn *c)
{
	return c->guard || c->hello == HELLO_SENT || c->hello == HELLO_AGAIN;
}

static int read_client(struct core *g, struct conn *c, size_t len)
{
	return c->guard ? request_feed(g, c, g->copy, len)
			: hello_feed(g, c, g->copy, len);
}

static int read_answer(struct core *g, struct conn *c, size_t len)
{
	if (c->upgrade == UPGRADE_ASKED)
		return request_answered(g, c, g->copy, len);
	return hello_waits(c) ? hello_answered(g, c, g->copy, len) : 0;
}

/* Early data before the server has answered: so much is held, no more. */
static bool client_waits(const struct conn *c)
{
	return request_waits(c) ||
	       (hello_waits(c) && c->head_len >= GATE_READ);
}

static int copy_step(struct core *g, struct conn *c, int i)
{
	struct side *from = &c->s[i], *to = &c->s[!i];
	struct flow_dir *d = &c->d[i];
	size_t want = g->stashed > GATE_STASH_MAX ? GATE_COPY_TIGHT
		    : d->full_reads >= BULK_READS ? GATE_COPY : GATE_READ;
	ssize_t n = recv(from->src.fd, g->copy, want, MSG_DONTWAIT);
	int r = read_result(from, n, want);
	size_t sent;

	if (r <= 0 || n < 0)
		return r;
	d->total += (size_t)n;
	d->full_reads = n < bulk_least(d) ? 0 : d->full_reads + 1;
	if (i == 0 && is_read(c)) {
		d->full_reads = 0;	/* read, so never spliced */
		if (read_client(g, c, (size_t)n) < 0)
			return -1;
		return d->stash ? 0 : 1;
	}
	if (i == 1 && read_answer(g, c, (size_t)n) < 0)
		return -1;
	r = push(to, g->copy, (size_t)n, &sent);
	if (r == 0 && keep(g, d, g->copy + sent, (size_t)n - sent) < 0)
		return -1;
	return r;
}

/* The pipe is emptied before it is filled: EAGAIN then has one meaning. */
static int splice_step(struct flow_dir *d, struct side *from, struct side *to)
{
	ssize_t n;

	if (d->piped == 0) {
		n = splice(from->src.fd, NULL, d->pipe->wr, NULL,
			   GATE_PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n <= 0)
			return read_result(from, n, 0);
		d->total += (size_t)n;
		d->piped = (uint32_t)n;
		if (n < bulk_least(d))
			d->full_reads = 0;
	}
	n = splice(d->pipe->rd, NULL, to->src.fd, NULL, d->piped,
		   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n < 0 && errno == EAGAIN) {
		to->wr = false;
		return 0;
	}
	if (n < 0)
		return errno == EINTR ? 1 : -1;
	d->piped -= (uint32_t)n;
	return 1;
}

/*
 * Bulk gets a pipe. Inside is always near: what is sent there and not yet
 * read is kept small enough to be still in the cache when it is.
 */
static void bulk_begin(struct core *g, struct conn *c, int i)
{
	int size = GATE_INSIDE_SEND, inside = c->ingress ? 1 : 0;

	c->d[i].pipe = pipe_get(g);
	if (c->d[i].pipe && i != inside)
		(void)setsockopt(c->s[inside].src.fd, SOL_SOCKET, SO_SNDBUF,
				 &size, sizeof(size));
}

static bool is_spliced(const struct core *g, const struct conn *c, int i)
{
	bool inward = i != (c->ingress ? 1 : 0);

	return !g->large || !inward ||
	       (!c->ingress && !IN6_IS_ADDR_V4MAPPED(&c->dst.sin6_addr));
}

static int move(struct core *g, struct conn *c, int i)
{
	struct side *from = &c->s[i], *to = &c->s[!i];
	struct flow_dir *d = &c->d[i];
	uint64_t stop = d->total + GATE_TURN;
	int r = push_stash(g, d, to);

	while (r > 0 && to->wr && !(i == 0 && client_waits(c)) &&
	       (d->piped > 0 || (from->rd && !from->eof))) {
		if (d->total >= stop && d->piped == 0) {
			pump_later(g, c);
			return 1;
		}
		if (!d->pipe && d->full_reads >= BULK_READS &&
		    is_spliced(g, c, i))
			bulk_begin(g, c, i);
		if (d->pipe && (d->piped > 0 || d->full_reads >= BULK_READS))
			r = splice_step(d, from, to);
		else
			r = copy_step(g, c, i);
		if (d->full_reads > BULK_READS)
			d->full_reads = BULK_READS;
	}
	if (d->pipe && d->piped == 0 && (!from->rd || from->eof || r < 0))
		pipe_put(g, d);
	return r;
}

/* A half-close is passed on when all before it was. */
static void pass_eof(struct core *g, struct conn *c, int i)
{
	struct side *to = &c->s[!i];

	if (!c->s[i].eof || to->shut || c->d[i].stash || c->d[i].piped > 0 ||
	    (i == 0 && hello_waits(c) && c->head_len > 0))
		return;
	to->shut = true;
	if (c->s[i].shut) {	/* the second: closing says it, too */
		conn_close(g, c, false);
		return;
	}
	if (shutdown(to->src.fd, SHUT_WR) < 0 && errno != ENOTCONN) {
		c->error = errno;
		conn_close(g, c, true);
		return;
	}
	conn_deadline(g, c, GATE_HALF_MS);
}

/*
 * Nobody takes what side i says any more. What the other one said before it
 * left, such as why a large body is refused, still waits to be read, and is
 * passed on.
 */
void pump_broken(struct core *g, struct conn *c, int i, int err)
{
	c->error = err;
	if ((err == EPIPE || err == ECONNRESET) && c->state == CONN_OPEN) {
		c->s[!i].rd = true;
		if (c->sniff == SNIFF_DONE)
			(void)move(g, c, !i);
		else if (c->sniff == SNIFF_PENDING && i == 1)
			sniff_step(g, c);
	}
	conn_close(g, c, true);
}

void pump(struct core *g, struct conn *c, int i)
{
	uint64_t before = c->d[i].total;

	if (c->s[!i].src.fd < 0)
		return;
	if (move(g, c, i) < 0) {
		pump_broken(g, c, i, errno);
		return;
	}
	pass_eof(g, c, i);
	/* Half-closed is fine as long as something moves. */
	if (!c->dead && c->deadline && c->d[i].total != before &&
	    (c->s[0].shut || c->s[1].shut))
		conn_deadline(g, c, GATE_HALF_MS);
}

/* Those who used up their turn go on after everybody had one. */
void pump_turn(struct core *g)
{
	struct conn *c = g->work, *next;

	g->work = NULL;
	for (; c; c = next) {
		next = c->work;
		c->queued = false;
		if (c->dead || c->state != CONN_OPEN)
			continue;
		if (c->sniff == SNIFF_DONE)
			pump(g, c, 0);
		if (!c->dead)
			pump(g, c, 1);
	}
}
