#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * The two ends of bench/gate.mjs, the same for every way between them:
 *
 *     gate_peer server                      prints its three ports and serves
 *     gate_peer client ADDR HTTP SOURCE SINK SECONDS
 *
 * The server answers HTTP with 64 bytes, sends without end, and swallows.
 */

static void check(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int listen_any(int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	      listen(fd, 4096) == 0 &&
	      getsockname(fd, (struct sockaddr *)&a, &len) == 0, "listen");
	*port = ntohs(a.sin_port);
	return fd;
}

static void *source(void *arg)
{
	static char block[1 << 20];
	int fd = (int)(long)arg;

	while (send(fd, block, sizeof(block), MSG_NOSIGNAL) > 0)
		;
	close(fd);
	return NULL;
}

static void *sink(void *arg)
{
	int fd = (int)(long)arg, len;
	char *block = malloc(1 << 20), text[32];
	long total = 0;
	ssize_t n;

	check(block != NULL, "malloc");
	while ((n = recv(fd, block, 1 << 20, 0)) > 0)
		total += n;
	len = snprintf(text, sizeof(text), "%ld", total);
	(void)!write(fd, text, (size_t)len);
	close(fd);
	free(block);
	return NULL;
}

struct acceptor {
	int fd;
	void *(*serve)(void *);
};

static void *accept_loop(void *arg)
{
	const struct acceptor *a = arg;

	for (;;) {
		int fd = accept(a->fd, NULL, NULL);
		pthread_t thread;

		if (fd < 0)
			continue;
		check(pthread_create(&thread, NULL, a->serve,
				     (void *)(long)fd) == 0, "thread");
		pthread_detach(thread);
	}
	return NULL;
}

static const char response[] =
	"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n"
	"0123456789012345678901234567890123456789012345678901234567890123";

static void serve_http(int listener)
{
	int ep = epoll_create1(0), on = 1;
	struct epoll_event e = { .events = EPOLLIN, .data.fd = listener };
	struct epoll_event ev[64];
	char buf[8192];

	check(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e) == 0,
	      "epoll");
	for (;;) {
		int n = epoll_wait(ep, ev, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd;

			if (fd == listener) {
				fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
				if (fd < 0)
					continue;
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
					   sizeof(on));
				e.data.fd = fd;
				epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
			} else if (recv(fd, buf, sizeof(buf), 0) <= 0 ||
				   send(fd, response, sizeof(response) - 1,
					MSG_NOSIGNAL) < 0) {
				close(fd);
			}
		}
	}
}

static int server(void)
{
	static struct acceptor a[2];
	int port[3], http = listen_any(&port[0]);
	pthread_t thread;

	for (int i = 0; i < 2; i++) {
		a[i].fd = listen_any(&port[1 + i]);
		a[i].serve = i == 0 ? source : sink;
		check(pthread_create(&thread, NULL, accept_loop, &a[i]) == 0,
		      "thread");
	}
	printf("%d %d %d\n", port[0], port[1], port[2]);
	fflush(stdout);
	serve_http(http);
	return 0;
}

static int dial(const char *addr, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	check(inet_pton(AF_INET, addr, &a.sin_addr) == 1 && fd >= 0 &&
	      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
	      connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
	return fd;
}

static const char request[] = "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n";

static void keep_alive(const char *addr, int port, int conns, double seconds)
{
	int ep = epoll_create1(0), fds[64];
	struct epoll_event e = { .events = EPOLLIN }, ev[64];
	double start;
	long count = 0;
	char buf[4096];

	for (int i = 0; i < conns; i++) {
		fds[i] = e.data.fd = dial(addr, port);
		check(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e) == 0, "epoll");
		check(send(fds[i], request, sizeof(request) - 1, 0) > 0,
		      "send");
	}
	start = now();
	while (now() - start < seconds) {
		int n = epoll_wait(ep, ev, 64, 1000);

		for (int i = 0; i < n; i++, count++)
			check(recv(ev[i].data.fd, buf, sizeof(buf), 0) > 0 &&
			      send(ev[i].data.fd, request,
				   sizeof(request) - 1, 0) > 0, "request");
	}
	printf("c-keepalive-%d %.0f\n", conns, (double)count / seconds);
	for (int i = 0; i < conns; i++)
		close(fds[i]);
	close(ep);
}

static void new_connections(const char *addr, int port, double seconds)
{
	double start = now();
	long count = 0;
	char buf[4096];

	while (now() - start < seconds) {
		int fd = dial(addr, port);

		check(send(fd, request, sizeof(request) - 1, 0) > 0 &&
		      recv(fd, buf, sizeof(buf), 0) > 0, "request");
		close(fd);
		count++;
	}
	printf("c-new %.0f\n", (double)count / seconds);
}

static void bulk(const char *addr, int from, int to, double seconds)
{
	char *block = calloc(1, 1 << 20), text[32] = "";
	int fd = dial(addr, from);
	double start = now(), total = 0, spent;
	ssize_t n;

	check(block != NULL, "malloc");
	while (now() - start < seconds) {
		n = recv(fd, block, 1 << 20, 0);
		check(n > 0, "recv");
		total += (double)n;
	}
	printf("c-down %.2f\n", total / (now() - start) / 1e9);
	close(fd);
	fd = dial(addr, to);
	start = now();
	while (now() - start < seconds)
		check(send(fd, block, 1 << 20, 0) > 0, "send");
	check(shutdown(fd, SHUT_WR) == 0 && recv(fd, text, 31, 0) > 0, "end");
	spent = now() - start;
	printf("c-up %.2f\n", atof(text) / spent / 1e9);
	close(fd);
	free(block);
}

int main(int argc, char **argv)
{
	double seconds;

	if (argc == 2 && !strcmp(argv[1], "server"))
		return server();
	if (argc != 7 || strcmp(argv[1], "client") != 0)
		return 2;
	seconds = atof(argv[6]);
	keep_alive(argv[2], atoi(argv[3]), 1, seconds);
	keep_alive(argv[2], atoi(argv[3]), 32, seconds);
	new_connections(argv[2], atoi(argv[3]), seconds);
	bulk(argv[2], atoi(argv[4]), atoi(argv[5]), seconds);
	return 0;
}
