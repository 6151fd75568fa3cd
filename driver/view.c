/*
 * Builds the view: carries out the operations of the spec in order below
 * `newroot`, checks that nothing covers a layer, and makes it the root.
 */
#define _GNU_SOURCE
#include "view.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "mount.h"
#include "sys.h"

/* An earlier operation made this directory, for itself or for its mount. */
static bool made_before(const struct view *v, const struct op *o)
{
	for (const struct op *e = v->spec->ops; e < o; e++)
		if (e->kind == OP_DIR && same(e->dst, o->dst))
			return true;
	return false;
}

static int op_dir(struct view *v, const struct op *o, struct fault *f)
{
	const char *name;
	AUTO_FD int parent = view_parent(v, o->dst, &name);

	if (parent < 0)
		return fault_errno(f, "view", "can't find the parent of %s",
				   o->dst);
	if (mkdirat(parent, name, o->mode) == 0)
		return 0;
	if (errno == EEXIST && made_before(v, o))
		return 0;
	return fault_errno(f, "view", "can't make the directory %s", o->dst);
}

static int op_symlink(struct view *v, const struct op *o, struct fault *f)
{
	const char *name;
	AUTO_FD int parent = view_parent(v, o->dst, &name);

	if (parent < 0 || symlinkat(o->src, parent, name))
		return fault_errno(f, "view", "can't make the symlink %s",
				   o->dst);
	return 0;
}

static int op_file(struct view *v, const struct op *o, struct fault *f)
{
	const char *name;
	AUTO_FD int parent = view_parent(v, o->dst, &name);
	AUTO_FD int fd = -1;
	size_t length = strlen(o->src);

	if (parent >= 0)
		fd = openat(parent, name,
			    O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW |
				    O_CLOEXEC,
			    0600);
	if (fd < 0)
		return fault_errno(f, "view", "can't make the file %s",
				   o->dst);
	if (RETRY(write(fd, o->src, length)) != (ssize_t)length ||
	    fchmod(fd, o->mode))
		return fault_errno(f, "view", "can't write the file %s",
				   o->dst);
	return 0;
}

static int op_bind(struct view *v, const struct op *o, struct fault *f)
{
	AUTO_FD int source = -1;
	AUTO_FD int at = -1;
	AUTO_FD int copy = -1;
	unsigned attrs = o->flags & FLAG_RO ? K_MOUNT_RDONLY : 0;
	struct stat st;

	source = host_open(o->src, &st, f);
	if (source < 0)
		return -1;
	/* A device that is bound by name is meant to work. */
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		attrs |= K_MOUNT_NODEV;
	at = view_place(v, o->dst, S_ISDIR(st.st_mode), f);
	if (at < 0)
		return -1;
	copy = mount_clone(source, attrs, f);
	return copy < 0 ? -1 : mount_attach(copy, at, o->dst, f);
}

static int op_tmpfs(struct view *v, const struct op *o, struct fault *f)
{
	AUTO_FD int at = view_place(v, o->dst, true, f);
	AUTO_FD int mount = -1;
	unsigned attrs = K_MOUNT_NOSUID | K_MOUNT_NODEV;

	if (at < 0)
		return -1;
	if (o->flags & FLAG_RO)
		attrs |= K_MOUNT_RDONLY;
	if (o->flags & FLAG_NOEXEC)
		attrs |= K_MOUNT_NOEXEC;
	mount = mount_tmpfs(o->mode, o->size, attrs, f);
	if (mount < 0 || mount_attach(mount, at, o->dst, f))
		return -1;
	if (!(o->flags & FLAG_RO))
		view_own(v, mount);
	return 0;
}

static int op_remount_ro(struct view *v, const struct op *o, struct fault *f)
{
	AUTO_FD int at = view_open(v, o->dst);

	if (at < 0)
		return fault_errno(f, "view", "can't find %s in the view",
				   o->dst);
	return mount_read_only(at, o->dst, f);
}

static int (*const carry_out[])(struct view *, const struct op *,
				struct fault *) = {
	[OP_DIR] = op_dir,	   [OP_SYMLINK] = op_symlink,
	[OP_FILE] = op_file,	   [OP_BIND] = op_bind,
	[OP_OVERLAY] = op_overlay, [OP_TMPFS] = op_tmpfs,
	[OP_PROC] = op_proc,	   [OP_DEV] = op_dev,
	[OP_HIDE] = op_hide,	   [OP_REMOUNT_RO] = op_remount_ro,
	[OP_SHIM] = op_shim,
};

