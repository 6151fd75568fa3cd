/* A seccomp listener: the kernel holds a call until we have looked at it. */
#ifndef AGENTFW_NOTIFY_H
#define AGENTFW_NOTIFY_H

#include <linux/filter.h>
#include <linux/seccomp.h>

/* The kernel's structures may be longer than ours. */
struct notify {
	union {
		struct seccomp_notif data;
		char room[1024];
	} request;
	union {
		struct seccomp_notif_resp data;
		char room[1024];
	} response;
};

/* The filter for this process, and its listener; or -errno. */
int notify_listen(struct sock_fprog *program);

/* 1: a call is held in request.data, 0: none, -1: none will come. */
int notify_take(int listener, struct notify *n);

/* The call goes on. 1; 0: its process was gone already; -1: see above. */
int notify_go_on(int listener, struct notify *n);

#endif
