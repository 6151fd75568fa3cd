/* Mount primitives: make or clone a mount by fd, then attach it by fd. */
#define _GNU_SOURCE
#include "mount.h"

#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include "ns.h"
#include "sys.h"

/* errno texts of mount calls that would mislead. */
static void hint(struct fault *f, int error)
{
	if (error == ENOSPC)
		fault_hint(f, "This is not a disk limit: too many mounts, raise "
			      "fs.mount-max");
	else if (error == ENOSYS)
		fault_hint(f, "agentfw needs Linux 5.12 or later");
	else if (error == EPERM || error == EACCES)
		ns_hint(f);
}

int mount_new(const char *type, const struct mount_option *o, unsigned attrs,
	      struct fault *f)
{
	AUTO_FD int fs = (int)syscall(NR_fsopen, type, 1u);
	int mount = -1, error;

	if (fs < 0)
		goto failed;
	for (; o && o->key; o++)
		if (syscall(NR_fsconfig, fs, K_FSCONFIG_SET_STRING, o->key,
			    o->value, 0))
			goto failed;
	if (syscall(NR_fsconfig, fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		goto failed;
	mount = (int)syscall(NR_fsmount, fs, 1u, attrs);
	if (mount >= 0)
		return mount;
failed:
	error = errno;
	fault_errno(f, "mount", "can't create a %s", type);
	hint(f, error);
	errno = error;
	return -1;
}

int mount_tmpfs(mode_t mode, uint64_t size, unsigned attrs, struct fault *f)
{
	char mode_text[16], size_text[32];
	struct mount_option options[] = {
		{"source", "agentfw"}, {"mode", mode_text},
		{size ? "size" : NULL, size_text}, {NULL, NULL}};

	snprintf(mode_text, sizeof(mode_text), "%o", mode);
	snprintf(size_text, sizeof(size_text), "%llu",
		 (unsigned long long)size);
	return mount_new("tmpfs", options, attrs, f);
}

int mount_clone(int source, unsigned attrs, struct fault *f)
{
	AUTO_FD int mount = sys_open_tree(source, "",
					  K_AT_EMPTY_PATH | K_AT_RECURSIVE |
						  K_OPEN_TREE_CLONE |
						  K_CLOEXEC);
	struct k_mount_attr attr = {.set = attrs};

	if (mount < 0) {
		fault_errno(f, "mount", "can't clone a mount");
		hint(f, errno);
		return -1;
	}
	if (attrs && sys_mount_setattr(mount, K_AT_RECURSIVE, &attr)) {
		fault_errno(f, "mount", "can't restrict a mount");
		hint(f, errno);
		return -1;
	}
	return take_fd(&mount);
}

int mount_attach(int mount, int at, const char *dst, struct fault *f)
{
	if (sys_move_mount(mount, at) == 0)
		return 0;
	fault_errno(f, "mount", "can't mount at %s", dst);
	hint(f, errno);
	return -1;
}

int mount_read_only(int at, const char *dst, struct fault *f)
{
	struct k_mount_attr attr = {.set = K_MOUNT_RDONLY};

	if (sys_mount_setattr(at, 0, &attr) == 0)
		return 0;
	fault_errno(f, "mount", "can't make %s read-only", dst);
	if (errno == EINVAL)
		fault_hint(f, "Only a mount of this view can be made "
			      "read-only");
	return -1;
}

int mount_no_suid(int at, struct fault *f)
{
	struct k_mount_attr attr = {.set = K_MOUNT_NOSUID};

	if (sys_mount_setattr(at, K_AT_RECURSIVE, &attr) == 0)
		return 0;
	return fault_errno(f, "mount", "can't make the view's mounts nosuid");
}

static int view_openat2(const struct view *v, const char *path)
{
	struct k_open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = K_RESOLVE_BENEATH | K_RESOLVE_NO_SYMLINKS |
			   K_RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	do
		fd = sys_openat2(v->root, path, &how);
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd;
}

int view_open(const struct view *v, const char *dst)
{
	return view_openat2(v, dst[1] ? dst + 1 : ".");
}

int view_parent(const struct view *v, const char *dst, const char **name)
{
	const char *slash = strrchr(dst, '/');
	char path[PATH_MAX];

	*name = slash + 1;
	snprintf(path, sizeof(path), "%.*s", (int)(slash - dst), dst);
	return view_openat2(v, path[0] ? path + 1 : ".");
}

static bool owned(const struct view *v, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	for (size_t i = 0; i < v->ntmpfs; i++)
		if (v->tmpfs[i] == st.st_dev)
			return true;
	return false;
}

static int make(int parent, const char *name, bool directory)
{
	AUTO_FD int fd = -1;

	if (directory)
		return mkdirat(parent, name, 0755);
	fd = openat(parent, name,
		    O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : 0;
}

int view_place(const struct view *v, const char *dst, bool directory,
	       struct fault *f)
{
	AUTO_FD int parent = -1;
	const char *name;
	int at = view_open(v, dst);

	if (at < 0 && errno == ENOENT) {
		parent = view_parent(v, dst, &name);
		if (parent >= 0 && owned(v, parent) &&
		    make(parent, name, directory) == 0)
			at = view_open(v, dst);
		else if (parent >= 0 && !owned(v, parent))
			errno = ENOENT;
	}
	if (at < 0)
		fault_errno(f, "mount", "can't find %s in the view", dst);
	return at;
}

void view_own(struct view *v, int mount)
{
	struct stat st;

	if (fstat(mount, &st) == 0)
		v->tmpfs[v->ntmpfs++] = st.st_dev;
}

int host_open(const char *path, struct stat *st, struct fault *f)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return fault_errno(f, "mount", "can't open %s", path);
	if (fstat(fd, st) == 0 && !S_ISLNK(st->st_mode))
		return fd;
	close(fd);
	return fault(f, "mount", "can't use %s: it is a symlink", path);
}

uint64_t mount_id(int fd)
{
	struct statx stx;

	/* 0x1000: STATX_MNT_ID */
	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 0x1000, &stx) ||
	    !(stx.stx_mask & 0x1000))
		return 0;
	return stx.stx_mnt_id;
}