static bool at_or_above(const char *path, const char *of)
{
	size_t n = strlen(path);

	return strncmp(path, of, n) == 0 && (of[n] == '\0' || of[n] == '/');
}

/* Hidden, or shown read-only as the host has it: nothing is written there. */
static bool closed_later(const struct spec *s, const struct op *overlay)
{
	bool closed = false;

	for (const struct op *o = overlay + 1; o < s->ops + s->nops; o++) {
		if (!at_or_above(o->dst, overlay->dst))
			continue;
		if (o->kind == OP_HIDE)
			return true;
		closed = o->kind == OP_BIND && o->flags & FLAG_RO;
	}
	return closed;
}

/* A later mount over a layer would send its writes elsewhere, unseen. */
static int check_shadows(const struct view *v, struct fault *f)
{
	const struct spec *s = v->spec;

	for (size_t i = 0; i < s->nops; i++) {
		AUTO_FD int at = -1;

		if (s->ops[i].kind != OP_OVERLAY ||
		    closed_later(s, &s->ops[i]))
			continue;
		at = view_open(v, s->ops[i].dst);
		if (at < 0 || mount_id(at) != v->overlay_mounts[i])
			return fault(f, "canary",
				     "the layer at %s is covered by a later "
				     "operation",
				     s->ops[i].dst);
	}
	return 0;
}

static bool starts_with_root_overlay(const struct spec *s)
{
	return s->ops[0].kind == OP_OVERLAY && !s->ops[0].dst[1];
}

/* newroot itself: a tmpfs, unless the first operation is an overlay on it. */
static int open_root(struct view *v, struct fault *f)
{
	AUTO_FD int below = -1;
	AUTO_FD int mount = -1;
	struct stat st;

	below = host_open(v->spec->newroot, &st, f);
	if (below < 0)
		return -1;
	if (starts_with_root_overlay(v->spec)) {
		v->root = take_fd(&below);
		return 0;
	}
	mount = mount_tmpfs(0755, 0, K_MOUNT_NOSUID | K_MOUNT_NODEV, f);
	if (mount < 0 || mount_attach(mount, below, v->spec->newroot, f))
		return -1;
	view_own(v, mount);
	v->root = take_fd(&mount);
	return 0;
}

/* Shims lie on the host's side: they are there before any overlay needs them. */
static int carry_out_all(struct view *v, bool shims, struct fault *f)
{
	for (size_t i = 0; i < v->spec->nops; i++) {
		const struct op *o = &v->spec->ops[i];

		if ((o->kind == OP_SHIM) == shims &&
		    carry_out[o->kind](v, o, f))
			return -1;
	}
	return 0;
}

static int build(struct view *v, struct fault *f)
{
	if (carry_out_all(v, true, f) || open_root(v, f) ||
	    carry_out_all(v, false, f))
		return -1;
	return check_shadows(v, f);
}

/* The old root goes out of sight together with everything below it. */
static int pivot(const struct view *v, struct fault *f)
{
	if (fchdir(v->root) || syscall(SYS_pivot_root, ".", ".")) {
		fault_errno(f, "mount", "can't make the view the root");
		if (errno == EINVAL)
			fault_hint(f, "A root that is an initramfs can't be "
				      "left: run agentfw on a real root");
		return -1;
	}
	if (umount2(".", MNT_DETACH) || chdir("/"))
		return fault_errno(f, "mount", "can't detach the host's root");
	/*
	 * No program gains privileges here anyway, but only on such mounts does
	 * one start whose file has capabilities that nobody here can have: ping.
	 */
	if (mount_no_suid(v->root, f))
		return -1;
	if (starts_with_root_overlay(v->spec))
		return 0;
	return mount_read_only(v->root, "/", f);
}

int view_enter(const struct spec *s, struct fault *f)
{
	struct view v = {.spec = s, .root = -1};
	int result = -1;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fault_errno(f, "mount", "can't make mounts private");
	v.tmpfs = calloc(s->nops + 1, sizeof(*v.tmpfs));
	v.overlay_mounts = calloc(s->nops, sizeof(*v.overlay_mounts));
	if (!v.tmpfs || !v.overlay_mounts)
		fault(f, "mount", "out of memory");
	else if (build(&v, f) == 0)
		result = pivot(&v, f);
	if (v.root >= 0)
		close(v.root);
	free(v.tmpfs);
	free(v.overlay_mounts);
	return result;
}
