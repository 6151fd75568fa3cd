#ifndef AGENTFW_NETLINK_H
#define AGENTFW_NETLINK_H

#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Raw netlink: no nft, ip or library is needed on the user's machine. */

#define NL_MSG_MAX 16384

struct nl_msg {
	size_t len;
	bool full;	/* an append did not fit; sending refuses */
	int seq;	/* sequence number of the last header */
	int acks;	/* headers that asked for an acknowledgement */
	struct nlmsghdr *head;
	char buf[NL_MSG_MAX] __attribute__((aligned(8)));
};

/* Message building. Offsets, not pointers, mark open nests. */
void nl_reset(struct nl_msg *m);
void *nl_put(struct nl_msg *m, size_t len);
void nl_begin(struct nl_msg *m, uint16_t type, uint16_t flags);
void nl_end(struct nl_msg *m);
void nl_attr(struct nl_msg *m, uint16_t type, const void *data, size_t len);
void nl_attr_str(struct nl_msg *m, uint16_t type, const char *text);
void nl_attr_be32(struct nl_msg *m, uint16_t type, uint32_t value);
size_t nl_nest(struct nl_msg *m, uint16_t type);
void nl_nest_end(struct nl_msg *m, size_t nest);

/* All return 0 or a negative errno. */
int nl_open(int protocol);
int nl_send(int fd, struct nl_msg *m);

/* Routing: loopback up, one address on it, every address local ("AnyIP"). */
int nl_loopback_up(void);
int nl_loopback_large(uint32_t bytes);
int nl_loopback_address(int family, const void *address);
int nl_anyip(int family, const void *source);

/* nf_tables: one table, all in one batch. */
struct nft_own {
	struct in_addr v4;
	struct in6_addr v6;
	bool has_v6;
	uint16_t port;
};
int nft_tproxy(const struct nft_own *own);
int nft_redirect(const struct nft_own *own);

/* sock_diag: the inode of a TCP socket by its four-tuple, 0 when unknown. */
uint32_t diag_inode(int fd, const struct sockaddr_in6 *local,
		    const struct sockaddr_in6 *remote);

#endif
