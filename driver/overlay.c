/*
 * Overlays: one per `overlay` operation, mounted by fds so that no path needs
 * escaping, and proven by a canary before anything relies on it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "mount.h"
#include "ns.h"
#include "sys.h"

enum { OPTIONS_MAX = 4095, WORK_DEPTH = 8 };

struct layers {
	int upper, work;
	int *lowers;
	size_t nlowers;
};

static void close_layers(struct layers *l)
{
	for (size_t i = 0; i < l->nlowers; i++)
		close(l->lowers[i]);
	free(l->lowers);
	if (l->upper >= 0)
		close(l->upper);
	if (l->work >= 0)
		close(l->work);
}

static int open_directory(const char *path, struct fault *f)
{
	struct stat st;
	int fd = host_open(path, &st, f);

	if (fd < 0 || S_ISDIR(st.st_mode))
		return fd;
	close(fd);
	return fault(f, "mount", "can't use %s: it is not a directory", path);
}

static int open_layers(const struct op *o, struct layers *l, struct fault *f)
{
	*l = (struct layers){.upper = -1, .work = -1};
	l->lowers = calloc(o->nlowers, sizeof(*l->lowers));
	if (!l->lowers)
		return fault(f, "mount", "out of memory");
	l->upper = open_directory(o->upper, f);
	if (l->upper < 0)
		return -1;
	l->work = open_directory(o->work, f);
	if (l->work < 0)
		return -1;
	for (; l->nlowers < o->nlowers; l->nlowers++) {
		int fd = open_directory(o->lowers[l->nlowers], f);

		if (fd < 0)
			return -1;
		l->lowers[l->nlowers] = fd;
	}
	return 0;
}

/*
 * Its topmost lower lies on another filesystem: without `xino` the kernel would
 * give files another device number than directories.
 */
static bool has_shim(const struct view *v, const struct op *o)
{
	const struct spec *s = v->spec;

	for (const struct op *e = s->ops; e < s->ops + s->nops; e++)
		if (e->kind == OP_SHIM && same(e->dst, o->lowers[0]))
			return true;
	return false;
}

static int options_of(const struct view *v, const struct op *o,
		      const struct layers *l, char *buf, struct fault *f)
{
	size_t n = (size_t)snprintf(buf, OPTIONS_MAX, "lowerdir=");

	for (size_t i = 0; i < l->nlowers && n < OPTIONS_MAX; i++)
		n += (size_t)snprintf(buf + n, OPTIONS_MAX - n, "%s%s",
				      i ? ":" : "", fd_path(l->lowers[i]).text);
	if (n < OPTIONS_MAX)
		n += (size_t)snprintf(
			buf + n, OPTIONS_MAX - n,
			",upperdir=%s,workdir=%s,"
			"index=off,xino=%s,metacopy=off%s%s",
			fd_path(l->upper).text, fd_path(l->work).text,
			has_shim(v, o) ? "on" : "off",
			o->flags & FLAG_TRUSTED ? ",redirect_dir=nofollow"
						: ",userxattr",
			o->flags & FLAG_VOLATILE ? ",volatile" : "");
	if (n < OPTIONS_MAX)
		return 0;
	return fault(f, "mount", "can't mount the overlay at %s: %zu lowers",
		     o->dst, l->nlowers);
}

/* Empties a directory of ours by fd. It never holds the agent's trees. */
static int empty(int dir, int depth)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int result = 0;

	if (!d)
		return -1;
	while (result == 0 && (e = readdir(d))) {
		AUTO_FD int sub = -1;

		if (same(e->d_name, ".") || same(e->d_name, ".."))
			continue;
		if (unlinkat(fd, e->d_name, 0) == 0)
			continue;
		sub = openat(fd, e->d_name,
			     O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub < 0 || depth == 0 || empty(sub, depth - 1) ||
		    unlinkat(fd, e->d_name, AT_REMOVEDIR))
			result = -1;
	}
	closedir(d);
	return result;
}

/*
 * A volatile overlay that didn't end in order leaves a mark which makes the
 * kernel refuse the next one. Whether the layer is to be trusted is the
 * supervisor's question (boot id); the work directory holds nothing.
 */
static int clean_work(const struct op *o, const struct layers *l,
		      struct fault *f)
{
	struct stat st;

