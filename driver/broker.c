/*
 * Brokers host sockets: the agent reaches a socket of ours, and bytes are
 * copied to and from the real one. The real one is never in the view, for
 * through it descriptors could pass, which no layer or gate would see: a
 * connection on which either side sends one is ended.
 */
#define _GNU_SOURCE
#include "broker.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "broker_harden.h"
#include "gate_fd.h"
#include "notes.h"
#include "relay.h"
#include "sys.h"

enum { LINKS_MAX = 128, BACKLOG = 64 };

struct link {
	int socket; /* index of the spec's; -1: this slot is free */
	pid_t pid;  /* who connected */
	struct half half[2];
};

struct state {
	const struct spec *spec;
	struct notes notes;
	int listeners[SPEC_MAX_SOCKETS];
	struct link links[LINKS_MAX];
	size_t nlinks;
	struct pollfd polls[SPEC_MAX_SOCKETS + 2 * LINKS_MAX];
};

/* A path may be longer than an address: it is named below its directory. */
static int address_of(const char *path, int *dir, struct sockaddr_un *un)
{
	const char *name = strrchr(path, '/') + 1;
	char parent[PATH_MAX];
	int n;

	snprintf(parent, sizeof(parent), "%.*s", (int)(name - path), path);
	*dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dir < 0)
		return -1;
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(un->sun_path, sizeof(un->sun_path), "%s/%s",
		     fd_path(*dir).text, name);
	if ((size_t)n < sizeof(un->sun_path))
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int listen_at(const char *path)
{
	AUTO_FD int dir = -1;
	AUTO_FD int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK |
						   SOCK_CLOEXEC, 0);
	struct sockaddr_un un;
	mode_t mask;
	int bound;

	if (sock < 0 || address_of(path, &dir, &un))
		return -1;
	mask = umask(0177);
	bound = bind(sock, (struct sockaddr *)&un, sizeof(un));
	umask(mask);
	if (bound || listen(sock, BACKLOG))
		return -1;
	return take_fd(&sock);
}

/* The real socket, looked up anew each time: its server may have restarted. */
static int dial(const char *path)
{
	struct k_open_how how = {.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW,
				 .resolve = K_RESOLVE_NO_SYMLINKS};
	AUTO_FD int at = sys_openat2(AT_FDCWD, path, &how);
	AUTO_FD int sock = -1;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct stat st;

	if (at < 0 || fstat(at, &st))
		return -1;
	if (!S_ISSOCK(st.st_mode)) {
		errno = ENOTSOCK;
		return -1;
	}
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", fd_path(at).text);
	if (sock < 0 || connect(sock, (struct sockaddr *)&un, sizeof(un)))
		return -1;
	return take_fd(&sock);
}

/* An event of the driver: what became of a connection. */
static void note(struct state *s, int socket, pid_t pid,
		 const char *what, const char *why)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "{\"event\":\"socket\",\"socket\":%d,\"pid\":%d,"
			 "\"what\":\"%s\",\"why\":\"%s\"}",
			 socket, pid, what, why);

	notes_add(&s->notes, text, (size_t)n);
	notes_flush(&s->notes);
}

static void drop(struct state *s, struct link *l)
{
	close(l->half[0].from);
	close(l->half[1].from);
	free(l->half[0].bytes);
	free(l->half[1].bytes);
	l->socket = -1;
	s->nlinks--;
}

static struct link *free_link(struct state *s)
{
	for (size_t i = 0; i < LINKS_MAX; i++)
		if (s->links[i].socket < 0)
			return &s->links[i];
	return NULL;
}

static pid_t peer_of(int sock)
{
	struct ucred cred = {0};
	socklen_t size = sizeof(cred);

	getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &size);
	return cred.pid;
}

static void admit(struct state *s, int index)
{
	AUTO_FD int inside = accept4(s->listeners[index], NULL, NULL,
				     SOCK_NONBLOCK | SOCK_CLOEXEC);
	AUTO_FD int outside = -1;
	struct link *l = free_link(s);
	pid_t pid;

	if (inside < 0 || !l)
		return;
	pid = peer_of(inside);
	outside = dial(s->spec->sockets[index].target);
	if (outside < 0) {
		note(s, index, pid, "failed", strerror(errno));
		return;
	}
	*l = (struct link){.socket = index, .pid = pid};
	l->half[0] = (struct half){.from = inside, .to = outside,
				   .bytes = malloc(RELAY_BUFFER),
				   .is_keys = s->spec->sockets[index].is_keys,
				   .is_asked = !s->spec->sockets[index].is_keys};
	l->half[1] = (struct half){.from = outside, .to = inside,
				   .bytes = malloc(RELAY_BUFFER)};
	s->nlinks++;
	take_fd(&inside);
	take_fd(&outside);
	if (!l->half[0].bytes || !l->half[1].bytes) {
		drop(s, l);
		return;
	}
	/* Before a byte passes. */
	note(s, index, pid, "open", "");
}

