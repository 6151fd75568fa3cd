/* Attempts on the files, the processes and the network of the host. */
#define _GNU_SOURCE
#include "climb.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* "it worked", or the errno; what was to be absent or refused is not there. */
static bool absent(struct climb *c, long rc)
{
	int why = errno;
	bool refused = climb_refused(c, rc);

	return refused || (rc < 0 && (why == ENOENT || why == ESRCH));
}

/*
 * A write has to succeed: contained, not refused. Whether the host is as it
 * was, the caller looks at from outside.
 */
static bool did(struct climb *c, int rc)
{
	snprintf(c->detail, sizeof(c->detail), "%s",
		 rc ? strerror(errno) : "done, in the layer");
	return rc == 0;
}

static int put(const char *path, int flags)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);

	return fd < 0 || write(fd, "climbed\n", 8) != 8 ? -1 : 0;
}

static bool overwrite(struct climb *c)
{
	return did(c, put("keep.txt", O_TRUNC));
}

static bool create(struct climb *c)
{
	return did(c, put("new.txt", O_CREAT | O_EXCL));
}

static bool erase(struct climb *c)
{
	return did(c, unlink("gone.txt"));
}

static bool secret(struct climb *c)
{
	char text[64];
	AUTO_FD int fd = open("secret.txt", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return absent(c, -1);
	/* Where nothing can be made absent, an empty file lies over it. */
	return read(fd, text, sizeof(text)) == 0 ? true : absent(c, 0);
}

static bool variable(struct climb *c)
{
	return !getenv("SELFTEST_API_TOKEN") && !getenv("LD_AUDIT")
		       ? true
		       : absent(c, 0);
}

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	int found = 0;

	if (!dir)
		return -1;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		found += !same(e->d_name, ".") && !same(e->d_name, "..");
	closedir(dir);
	return found;
}

static bool store(struct climb *c)
{
	char path[PATH_MAX];
	int found = entries(c->store);

	if (found > 0)
		return absent(c, 0);
	snprintf(path, sizeof(path), "/proc/1/root%s", c->store);
	found = entries(path);
	return found == 0 ? true : absent(c, found);
}

/* Every namespace is another than the host's. */
static bool apart(struct climb *c)
{
	for (char *const *host = c->namespaces; *host; host++) {
		char path[PATH_MAX], own[64];
		int kind = (int)strcspn(*host, ":");
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/ns/%.*s", kind, *host);
		length = readlink(path, own, sizeof(own) - 1);
		if (length < 0)
			return absent(c, -1);
		own[length] = '\0';
		if (!same(own, *host))
			continue;
		snprintf(c->detail, sizeof(c->detail),
			 "%.*s is the host's own", kind, *host);
		return false;
	}
	return *c->namespaces != NULL;
}

static bool trace(struct climb *c)
{
	return climb_refused(c, ptrace(PTRACE_SEIZE, 1, NULL, NULL));
}

static bool memory(struct climb *c)
{
	AUTO_FD int fd = open("/proc/1/mem", O_RDWR | O_CLOEXEC);

	return absent(c, fd);
}

static bool root_of_init(struct climb *c)
{
	AUTO_FD int fd = open("/proc/1/root", O_PATH | O_CLOEXEC);

	/* Where it opens, it is the view's root and nothing else. */
	if (fd >= 0) {
		struct stat theirs, ours;

		return fstat(fd, &theirs) == 0 && stat("/", &ours) == 0 &&
		       theirs.st_dev == ours.st_dev &&
		       theirs.st_ino == ours.st_ino;
	}
	return absent(c, -1);
}

/* Anything but an answer of the other side is a wall. */
static bool unreached(struct climb *c, int rc)
{
	snprintf(c->detail, sizeof(c->detail), "%s",
		 rc ? strerror(errno) : "connected");
	return rc != 0;
}

static bool unix_door(struct climb *c)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX,
				 .sun_path = "door.sock"};
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return unreached(c, connect(fd, (void *)&to, sizeof(to)));
}

static bool abstract_door(struct climb *c)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int length = snprintf(to.sun_path + 1, sizeof(to.sun_path) - 1,
			      "agentfw-selftest-%d", c->port);

	return unreached(c, connect(fd, (void *)&to,
				    (socklen_t)(offsetof(struct sockaddr_un,
							 sun_path) +
						1 + (size_t)length)));
}

/*
 * The gate may accept before it refuses: what counts is that no word of a
 * server comes back. The caller also looks whether its own was reached.
 */
static bool silent(struct climb *c, int fd, const void *to, socklen_t size)
{
	static const char hello[] = "GET / HTTP/1.0\r\n\r\n";
	const struct timeval most = {.tv_sec = 5};
	char text[32] = "";
	ssize_t got = -1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	if (connect(fd, to, size) == 0 &&
	    send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) > 0)
		got = recv(fd, text, sizeof(text) - 1, 0);
	snprintf(c->detail, sizeof(c->detail), "%s",
		 got > 0    ? "refused with an answer"
		 : got == 0 ? "closed at once"
			    : strerror(errno));
	/* The gate's own refusal is the only answer that may come. */
	return got <= 0 || strstr(text, " 403 ") != NULL || text[0] == 0x15;
}

static bool reach(struct climb *c, const char *address, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port)};
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &to.sin_addr);
	return silent(c, fd, &to, sizeof(to));
}

static bool loopback(struct climb *c)
{
	return reach(c, "127.0.0.1", c->port);
}

/* TEST-NET-1 of RFC 5737: leads nowhere even where nothing stops it. */
static bool internet(struct climb *c)
{
	return reach(c, "192.0.2.1", 443);
}

static bool metadata(struct climb *c)
{
	return reach(c, "169.254.169.254", 80);
}

static bool internet6(struct climb *c)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6,
				  .sin6_port = htons(443)};
	AUTO_FD int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET6, "2001:db8::1", &to.sin6_addr);
	return silent(c, fd, &to, sizeof(to));
}

const struct climb_row climb_reach[] = {
	{"files.overwrite", overwrite},
	{"files.create", create},
	{"files.delete", erase},
	{"secrets.file", secret},
	{"secrets.variable", variable},
	{"secrets.store", store},
	{"processes.namespaces", apart},
	{"processes.trace", trace},
	{"processes.memory", memory},
	{"processes.root", root_of_init},
	{"sockets.file", unix_door},
	{"sockets.abstract", abstract_door},
	{"network.loopback", loopback},
	{"network.address", internet},
	{"network.address6", internet6},
	{"network.metadata", metadata},
	{NULL, NULL},
};
