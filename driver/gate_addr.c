#define _GNU_SOURCE
#include "gate_addr.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void addr_map(struct sockaddr_in6 *a)
{
	struct sockaddr_in v4;

	if (a->sin6_family != AF_INET)
		return;
	memcpy(&v4, a, sizeof(v4));
	memset(a, 0, sizeof(*a));
	a->sin6_family = AF_INET6;
	a->sin6_port = v4.sin_port;
	memset(a->sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(a->sin6_addr.s6_addr + 12, &v4.sin_addr, 4);
}

bool addr_only4(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_INET;
}

socklen_t addr_for(int fd, const struct sockaddr_in6 *a,
		   struct sockaddr_storage *to)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	if (!addr_only4(fd)) {
		memcpy(to, a, sizeof(*a));
		return sizeof(*a);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = a->sin6_port;
	/* Unspecified is so in both; any other IPv6 address can't be here. */
	memcpy(&v4->sin_addr, a->sin6_addr.s6_addr + 12, 4);
	return sizeof(*v4);
}

int addr_socket(int type)
{
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int off = 0;

	if (fd < 0 && errno == EAFNOSUPPORT)
		return socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off,
				  sizeof(off)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}
