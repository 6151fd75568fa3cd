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

/* 1: `next` is a step further down; 0: the host has no such directory; -1: an error. */
static int descend(const struct pair *p, const char *name, struct pair *next)
{
	static const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	bool made;

	*next = (struct pair){.shim = -1};
	next->host = openat(p->host, name, flags);
	if (next->host < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
				       errno == EACCES
			       ? 0
			       : -1;
	made = mkdirat(p->shim, name, 0700) == 0;
	if (made || errno == EEXIST)
		next->shim = openat(p->shim, name, flags);
	if (next->shim < 0 || (made && copy_attributes(next))) {
		close_pair(next);
		/* A whiteout: all of it is absent already. */
		return !made && errno == ENOTDIR ? 0 : -1;
	}
	return 1;
}

/* More than most paths are deep. Further down only the lowest is kept. */
enum { KEPT = 32 };

/* A directory on the way, and how much of the path leads to it. */
struct level {
	struct pair at;
	size_t length;
};

/* Where the path before has led: sorted paths mostly share that, or begin like it. */
struct place {
	/* from the roots on; each way is the beginning of `way` */
	struct level levels[KEPT];
	size_t depth;
	const char *way;
	size_t length;
	/* whether the host has it: the answer of descend() */
	int found;
};

/* Nothing more is made in what is left, which is when its times can be copied. */
static void leave(struct place *p, size_t depth)
{
	while (p->depth > depth) {
		struct pair *at = &p->levels[--p->depth].at;

		copy_times(at);
		close_pair(at);
	}
}

static void add_level(struct place *p, const struct pair *at, size_t length)
{
	if (p->depth == KEPT)
		leave(p, KEPT - 1);
	p->levels[p->depth++] = (struct level){*at, length};
}

/* Whether the way to a level is the beginning of another one, too. */
static bool leads(const struct place *p, size_t length, const char *way,
		  size_t end)
{
	return length <= end && !memcmp(p->way, way, length) &&
	       (length == 0 || length == end || way[length] == '/');
}

/* `way` is relative to both roots, normalized, and not NUL-terminated. */
static int enter(struct place *p, const char *way, size_t length)
{
	size_t i;

	if (p->way && p->length == length && !memcmp(p->way, way, length))
		return p->found;
	while (p->depth > 1 &&
	       !leads(p, p->levels[p->depth - 1].length, way, length))
		leave(p, p->depth - 1);
	p->way = way;
	p->length = length;
	p->found = 1;
	i = p->levels[p->depth - 1].length;
	i += i > 0;
	while (i < length && p->found > 0) {
		char name[NAME_MAX + 1];
		size_t n = strcspn(way + i, "/");
		struct pair next;

		if (n > length - i)
			n = length - i;
		if (n > NAME_MAX) {
			p->found = 0;
			break;
		}
		memcpy(name, way + i, n);
		name[n] = '\0';
		p->found = descend(&p->levels[p->depth - 1].at, name, &next);
		i += n;
		if (p->found > 0)
			add_level(p, &next, i);
		i += 1;
	}
	return p->found;
}

/* `path` is relative to both roots, normalized. */
static int make_absent(struct place *p, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	int found = enter(p, path, slash ? (size_t)(slash - path) : 0);

	if (found <= 0 || strlen(name) > NAME_MAX)
		return found < 0 ? -1 : 0;
	if (mknodat(p->levels[p->depth - 1].at.shim, name, S_IFCHR,
		    makedev(0, 0)))
		return errno == EEXIST ? 0 : -1;
	return 0;
}

static int make_all_absent(const struct pair *roots, const struct op *o,
			   size_t prefix, struct fault *f)
{
	struct pair top = {dup(roots->shim), dup(roots->host)};
	struct place place = {.depth = 0};
	int result = 0;

	add_level(&place, &top, 0);
	if (top.shim < 0 || top.host < 0)
		result = fault_errno(f, "hide", "can't hide in %s", o->src);
	for (size_t i = 0; !result && i < o->nlowers; i++)
		if (make_absent(&place, o->lowers[i] + prefix))
			result = fault_errno(f, "hide", "can't hide %s",
					     o->lowers[i]);
	leave(&place, 0);
	return result;
}

int op_shim(struct view *v, const struct op *o, struct fault *f)
{
	size_t prefix = o->src[1] ? strlen(o->src) + 1 : 1;
	AUTO_FD int at = -1;
	AUTO_FD int host = -1;
	AUTO_FD int shim = -1;
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
	if (make_all_absent(&(struct pair){shim, host}, o, prefix, f))
		return -1;
	return mount_attach(shim, at, o->dst, f);
}
