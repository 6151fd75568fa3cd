#define _GNU_SOURCE
#include "gate_core.h"

#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <string.h>

/*
 * A refused datagram gets what a closed port would send, so that QUIC falls
 * back to TCP at once and a resolver does not wait for its timeout.
 */

static uint16_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void refuse4(int sock, const struct sockaddr_in6 *client,
		    const struct sockaddr_in6 *dst)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		struct udphdr udp;
	} m;
	struct sockaddr_in to = { .sin_family = AF_INET };

	memset(&m, 0, sizeof(m));
	m.icmp.type = ICMP_DEST_UNREACH;
	m.icmp.code = ICMP_PORT_UNREACH;
	m.ip.version = 4;
	m.ip.ihl = 5;
	m.ip.tot_len = htons(sizeof(m.ip) + sizeof(m.udp));
	m.ip.ttl = 64;
	m.ip.protocol = IPPROTO_UDP;
	memcpy(&m.ip.saddr, client->sin6_addr.s6_addr + 12, 4);
	memcpy(&m.ip.daddr, dst->sin6_addr.s6_addr + 12, 4);
	m.udp.source = client->sin6_port;
	m.udp.dest = dst->sin6_port;
	m.udp.len = htons(sizeof(m.udp));
	m.icmp.checksum = checksum(&m, sizeof(m));
	memcpy(&to.sin_addr, client->sin6_addr.s6_addr + 12, 4);
	(void)sendto(sock, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL,
		     (struct sockaddr *)&to, sizeof(to));
}

static void refuse6(int sock, const struct sockaddr_in6 *client,
		    const struct sockaddr_in6 *dst)
{
	struct {
		struct icmp6_hdr icmp;
		struct ip6_hdr ip;
		struct udphdr udp;
	} m;
	struct sockaddr_in6 to = *client;

	memset(&m, 0, sizeof(m));
	m.icmp.icmp6_type = ICMP6_DST_UNREACH;
	m.icmp.icmp6_code = ICMP6_DST_UNREACH_NOPORT;
	m.ip.ip6_vfc = 6 << 4;
	m.ip.ip6_plen = htons(sizeof(m.udp));
	m.ip.ip6_nxt = IPPROTO_UDP;
	m.ip.ip6_hlim = 64;
	m.ip.ip6_src = client->sin6_addr;
	m.ip.ip6_dst = dst->sin6_addr;
	m.udp.source = client->sin6_port;
	m.udp.dest = dst->sin6_port;
	m.udp.len = htons(sizeof(m.udp));
	to.sin6_port = 0;	/* a raw socket's "port" is a protocol */
	(void)sendto(sock, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL,
		     (struct sockaddr *)&to, sizeof(to));
}

/* Best effort: a client that misses it waits for its own timeout. */
void icmp_refuse(const struct core *g, const struct sockaddr_in6 *client,
		 const struct sockaddr_in6 *dst)
{
	if (IN6_IS_ADDR_V4MAPPED(&dst->sin6_addr)) {
		if (g->icmp4 >= 0)
			refuse4(g->icmp4, client, dst);
	} else if (g->icmp6 >= 0) {
		refuse6(g->icmp6, client, dst);
	}
}