	/* not access(2), which would do without our capabilities */
	if (fstatat(l->work, "work/incompat", &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	if (empty(l->work, WORK_DEPTH))
		return fault_errno(f, "mount", "can't empty %s", o->work);
	return 0;
}

static void hint(struct fault *f, int error, const struct op *o)
{
	if (error == EINVAL)
		fault_hint(f, "Something is mounted below %s, or it is an "
			      "overlay over an overlay already, or its "
			      "filesystem or that of %s can't be part of an "
			      "overlay. For the latter set AGENTFW_STATE_DIR "
			      "to a directory on a disk or tmpfs",
			   o->lowers[o->nlowers - 1], o->upper);
	else if (error == ELOOP)
		fault_hint(f, "Layers overlap: the store must not lie below "
			      "%s of the same overlay",
			   o->lowers[o->nlowers - 1]);
	else if (error == ENOSPC)
		fault_hint(f, "This is not a disk limit: too many mounts, raise "
			      "fs.mount-max");
	else if (error == EPERM)
		fault_hint(f, "Overlays in user namespaces need Linux 5.11");
	else if (error == ENODEV)
		fault_hint(f, "This kernel has no overlay filesystem: "
			      "modprobe overlay");
	else if (error == EBUSY)
		fault_hint(f, "The layer %s is in use by another overlay",
			   o->upper);
}

/* A lower must not have it, the upper must: the very file that was made. */
static int check_canary(const struct op *o, const struct layers *l,
			const char *name, const struct stat *made,
			struct fault *f)
{
	struct stat st;

	for (size_t i = 0; i < l->nlowers; i++)
		if (fstatat(l->lowers[i], name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return fault(f, "canary",
				     "a write to %s reached %s instead of its "
				     "layer",
				     o->dst, o->lowers[i]);
	if (fstatat(l->upper, name, &st, AT_SYMLINK_NOFOLLOW))
		return fault_errno(f, "canary",
				   "a write to %s did not reach its layer %s",
				   o->dst, o->upper);
	if (!S_ISREG(st.st_mode) || st.st_size != made->st_size ||
	    st.st_uid != made->st_uid)
		return fault(f, "canary", "a write to %s reached %s changed",
			     o->dst, o->upper);
	return 0;
}

static int make_canary(int view, const char *name, struct stat *made)
{
	AUTO_FD int fd = openat(view, name,
				O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW |
					O_CLOEXEC,
				0600);

	if (fd < 0 || RETRY(write(fd, "canary", 6)) != 6)
		return -1;
	return fstat(fd, made);
}

/* Proves that a write through the view lands in the layer; leaves no trace. */
static int prove(const struct view *v, const struct op *o,
		 const struct layers *l, struct fault *f)
{
	AUTO_FD int view = view_open(v, o->dst);
	struct timespec times[2];
	struct stat upper, made;
	unsigned long long random;
	char name[64];
	int result;

	if (view < 0 || fstat(l->upper, &upper) ||
	    getrandom(&random, sizeof(random), 0) != sizeof(random))
		return fault_errno(f, "canary", "can't test %s", o->dst);
	snprintf(name, sizeof(name), ".agentfw-canary-%016llx", random);
	if (make_canary(view, name, &made)) {
		bool full = errno == ENOSPC || errno == EDQUOT;

		fault_errno(f, "canary", "can't write a test file to %s",
			    o->dst);
		if (full)
			fault_hint(f, "Its filesystem is full: free some room");
		unlinkat(view, name, 0);
		return -1;
	}
	result = check_canary(o, l, name, &made, f);
	if (unlinkat(view, name, 0) && result == 0)
		return fault_errno(f, "canary",
				   "can't remove the test file from %s",
				   o->dst);
	times[0] = upper.st_atim;
	times[1] = upper.st_mtim;
	if (result == 0 &&
	    utimensat(AT_FDCWD, fd_path(l->upper).text, times, 0))
		return fault_errno(f, "canary", "can't restore the times of %s",
				   o->upper);
	return result;
}

/* The mount is new at DST: open it again by its name. */
static int reopen_root(struct view *v, struct fault *f)
{
	int fd = open(v->spec->newroot,
		      O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return fault_errno(f, "mount", "can't open %s",
				   v->spec->newroot);
	close(v->root);
	v->root = fd;
	return 0;
}

/*
 * An overlay acts with the rights of who mounts it. With CAP_DAC_READ_SEARCH it
 * notes in each file that comes up which one of the base it came from, and
 * takes its inode number from there, wherever that one lies by then: if the
 * host renamed it, or it came back beside what the agent renamed, one of both
 * names can't be looked up (ESTALE). Without it, as in user mode, a file is
 * known by its path alone.
 */
static int mount_by_path(const char *at, unsigned long flags,
			 const char *options)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct had[2], less[2];
	int result, error;

	if (syscall(SYS_capget, &head, had))
		return -1;
	memcpy(less, had, sizeof(less));
	less[0].effective &= ~(1U << CAP_DAC_READ_SEARCH);
	if (syscall(SYS_capset, &head, less))
		return -1;
	result = mount("agentfw", at, "overlay", flags, options);
	error = errno;
	if (syscall(SYS_capset, &head, had))
		return -1;
	errno = error;
	return result;
}

static int mount_layers(struct view *v, const struct op *o,
			const struct layers *l, struct fault *f)
{
	AUTO_FD int at = o->dst[1] ? view_place(v, o->dst, true, f)
				   : dup(v->root);
	char options[OPTIONS_MAX + 1];
	unsigned long flags = MS_NODEV |
			      (o->flags & FLAG_NOSUID ? MS_NOSUID : 0) |
			      (o->flags & FLAG_NOEXEC ? MS_NOEXEC : 0);

	if (at < 0 || options_of(v, o, l, options, f) || clean_work(o, l, f))
		return -1;
	if (mount_by_path(fd_path(at).text, flags, options)) {
		fault_errno(f, "mount", "can't mount the overlay at %s",
			    o->dst);
		hint(f, errno, o);
		return -1;
	}
	return o->dst[1] ? 0 : reopen_root(v, f);
}

int op_overlay(struct view *v, const struct op *o, struct fault *f)
{
	AUTO_FD int mounted = -1;
	struct layers l;
	int result = open_layers(o, &l, f);

	if (result == 0)
		result = mount_layers(v, o, &l, f);
	if (result == 0)
		result = prove(v, o, &l, f);
	close_layers(&l);
	if (result)
		return -1;
	mounted = view_open(v, o->dst);
	v->overlay_mounts[o - v->spec->ops] = mount_id(mounted);
	return 0;
}
