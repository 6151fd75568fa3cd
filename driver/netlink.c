#define _GNU_SOURCE
#include "netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

void nl_reset(struct nl_msg *m)
{
	m->len = 0;
	m->full = false;
	m->seq = 0;
	m->acks = 0;
	m->head = NULL;
}

/* Room for len bytes, zeroed; a scratch area when the message is full. */
void *nl_put(struct nl_msg *m, size_t len)
{
	static char scratch[256];
	size_t step = NLMSG_ALIGN(len);
	void *at = m->buf + m->len;

	if (m->full || step > sizeof(m->buf) - m->len) {
		m->full = true;
		return scratch;
	}
	memset(at, 0, step);
	m->len += step;
	return at;
}

void nl_begin(struct nl_msg *m, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = nl_put(m, sizeof(*h));

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = (uint32_t)++m->seq;
	if (flags & NLM_F_ACK)
		m->acks++;
	m->head = h;
}

void nl_end(struct nl_msg *m)
{
	if (!m->full)
		m->head->nlmsg_len =
			(uint32_t)(m->buf + m->len - (char *)m->head);
}

void nl_attr(struct nl_msg *m, uint16_t type, const void *data, size_t len)
{
	struct nlattr *a = nl_put(m, NLA_HDRLEN + len);

	a->nla_type = type;
	a->nla_len = (uint16_t)(NLA_HDRLEN + len);
	if (len > 0 && !m->full)
		memcpy((char *)a + NLA_HDRLEN, data, len);
}

void nl_attr_str(struct nl_msg *m, uint16_t type, const char *text)
{
	nl_attr(m, type, text, strlen(text) + 1);
}

void nl_attr_be32(struct nl_msg *m, uint16_t type, uint32_t value)
{
	value = htonl(value);
	nl_attr(m, type, &value, sizeof(value));
}

size_t nl_nest(struct nl_msg *m, uint16_t type)
{
	size_t nest = m->len;

	nl_attr(m, type | NLA_F_NESTED, NULL, 0);
	return nest;
}

void nl_nest_end(struct nl_msg *m, size_t nest)
{
	struct nlattr *a = (struct nlattr *)(void *)(m->buf + nest);

	if (!m->full)
		a->nla_len = (uint16_t)(m->len - nest);
}

int nl_open(int protocol)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	struct timeval wait = { .tv_sec = 5 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	int err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Counts acknowledgements in one datagram; the first error ends it. */
static int count_acks(const char *buf, size_t len, int *left)
{
	const struct nlmsghdr *h = (const void *)buf;

	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		if (h->nlmsg_type != NLMSG_ERROR)
			continue;
		if (e->error)
			return e->error;
		(*left)--;
	}
	return 0;
}

/* Sends a message or batch and waits for every acknowledgement in it. */
int nl_send(int fd, struct nl_msg *m)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	char buf[8192] __attribute__((aligned(8)));
	int left = m->acks;
	ssize_t n;
	int err;

	if (m->full)
		return -EMSGSIZE;
	if (sendto(fd, m->buf, m->len, 0, (struct sockaddr *)&addr,
		   sizeof(addr)) < 0)
		return -errno;
	while (left > 0) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		err = count_acks(buf, (size_t)n, &left);
		if (err)
			return err;
	}
	return 0;
}

static int route_request(struct nl_msg *m)
{
	int fd = nl_open(NETLINK_ROUTE);
	int err;

	if (fd < 0)
		return fd;
	nl_end(m);
	err = nl_send(fd, m);
	close(fd);
	return err;
}

static struct ifinfomsg *loopback_request(struct nl_msg *m)
{
	struct ifinfomsg *link;

	nl_reset(m);
	nl_begin(m, RTM_NEWLINK, NLM_F_ACK);
	link = nl_put(m, sizeof(*link));
	link->ifi_index = 1;
	return link;
}

int nl_loopback_up(void)
{
	struct nl_msg m;
	struct ifinfomsg *link = loopback_request(&m);

	link->ifi_flags = IFF_UP;
	link->ifi_change = IFF_UP;
	return route_request(&m);
}

/* The largest packet of TCP over IPv4 on it: 64 KiB if nothing else is said. */
int nl_loopback_large(uint32_t bytes)
{
	struct nl_msg m;

	loopback_request(&m);
	nl_attr(&m, 63 /* IFLA_GSO_IPV4_MAX_SIZE, 6.3 */, &bytes, sizeof(bytes));
	return route_request(&m);
}

static size_t address_size(int family)
{
	return family == AF_INET ? sizeof(struct in_addr)
				 : sizeof(struct in6_addr);
}

int nl_loopback_address(int family, const void *address)
{
	struct nl_msg m;
	struct ifaddrmsg *ifa;
	size_t len = address_size(family);

	nl_reset(&m);
	nl_begin(&m, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE);
	ifa = nl_put(&m, sizeof(*ifa));
	ifa->ifa_family = (uint8_t)family;
	ifa->ifa_prefixlen = (uint8_t)(len * 8);
	ifa->ifa_index = 1;
	ifa->ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
	nl_attr(&m, IFA_LOCAL, address, len);
	nl_attr(&m, IFA_ADDRESS, address, len);
	return route_request(&m);
}

/* `ip route add local default dev lo table local src SOURCE` */
int nl_anyip(int family, const void *source)
{
	struct nl_msg m;
	struct rtmsg *rt;
	uint32_t loopback = 1;

	nl_reset(&m);
	nl_begin(&m, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE);
	rt = nl_put(&m, sizeof(*rt));
	rt->rtm_family = (uint8_t)family;
	rt->rtm_table = RT_TABLE_LOCAL;
	rt->rtm_type = RTN_LOCAL;
	rt->rtm_scope = RT_SCOPE_HOST;
	rt->rtm_protocol = RTPROT_BOOT;
	nl_attr(&m, RTA_OIF, &loopback, sizeof(loopback));
	nl_attr(&m, RTA_PREFSRC, source, address_size(family));
	return route_request(&m);
}
