#define _GNU_SOURCE
#include "gate_core.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 250
#define EVENTS 256

int gate_watch(struct core *g, struct source *src, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = src };

	return epoll_ctl(g->epoll, EPOLL_CTL_ADD, src->fd, &e);
}

/* Unique while the gate lives; the slot is found without a search. */
uint64_t gate_id(struct core *g, uint32_t slot)
{
	return ++g->next_id * GATE_CONNS_MAX + slot;
}

/* What is still to be said of every connection, as far as somebody reads. */
static void last_words(struct core *g)
{
	struct pollfd p = { .fd = g->channel.fd, .events = POLLOUT };

	while (g->all)
		conn_close(g, g->all, true);
	udp_end(g);
	for (int turn = 0; turn < 20 && g->out_len > 0; turn++) {
		chan_flush(g);
		if (g->out_len > 0)
			(void)poll(&p, 1, 25);
	}
}

void gate_fatal(struct core *g, const char *why)
{
	if (g->ending)
		_exit(1);
	g->ending = true;
	fprintf(stderr, "agentfw gate: %s\n", why);
	last_words(g);
	_exit(1);
}

static uint64_t monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void listen_for(struct core *g, struct source *listener,
		       uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = listener };

	if (epoll_ctl(g->epoll, EPOLL_CTL_MOD, listener->fd, &e) < 0)
		gate_fatal(g, "can't watch a listener");
}

void gate_pause(struct core *g, struct source *listener, uint64_t ms)
{
	listen_for(g, listener, 0);
	g->paused = true;
	if (g->resume < g->now + ms)
		g->resume = g->now + ms;
}

static void resume(struct core *g)
{
	if (!g->paused || g->conns >= g->conns_max || g->now < g->resume)
		return;
	g->paused = false;
	listen_for(g, &g->listener, EPOLLIN);
	for (uint32_t i = 0; i < g->doors; i++)
		if (g->door[i]->src.fd >= 0)
			listen_for(g, &g->door[i]->src, EPOLLIN);
}

static void dispatch(struct core *g, struct source *src, uint32_t events)
{
	switch (src->kind) {
	case SRC_CHANNEL:
		chan_readable(g);
		break;
	case SRC_NETD:
		netd_readable(g);
		break;
	case SRC_LISTENER:
		conn_accept(g, src, false);
		break;
	case SRC_DNS:
		dns_udp(g);
		break;
	case SRC_DNS_TCP:
		dns_tcp(g, src, events);
		break;
	case SRC_UDP:
		udp_arrived(g);
		break;
	case SRC_CLIENT:
		conn_client(g, (struct conn *)(void *)
			    ((char *)src - offsetof(struct conn, s[0])),
			    events);
		break;
	case SRC_UPSTREAM:
		conn_upstream(g, (struct conn *)(void *)
			      ((char *)src - offsetof(struct conn, s[1])),
			      events);
		break;
	case SRC_FLOW_IN:
	case SRC_FLOW_OUT:
		udp_flow(g, src);
		break;
	case SRC_DOOR:
		door_accept(g, (struct door *)(void *)src);
		break;
	}
}

static void tick(struct core *g)
{
	static uint64_t next;

	if (g->now < next)
		return;
	next = g->now + TICK_MS;
	g->who_tokens += GATE_WHO_PER_SECOND * TICK_MS / 1000;
	if (g->who_tokens > GATE_WHO_PER_SECOND)
		g->who_tokens = GATE_WHO_PER_SECOND;
	conn_tick(g);
	dns_tick(g);
	udp_tick(g);
}

static int wait_ms(const struct core *g)
{
	if (g->work)
		return 0;
	if (g->out_len > 0)
		return GATE_TELL_MS;
	if (g->paused || g->timed || g->dns_waiting || g->flows)
		return TICK_MS;
	return -1;
}

/*
 * Who: the child of the driver that holds every connection of the sandbox,
 * in the host's namespaces, with the user's rights minus those that
 * gate_harden takes. It reads what the agent and the world send. End: with
 * the driver, the supervisor's channel or netd; the driver sees it.
 */
void gate_run(struct core *g)
{
	struct epoll_event ev[EVENTS];

	for (;;) {
		int n = epoll_wait(g->epoll, ev, EVENTS, wait_ms(g));

		if (n < 0 && errno != EINTR)
			gate_fatal(g, "can't wait for events");
		g->now = monotonic_ms();
		for (int i = 0; i < n; i++)
			dispatch(g, ev[i].data.ptr, ev[i].events);
		pump_turn(g);
		tick(g);
		resume(g);
		chan_turn(g);
		conn_bury(g);
		door_bury(g);
	}
}
