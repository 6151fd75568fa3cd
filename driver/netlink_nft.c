#define _GNU_SOURCE
#include "netlink.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * One batch makes the whole ruleset or nothing (an error rolls it back).
 * Every expression works on register 1.
 */

#define TABLE "agentfw"

struct rule {
	struct nl_msg *m;
	const char *chain;
	size_t exprs, elem, data;
};

static void nft_header(struct nl_msg *m, int type, int flags)
{
	bool batch = type == NFNL_MSG_BATCH_BEGIN ||
		     type == NFNL_MSG_BATCH_END;
	struct nfgenmsg *g;

	if (batch)
		nl_begin(m, (uint16_t)type, 0);
	else
		nl_begin(m, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
			 (uint16_t)(NLM_F_ACK | NLM_F_CREATE | flags));
	g = nl_put(m, sizeof(*g));
	g->nfgen_family = batch ? AF_UNSPEC : NFPROTO_INET;
	g->version = NFNETLINK_V0;
	g->res_id = batch ? htons(NFNL_SUBSYS_NFTABLES) : 0;
}

static void add_chain(struct nl_msg *m, const char *name, const char *type,
		      uint32_t hook, int priority)
{
	size_t nest;

	nft_header(m, NFT_MSG_NEWCHAIN, 0);
	nl_attr_str(m, NFTA_CHAIN_TABLE, TABLE);
	nl_attr_str(m, NFTA_CHAIN_NAME, name);
	nest = nl_nest(m, NFTA_CHAIN_HOOK);
	nl_attr_be32(m, NFTA_HOOK_HOOKNUM, hook);
	nl_attr_be32(m, NFTA_HOOK_PRIORITY, (uint32_t)priority);
	nl_nest_end(m, nest);
	nl_attr_str(m, NFTA_CHAIN_TYPE, type);
	nl_attr_be32(m, NFTA_CHAIN_POLICY, NF_ACCEPT);
	nl_end(m);
}

static struct rule rule_begin(struct nl_msg *m, const char *chain)
{
	struct rule r = { .m = m, .chain = chain };

	nft_header(m, NFT_MSG_NEWRULE, NLM_F_APPEND);
	nl_attr_str(m, NFTA_RULE_TABLE, TABLE);
	nl_attr_str(m, NFTA_RULE_CHAIN, chain);
	r.exprs = nl_nest(m, NFTA_RULE_EXPRESSIONS);
	return r;
}

static void rule_end(struct rule *r)
{
	nl_nest_end(r->m, r->exprs);
	nl_end(r->m);
}

static void expr(struct rule *r, const char *name)
{
	r->elem = nl_nest(r->m, NFTA_LIST_ELEM);
	nl_attr_str(r->m, NFTA_EXPR_NAME, name);
	r->data = nl_nest(r->m, NFTA_EXPR_DATA);
}

static void expr_end(struct rule *r)
{
	nl_nest_end(r->m, r->data);
	nl_nest_end(r->m, r->elem);
}

static void load_meta(struct rule *r, uint32_t key)
{
	expr(r, "meta");
	nl_attr_be32(r->m, NFTA_META_KEY, key);
	nl_attr_be32(r->m, NFTA_META_DREG, NFT_REG_1);
	expr_end(r);
}

static void load_payload(struct rule *r, uint32_t base, uint32_t offset,
			 uint32_t len)
{
	expr(r, "payload");
	nl_attr_be32(r->m, NFTA_PAYLOAD_DREG, NFT_REG_1);
	nl_attr_be32(r->m, NFTA_PAYLOAD_BASE, base);
	nl_attr_be32(r->m, NFTA_PAYLOAD_OFFSET, offset);
	nl_attr_be32(r->m, NFTA_PAYLOAD_LEN, len);
	expr_end(r);
}

