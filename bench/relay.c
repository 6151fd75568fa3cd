/*
 * The floor of any gate: a namespace whose loopback is relayed to ours, with
 * no decision, record, name or check.
 *
 *     relay PORT… -- COMMAND…
 *
 * Two threads for each connection, one for each direction, splice through a
 * pipe of a mebibyte.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORTS = 8, PIPE = 1 << 20 };

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void *one_way(void *pair)
{
	int *fd = pair, pipes[2];
	ssize_t n;

	check(pipe2(pipes, O_CLOEXEC) == 0, "pipe");
	fcntl(pipes[1], F_SETPIPE_SZ, PIPE);
	while ((n = splice(fd[0], NULL, pipes[1], NULL, PIPE, SPLICE_F_MOVE)) > 0)
		while (n > 0) {
			ssize_t m = splice(pipes[0], NULL, fd[1], NULL,
					   (size_t)n, SPLICE_F_MOVE);

			if (m <= 0)
				goto out;
			n -= m;
		}
out:
	shutdown(fd[1], SHUT_WR);
	close(pipes[0]);
	close(pipes[1]);
	return NULL;
}

/* A connection, until both directions have ended. */
static void *both_ways(void *arg)
{
	int *pair = arg, back[2] = { pair[1], pair[0] }, on = 1;
	pthread_t other;

	setsockopt(pair[0], SOL_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(pair[1], SOL_TCP, TCP_NODELAY, &on, sizeof(on));
	check(pthread_create(&other, NULL, one_way, back) == 0, "thread");
	one_way(pair);
	pthread_join(other, NULL);
	close(pair[0]);
	close(pair[1]);
	free(pair);
	return NULL;
}

static void take(int listener, int port)
{
	struct sockaddr_in to = loopback(port);
	int *pair = malloc(2 * sizeof(*pair));
	pthread_attr_t attr;
	pthread_t thread;

	check(pair != NULL, "memory");
	pair[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	pair[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(pair[0] >= 0 && pair[1] >= 0, "socket");
	if (connect(pair[1], (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(pair[0]);
		close(pair[1]);
		free(pair);
		return;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	check(pthread_create(&thread, &attr, both_ways, pair) == 0, "thread");
}

/* Listeners in a network namespace of their own, made while this thread is in it. */
static void listen_inside(const int *port, int ports, struct pollfd *p)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s, on = 1;

	check(unshare(CLONE_NEWNET) == 0, "unshare (as root)");
	s = socket(AF_INET, SOCK_DGRAM, 0);
	check(ioctl(s, SIOCSIFFLAGS, &lo) == 0, "lo up");
	close(s);
	for (int i = 0; i < ports; i++) {
		struct sockaddr_in at = loopback(port[i]);

		p[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		p[i].events = POLLIN;
		setsockopt(p[i].fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		check(bind(p[i].fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
			      listen(p[i].fd, 4096) == 0, "listen");
	}
}

int main(int argc, char **argv)
{
	int outside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int port[PORTS], ports = 0, status = 1;
	struct pollfd p[PORTS];
	pid_t child;

	while (ports < PORTS && 1 + ports < argc && strcmp(argv[1 + ports], "--")) {
		port[ports] = atoi(argv[1 + ports]);
		ports++;
	}
	if (!ports || argc < ports + 3)
		return 2;
	listen_inside(port, ports, p);
	signal(SIGPIPE, SIG_IGN);
	child = fork();
	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		execvp(argv[ports + 2], argv + ports + 2);
		_exit(127);
	}
	check(child > 0 && setns(outside, CLONE_NEWNET) == 0, "setns");
	while (waitpid(child, &status, WNOHANG) == 0)
		if (poll(p, (nfds_t)ports, 50) > 0)
			for (int i = 0; i < ports; i++)
				if (p[i].revents & POLLIN)
					take(p[i].fd, port[i]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
