#ifndef AGENTFW_GATE_FD_H
#define AGENTFW_GATE_FD_H

#include <stddef.h>
#include <sys/types.h>

/* Descriptors between processes and at their start. */

#define GATE_FDS_MAX 8

/* One message with up to GATE_FDS_MAX descriptors; 0 or -errno. */
int fd_send(int sock, const void *data, size_t len, const int *fds, size_t n);

/*
 * One message; returns its length, 0 at the end, or -errno. *n is the room
 * in fds and then how many came. A cut message is -EMSGSIZE.
 */
ssize_t fd_recv(int sock, void *data, size_t len, int *fds, size_t *n);

/* Closes everything above 2 that is not in keep; sorts keep. */
int fd_close_except(int *keep, size_t n);

/* /dev/null as 0, 1 and 2, or debug as 2. */
int fd_detach_stdio(int debug);

/*
 * Whatever closes the socket from here on, a SIGKILL as well, is a reset to
 * the peer: an end that only looks like one is never its. Off: a clean end.
 * A listener's connections inherit it.
 */
int fd_reset_at_end(int sock, int on);

/* Dies with the parent, at once if it is gone already. */
int fd_die_with(pid_t parent);

#endif
