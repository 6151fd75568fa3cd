#ifndef AGENTFW_GATE_ADDR_H
#define AGENTFW_GATE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

/*
 * Inside, all addresses are IPv6 with IPv4 mapped into it, and so are the
 * sockets. A kernel booted with ipv6.disable=1 has IPv4 sockets only: there
 * addresses are translated on their way to and from the kernel.
 */

/* What the kernel told, in our form. */
void addr_map(struct sockaddr_in6 *a);

/* Our form as this socket takes it; its length. */
socklen_t addr_for(int fd, const struct sockaddr_in6 *a,
		   struct sockaddr_storage *to);

/* The socket is one of IPv4. */
bool addr_only4(int fd);

/* A socket for both families, or for the one there is. */
int addr_socket(int type);

#endif
