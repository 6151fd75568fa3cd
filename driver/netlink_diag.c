#define _GNU_SOURCE
#include "netlink.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

static void fill_address(__be32 *to, const struct in6_addr *from, bool v4)
{
	if (v4)
		memcpy(to, from->s6_addr + 12, 4);
	else
		memcpy(to, from->s6_addr, 16);
}

static int diag_request(int fd, const struct sockaddr_in6 *local,
			const struct sockaddr_in6 *remote)
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(&remote->sin6_addr);
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	struct inet_diag_req_v2 *q;
	struct nl_msg m;

	nl_reset(&m);
	nl_begin(&m, SOCK_DIAG_BY_FAMILY, 0);
	q = nl_put(&m, sizeof(*q));
	q->sdiag_family = v4 ? AF_INET : AF_INET6;
	q->sdiag_protocol = IPPROTO_TCP;
	q->idiag_states = ~0U;
	q->id.idiag_sport = local->sin6_port;
	q->id.idiag_dport = remote->sin6_port;
	fill_address(q->id.idiag_src, &local->sin6_addr, v4);
	fill_address(q->id.idiag_dst, &remote->sin6_addr, v4);
	q->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	q->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	nl_end(&m);
	if (sendto(fd, m.buf, m.len, 0, (struct sockaddr *)&addr,
		   sizeof(addr)) < 0)
		return -errno;
	return 0;
}

uint32_t diag_inode(int fd, const struct sockaddr_in6 *local,
		    const struct sockaddr_in6 *remote)
{
	char buf[4096] __attribute__((aligned(8)));
	const struct nlmsghdr *h = (const void *)buf;
	ssize_t n;

	if (diag_request(fd, local, remote) < 0)
		return 0;
	do
		n = recv(fd, buf, sizeof(buf), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 || !NLMSG_OK(h, (size_t)n) ||
	    h->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    h->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
		return 0;
	return ((const struct inet_diag_msg *)NLMSG_DATA(h))->idiag_inode;
}
