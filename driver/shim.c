/*
 * A shim: a small tmpfs that becomes the topmost lower of an overlay and says
 * of some paths that they don't exist. The directories above them look as they
 * do below it, because the kernel takes a merged directory's attributes from
 * the topmost layer that has it. A filesystem of its own, because layers of one
 * overlay may not lie inside each other, and the store often lies in the home.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "mount.h"
#include "sys.h"

enum { ACL_MAX = 64 << 10 };

/* Where the walk along one path is, in the shim and in the host's tree. */
struct pair {
	int shim, host;
};

static void close_pair(struct pair *p)
{
	if (p->shim >= 0)
		close(p->shim);
	if (p->host >= 0)
		close(p->host);
}

/* Best effort: a filesystem without access lists has none to copy. */
static void copy_acl(const struct pair *p, const char *name)
{
	static char value[ACL_MAX];
	ssize_t n = getxattr(fd_path(p->host).text, name, value, ACL_MAX);

	if (n > 0)
		setxattr(fd_path(p->shim).text, name, value, (size_t)n, 0);
}

/* Owner before mode: a change of owner takes bits away. */
static int copy_attributes(const struct pair *p)
{
	struct stat st;

	if (fstat(p->host, &st) ||
	    fchownat(p->shim, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) ||
	    chmod(fd_path(p->shim).text, st.st_mode & 07777))
		return -1;
	copy_acl(p, "system.posix_acl_access");
	copy_acl(p, "system.posix_acl_default");
	return 0;
}

/* Making something in a directory changed its times. */
static void copy_times(const struct pair *p)
{
	struct timespec times[2];
	struct stat st;

	if (fstat(p->host, &st))
		return;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	utimensat(AT_FDCWD, fd_path(p->shim).text, times, 0);
}

/* 1: gone a step down; 0: the host has no such directory; -1: an error. */
static int descend(struct pair *p, const char *name)
{
	static const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	struct pair next = {.shim = -1};
	bool made;

	next.host = openat(p->host, name, flags);
	if (next.host < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
				       errno == EACCES
			       ? 0
			       : -1;
	made = mkdirat(p->shim, name, 0700) == 0;
	if (made || errno == EEXIST)
		next.shim = openat(p->shim, name, flags);
	if (next.shim < 0 || (made && copy_attributes(&next))) {
		close_pair(&next);
		/* A whiteout: all of it is absent already. */
		return !made && errno == ENOTDIR ? 0 : -1;
	}
	copy_times(p);
	close_pair(p);
	*p = next;
	return 1;
}

/* The directory of the path before: sorted paths mostly share it. */
struct place {
	struct pair at;
	/* what leads to it, and whether the host has it: the answer of descend() */
	const char *way;
	size_t length;
	int found;
};

static void leave(struct place *p)
{
	if (p->way && p->found > 0)
		copy_times(&p->at);
	close_pair(&p->at);
	*p = (struct place){.at = {-1, -1}};
}

/* `way` is relative to both roots, normalized, and not NUL-terminated. */
static int enter(struct place *p, int shim, int host, const char *way,
		 size_t length)
{
	char name[NAME_MAX + 1];

	if (p->way && p->length == length && !memcmp(p->way, way, length))
		return p->found;
	leave(p);
	p->at = (struct pair){dup(shim), dup(host)};
	p->found = p->at.shim < 0 || p->at.host < 0 ? -1 : 1;
	for (size_t i = 0; i < length && p->found > 0;) {
		size_t n = strcspn(way + i, "/");

		if (n > length - i)
			n = length - i;
		if (n > NAME_MAX) {
			p->found = 0;
			break;
		}
		memcpy(name, way + i, n);
		name[n] = '\0';
		p->found = descend(&p->at, name);
		i += n + 1;
	}
	p->way = way;
	p->length = length;
	return p->found;
}

/* `path` is relative to both roots, normalized. */
static int make_absent(struct place *p, int shim, int host, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int found = enter(p, shim, host, path, slash ? (size_t)(slash - path) : 0);

	if (found <= 0 || strlen(name) > NAME_MAX)
		return found < 0 ? -1 : 0;
	if (mknodat(p->at.shim, name, S_IFCHR, makedev(0, 0)))
		return errno == EEXIST ? 0 : -1;
	return 0;
}

int op_shim(struct view *v, const struct op *o, struct fault *f)
{
	size_t prefix = o->src[1] ? strlen(o->src) + 1 : 1;
	AUTO_FD int at = -1;
	AUTO_FD int host = -1;
	AUTO_FD int shim = -1;
	struct place place = {.at = {-1, -1}};
	struct stat st;

	(void)v;
	at = host_open(o->dst, &st, f);
	if (at < 0)
		return -1;
	host = host_open(o->src, &st, f);
	if (host < 0)
		return -1;
	shim = mount_tmpfs(0755, 0, K_MOUNT_NOSUID | K_MOUNT_NODEV, f);
	if (shim < 0)
		return -1;
	for (size_t i = 0; i < o->nlowers; i++)
		if (make_absent(&place, shim, host, o->lowers[i] + prefix)) {
			fault_errno(f, "hide", "can't hide %s", o->lowers[i]);
			leave(&place);
			return -1;
		}
	leave(&place);
	return mount_attach(shim, at, o->dst, f);
}