static void serve(struct state *s, struct link *l)
{
	for (int i = 0; i < 2; i++) {
		enum relay went = relay_pump(&l->half[i]);

		if (went == RELAY_RIGHTS)
			note(s, l->socket, l->pid, "rights",
			     "a descriptor was sent");
		if (went == RELAY_KEYS)
			note(s, l->socket, l->pid, "keys",
			     "more was asked of a key agent than to use keys");
		if (went != RELAY_ON) {
			drop(s, l);
			return;
		}
	}
	if (l->half[0].ended && l->half[1].ended)
		drop(s, l);
}

/* What each descriptor is waited for; -1 where there is nothing to wait for. */
static void ask(struct state *s)
{
	size_t n = s->spec->nsockets;

	for (size_t i = 0; i < n; i++)
		s->polls[i] = (struct pollfd){
			.fd = s->nlinks < LINKS_MAX ? s->listeners[i] : -1,
			.events = POLLIN};
	for (size_t i = 0; i < LINKS_MAX; i++) {
		const struct link *l = &s->links[i];

		for (size_t j = 0; j < 2; j++) {
			const struct half *h = &l->half[j];
			struct pollfd *p = &s->polls[n + 2 * i + j];
			bool full = h->length > 0;

			*p = (struct pollfd){
				.fd = l->socket < 0 || h->ended ? -1
				      : full			? h->to
								: h->from,
				.events = full ? POLLOUT : POLLIN};
		}
	}
}

static void turn(struct state *s)
{
	size_t n = s->spec->nsockets;

	ask(s);
	if (poll(s->polls, n + 2 * LINKS_MAX, -1) < 0)
		return;
	for (size_t i = 0; i < LINKS_MAX; i++)
		if (s->links[i].socket >= 0 &&
		    (s->polls[n + 2 * i].revents ||
		     s->polls[n + 2 * i + 1].revents))
			serve(s, &s->links[i]);
	for (size_t i = 0; i < n; i++)
		if (s->polls[i].revents)
			admit(s, (int)i);
}

/*
 * Who: a child of the driver, the user's own process in the host's
 * namespaces. Rights: none but to connect to unix sockets. End: with the
 * driver. It copies what the agent and host servers write, and reads nothing
 * but what is asked of a key agent.
 */
static _Noreturn void broker_main(struct state *s, pid_t parent)
{
	int keep[SPEC_MAX_SOCKETS + 1];
	size_t n = 0;

	for (; n < s->spec->nsockets; n++)
		keep[n] = s->listeners[n];
	keep[n++] = s->notes.sock;
	if (setsid() < 0 || fd_die_with(parent) || fd_detach_stdio(-1) ||
	    fd_close_except(keep, n) || broker_harden())
		_exit(1);
	for (size_t i = 0; i < LINKS_MAX; i++)
		s->links[i].socket = -1;
	note(s, -1, 0, "ready", "");
	for (;;)
		turn(s);
}

static int make_listeners(struct state *s, struct fault *f)
{
	for (size_t i = 0; i < s->spec->nsockets; i++) {
		const char *path = s->spec->sockets[i].listen;

		s->listeners[i] = listen_at(path);
		if (s->listeners[i] < 0)
			return fault_errno(f, "socket", "can't listen at %s",
					   path);
	}
	return 0;
}

static void close_listeners(const struct state *s)
{
	for (size_t i = 0; i < s->spec->nsockets; i++)
		if (s->listeners[i] >= 0)
			close(s->listeners[i]);
}

/* Its first word; without it the agent must not start. */
static int wait_ready(const struct broker *b, struct fault *f)
{
	char text[256];

	if (RETRY(recv(b->notes, text, sizeof(text), 0)) > 0)
		return 0;
	fault(f, "socket", "can't confine the broker of host sockets");
	fault_hint(f, "The kernel needs CONFIG_SECCOMP_FILTER; or take "
		      "`sockets.allow` out of the policy");
	return -1;
}

int broker_start(const struct spec *spec, struct broker *b, struct fault *f)
{
	static struct state s;
	pid_t self = getpid();
	int pair[2];

	s.spec = spec;
	*b = (struct broker){.notes = -1};
	if (spec->nsockets == 0)
		return 0;
	for (size_t i = 0; i < spec->nsockets; i++)
		s.listeners[i] = -1;
	if (make_listeners(&s, f)) {
		close_listeners(&s);
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		close_listeners(&s);
		return fault_errno(f, "socket", "can't create a socket pair");
	}
	s.notes.sock = pair[1];
	b->pid = fork();
	if (b->pid == 0)
		broker_main(&s, self);
	close_listeners(&s);
	close(pair[1]);
	b->notes = pair[0];
	if (b->pid < 0)
		return fault_errno(f, "socket", "can't start the broker");
	return wait_ready(b, f);
}
