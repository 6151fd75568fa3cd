#define _GNU_SOURCE
#include "notify.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#define WAIT_KILLABLE (1UL << 5) /* SECCOMP_FILTER_FLAG_…_RECV, 5.19 */

static int set_filter(unsigned long flags, struct sock_fprog *program)
{
	flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags,
			    program);
}

int notify_listen(struct sock_fprog *program)
{
	int fd = set_filter(WAIT_KILLABLE, program);

	if (fd < 0 && errno == EINVAL)
		fd = set_filter(0, program);
	return fd < 0 ? -errno : fd;
}

int notify_take(int listener, struct notify *n)
{
	memset(&n->request, 0, sizeof(n->request));
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n->request.data) == 0)
		return 1;
	return errno == EINTR || errno == ENOENT ? 0 : -1;
}

int notify_go_on(int listener, struct notify *n)
{
	memset(&n->response, 0, sizeof(n->response));
	n->response.data.id = n->request.data.id;
	n->response.data.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (RETRY(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND,
			&n->response.data)) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}
