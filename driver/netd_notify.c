#define _GNU_SOURCE
#include "gate.h"
#include "gate_core.h"
#include "gate_fd.h"
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * The rung without netfilter: the kernel tells netd of each connect(), netd
 * opens a listener on exactly that address and port, and the connect goes
 * on. Racing the argument gains nothing: nothing but listeners is there to
 * be reached, and every one of them leads to the gate.
 */

/* In turn: when all are taken, the gate lets its oldest listener go, too. */
struct netd_seen {
	size_t next;
	struct sockaddr_in6 at[GATE_NOTIFIED];
	struct notify notify;
};

struct netd_seen *netd_seen_new(void)
{
	return calloc(1, sizeof(struct netd_seen));
}

int gate_notify_arm(int notify)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_connect, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]), .filter = filter,
	};
	int fd = notify_listen(&program);
	int err;

	if (fd < 0)
		return fd;
	err = fd_send(notify, "n", 1, &fd, 1);
	close(fd);
	return err;
}

/* The address in our form; false for what the gate has no part in. */
static bool address_of(const void *raw, size_t len, struct sockaddr_in6 *out)
{
	const struct sockaddr_in6 *v6 = raw;
	const struct sockaddr_in *v4 = raw;

	memset(out, 0, sizeof(*out));
	out->sin6_family = AF_INET6;
	if (len >= sizeof(*v4) && v4->sin_family == AF_INET) {
		out->sin6_port = v4->sin_port;
		memset(out->sin6_addr.s6_addr + 10, 0xff, 2);
		memcpy(out->sin6_addr.s6_addr + 12, &v4->sin_addr, 4);
	} else if (len >= offsetof(struct sockaddr_in6, sin6_scope_id) &&
		   v6->sin6_family == AF_INET6) {
		out->sin6_port = v6->sin6_port;
		out->sin6_addr = v6->sin6_addr;
	} else {
		return false;
	}
	return out->sin6_port != 0 && out->sin6_port != htons(53) &&
	       !gate_own(&out->sin6_addr);
}

static bool has(const struct netd_seen *seen, const struct sockaddr_in6 *at)
{
	for (size_t i = 0; i < GATE_NOTIFIED; i++)
		if (!memcmp(&seen->at[i], at, sizeof(*at)))
			return true;
	return false;
}

static int open_door(int gate, struct netd_seen *seen,
		     const struct sockaddr_in6 *at)
{
	struct netd_reply r = { .op = NETD_ARRIVED };
	int fd = has(seen, at) ? -1 : netd_listener(at, 1);
	int err;

	if (fd < 0)
		return 0;	/* no listener, no connection */
	err = fd_send(gate, &r, sizeof(r), &fd, 1);
	close(fd);
	if (err)
		return err;
	seen->at[seen->next] = *at;
	seen->next = (seen->next + 1) % GATE_NOTIFIED;
	return 0;
}

int netd_notified(int listener, int gate, struct netd_seen *seen)
{
	const struct seccomp_notif *q = &seen->notify.request.data;
	int got = notify_take(listener, &seen->notify);
	struct sockaddr_storage raw;
	struct sockaddr_in6 at;
	struct iovec here, there;
	ssize_t n;

	if (got <= 0)
		return got;
	memset(&raw, 0, sizeof(raw));
	there.iov_base = (void *)(uintptr_t)q->data.args[1];
	there.iov_len = q->data.args[2] < sizeof(raw) ? q->data.args[2]
						      : sizeof(raw);
	here.iov_base = &raw;
	here.iov_len = there.iov_len;
	n = process_vm_readv((pid_t)q->pid, &here, 1, &there, 1, 0);
	if (n > 0 && address_of(&raw, (size_t)n, &at) &&
	    open_door(gate, seen, &at) < 0)
		return -1;
	return notify_go_on(listener, &seen->notify) < 0 ? -1 : 0;
}
