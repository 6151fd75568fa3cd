#define _GNU_SOURCE
#include "netd.h"
#include "gate_addr.h"
#include "gate_fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * "AnyIP": loopback up, one global address on it (resolvers and Java look
 * for one; it is also the source of every connection), every address local.
 * Then the rung that brings connections to the gate's listener.
 */

static const uint8_t own6[16] = {
	0xfd, 0x00, 0xa6, 0xe7, [15] = 2,
};

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int failed(struct netd_hello *hello, int err, const char *step)
{
	hello->err = err;
	snprintf(hello->step, sizeof(hello->step), "%s", step);
	return err;
}

enum { PACKET_MAX = 8 * 65535 }; /* the most that loopback takes */

/*
 * Bulk in fewer packets. A kernel that has no such thing (before 6.3) passes
 * over the wish and says that all is well; one that has refuses too much.
 */
static bool large_packets(void)
{
	return nl_loopback_large(UINT32_MAX) == -EINVAL &&
	       nl_loopback_large(PACKET_MAX) == 0;
}

static bool has_v6_sockets(void)
{
	int fd = addr_socket(SOCK_STREAM);
	bool has = fd >= 0 && !addr_only4(fd);

	if (fd >= 0)
		close(fd);
	return has;
}

static int base_network(struct netd_hello *hello, struct nft_own *own)
{
	int err;

	own->v4.s_addr = htonl(GATE_OWN4);
	memcpy(&own->v6, own6, sizeof(own->v6));
	own->port = GATE_PORT;
	err = nl_loopback_up();
	if (err)
		return failed(hello, err, "bring loopback up");
	hello->large = large_packets();
	err = nl_loopback_address(AF_INET, &own->v4);
	if (!err)
		err = nl_anyip(AF_INET, &own->v4);
	if (err)
		return failed(hello, err, "make every address local");
	/* A kernel booted without IPv6 has nothing to guard there. */
	own->has_v6 = has_v6_sockets() &&
		      !nl_loopback_address(AF_INET6, &own->v6) &&
		      !nl_anyip(AF_INET6, &own->v6);
	hello->has_v6 = own->has_v6;
	return 0;
}

static int transparent_both(int fd)
{
	if (set_option(fd, SOL_IP, IP_TRANSPARENT, 1) < 0)
		return -1;
	return addr_only4(fd) ? 0
			      : set_option(fd, SOL_IPV6, IPV6_TRANSPARENT, 1);
}

static int dual_stack(int type, uint16_t port, int transparent)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons(port) };
	struct sockaddr_storage at;
	int fd = addr_socket(type);
	int err;

	if (fd < 0)
		return -1;
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
	    (!transparent || transparent_both(fd) == 0) &&
	    bind(fd, (struct sockaddr *)&at, addr_for(fd, &any, &at)) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static int make_listening(int fd)
{
	/* Accepted sockets inherit all of it. */
	if (set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0 ||
	    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) < 0 ||
	    fd_reset_at_end(fd, 1) < 0 ||
	    listen(fd, 4096) < 0)
		return -1;
	return fd;
}

int netd_listener(const struct sockaddr_in6 *address, int transparent)
{
	struct sockaddr_storage at;
	int fd = addr_socket(SOCK_STREAM);
	int err;

	if (fd < 0)
		return -1;
	if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) == 0 &&
	    (!transparent || transparent_both(fd) == 0) &&
	    bind(fd, (struct sockaddr *)&at, addr_for(fd, address, &at)) == 0 &&
	    make_listening(fd) >= 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* Transparent: it answers from whatever address was asked. */
static int dns_socket(void)
{
	int fd = dual_stack(SOCK_DGRAM, 53, 1);

	if (fd < 0)
		return -1;
	if ((addr_only4(fd) ? set_option(fd, SOL_IP, IP_PKTINFO, 1)
			    : set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO,
					 1)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Captured datagrams with their destination. */
static int udp_socket(void)
{
	int fd = dual_stack(SOCK_DGRAM, GATE_PORT, 1);

	if (fd >= 0 &&
	    (set_option(fd, SOL_IP, IP_RECVORIGDSTADDR, 1) < 0 ||
	     (!addr_only4(fd) &&
	      set_option(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR, 1) < 0))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool try_rung(enum netd_rung rung, const struct nft_own *own,
		     struct netd_hello *hello)
{
	static const char *const names[] = { "", "nftables tproxy",
					     "nftables redir", "" };
	int err = 0;

	if (rung == RUNG_TPROXY)
		err = nft_tproxy(own);
	else if (rung == RUNG_REDIR)
		err = nft_redirect(own);
	if (!err) {
		hello->rung = (int32_t)rung;
		hello->err = 0;
		return true;
	}
	failed(hello, err, names[rung]);
	return false;
}

static bool choose_rung(enum netd_rung force, const struct nft_own *own,
			struct netd_hello *hello)
{
	static const enum netd_rung ladder[] = { RUNG_TPROXY, RUNG_REDIR,
						 RUNG_NOTIFY };

	if (force != RUNG_NONE)
		return try_rung(force, own, hello);
	for (size_t i = 0; i < sizeof(ladder) / sizeof(ladder[0]); i++)
		if (try_rung(ladder[i], own, hello))
			return true;
	return false;
}

static void have(struct netd_hello *hello, int fds[NETD_FDS], int which,
		 int fd, const char *step)
{
	fds[which] = fd;
	if (fd >= 0)
		hello->fds |= 1U << which;
	else if (!hello->err)
		failed(hello, -errno, step);
}

void netd_setup(enum netd_rung force, struct netd_hello *hello,
		int fds[NETD_FDS])
{
	struct nft_own own;
	int fd;

	if (base_network(hello, &own) || !choose_rung(force, &own, hello))
		return;
	/* Rung notify accepts on listeners of its own; this one gets 53. */
	fd = dual_stack(SOCK_STREAM,
			hello->rung == RUNG_NOTIFY ? 53 : GATE_PORT,
			hello->rung == RUNG_TPROXY);
	if (fd >= 0)
		fd = make_listening(fd);
	have(hello, fds, NETD_FD_TCP, fd, "listen for connections");
	have(hello, fds, NETD_FD_DNS, dns_socket(), "listen for DNS");
	if (hello->rung != RUNG_TPROXY)
		return;
	have(hello, fds, NETD_FD_UDP, udp_socket(), "listen for UDP");
	have(hello, fds, NETD_FD_ICMP4,
	     socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    IPPROTO_ICMP), "open an ICMP socket");
	if (own.has_v6)
		have(hello, fds, NETD_FD_ICMP6,
		     socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
			    IPPROTO_ICMPV6), "open an ICMPv6 socket");
}