static void load_value(struct rule *r, const void *value, size_t len)
{
	size_t nest;

	expr(r, "immediate");
	nl_attr_be32(r->m, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	nest = nl_nest(r->m, NFTA_IMMEDIATE_DATA);
	nl_attr(r->m, NFTA_DATA_VALUE, value, len);
	nl_nest_end(r->m, nest);
	expr_end(r);
}

static void match(struct rule *r, const void *value, size_t len)
{
	size_t nest;

	expr(r, "cmp");
	nl_attr_be32(r->m, NFTA_CMP_SREG, NFT_REG_1);
	nl_attr_be32(r->m, NFTA_CMP_OP, NFT_CMP_EQ);
	nest = nl_nest(r->m, NFTA_CMP_DATA);
	nl_attr(r->m, NFTA_DATA_VALUE, value, len);
	nl_nest_end(r->m, nest);
	expr_end(r);
}

static void verdict(struct rule *r, uint32_t code)
{
	size_t data, inner;

	expr(r, "immediate");
	nl_attr_be32(r->m, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nl_nest(r->m, NFTA_IMMEDIATE_DATA);
	inner = nl_nest(r->m, NFTA_DATA_VERDICT);
	nl_attr_be32(r->m, NFTA_VERDICT_CODE, code);
	nl_nest_end(r->m, inner);
	nl_nest_end(r->m, data);
	expr_end(r);
}

static void accept_to(struct nl_msg *m, const char *chain, int family,
		      const void *prefix, size_t len)
{
	struct rule r = rule_begin(m, chain);
	uint8_t proto = family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6;

	load_meta(&r, NFT_META_NFPROTO);
	match(&r, &proto, sizeof(proto));
	load_payload(&r, NFT_PAYLOAD_NETWORK_HEADER,
		     family == AF_INET ? 16 : 24, (uint32_t)len);
	match(&r, prefix, len);
	verdict(&r, NF_ACCEPT);
	rule_end(&r);
}

/* Loopback and the sandbox's own address never pass the gate. */
static void accept_own(struct nl_msg *m, const char *chain,
		       const struct nft_own *own)
{
	static const uint8_t loopback4 = 127;

	accept_to(m, chain, AF_INET, &loopback4, sizeof(loopback4));
	accept_to(m, chain, AF_INET, &own->v4, sizeof(own->v4));
	if (!own->has_v6)
		return;
	accept_to(m, chain, AF_INET6, &in6addr_loopback,
		  sizeof(in6addr_loopback));
	accept_to(m, chain, AF_INET6, &own->v6, sizeof(own->v6));
}

static void match_l4(struct rule *r, uint8_t proto)
{
	load_meta(r, NFT_META_L4PROTO);
	match(r, &proto, sizeof(proto));
}

static void accept_udp_port(struct nl_msg *m, const char *chain, uint16_t port)
{
	struct rule r = rule_begin(m, chain);

	port = htons(port);
	match_l4(&r, IPPROTO_UDP);
	load_payload(&r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, sizeof(port));
	match(&r, &port, sizeof(port));
	verdict(&r, NF_ACCEPT);
	rule_end(&r);
}

static void tproxy_to(struct nl_msg *m, const char *chain, uint8_t proto,
		      uint16_t port)
{
	struct rule r = rule_begin(m, chain);

	port = htons(port);
	match_l4(&r, proto);
	load_value(&r, &port, sizeof(port));
	expr(&r, "tproxy");
	/* The family attribute is mandatory even without an address. */
	nl_attr_be32(m, NFTA_TPROXY_FAMILY, NFPROTO_UNSPEC);
	nl_attr_be32(m, NFTA_TPROXY_REG_PORT, NFT_REG_1);
	expr_end(&r);
	verdict(&r, NF_ACCEPT);
	rule_end(&r);
}

/* Without it the kernel itself would answer every ping: a false success. */
static void drop_echo(struct nl_msg *m, const char *chain, uint8_t proto,
		      uint8_t type)
{
	struct rule r = rule_begin(m, chain);

	match_l4(&r, proto);
	load_payload(&r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
	match(&r, &type, 1);
	verdict(&r, NF_DROP);
	rule_end(&r);
}

static void batch_begin(struct nl_msg *m)
{
	nl_reset(m);
	nft_header(m, NFNL_MSG_BATCH_BEGIN, 0);
	nl_end(m);
	nft_header(m, NFT_MSG_NEWTABLE, 0);
	nl_attr_str(m, NFTA_TABLE_NAME, TABLE);
	nl_end(m);
}

static int batch_send(struct nl_msg *m)
{
	int fd = nl_open(NETLINK_NETFILTER);
	int err;

	if (fd < 0)
		return fd;
	nft_header(m, NFNL_MSG_BATCH_END, 0);
	nl_end(m);
	err = nl_send(fd, m);
	close(fd);
	return err;
}

int nft_tproxy(const struct nft_own *own)
{
	static const char *chain = "pre";
	struct nl_msg m;

	batch_begin(&m);
	add_chain(&m, chain, "filter", NF_INET_PRE_ROUTING, -150);
	accept_own(&m, chain, own);
	accept_udp_port(&m, chain, 53);
	tproxy_to(&m, chain, IPPROTO_TCP, own->port);
	tproxy_to(&m, chain, IPPROTO_UDP, own->port);
	drop_echo(&m, chain, IPPROTO_ICMP, 8);
	drop_echo(&m, chain, IPPROTO_ICMPV6, 128);
	return batch_send(&m);
}

int nft_redirect(const struct nft_own *own)
{
	static const char *chain = "out";
	uint16_t port = htons(own->port);
	struct nl_msg m;
	struct rule r;

	batch_begin(&m);
	add_chain(&m, chain, "nat", NF_INET_LOCAL_OUT, -100);
	accept_own(&m, chain, own);
	r = rule_begin(&m, chain);
	match_l4(&r, IPPROTO_TCP);
	load_value(&r, &port, sizeof(port));
	expr(&r, "redir");
	nl_attr_be32(&m, NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
	nl_attr_be32(&m, NFTA_REDIR_FLAGS, 2); /* NF_NAT_RANGE_PROTO_SPECIFIED */
	expr_end(&r);
	rule_end(&r);
	add_chain(&m, "pre", "filter", NF_INET_PRE_ROUTING, -150);
	drop_echo(&m, "pre", IPPROTO_ICMP, 8);
	drop_echo(&m, "pre", IPPROTO_ICMPV6, 128);
	return batch_send(&m);
}
