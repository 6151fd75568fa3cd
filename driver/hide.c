/*
 * Hiding, and the parts of /proc that a process with the host's user id 0
 * must not write: an id map takes root's capabilities, not its ownership.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "mount.h"
#include "sys.h"

/* Covers what is at `at`: a directory by an empty one, else by /dev/null. */
int hide_at(int at, const char *dst, struct fault *f)
{
	AUTO_FD int cover = -1;
	AUTO_FD int null = -1;
	struct stat st;

	if (fstat(at, &st))
		return fault_errno(f, "hide", "can't hide %s", dst);
	if (S_ISDIR(st.st_mode)) {
		cover = mount_tmpfs(0, 4096,
				    K_MOUNT_RDONLY | K_MOUNT_NOSUID |
					    K_MOUNT_NODEV | K_MOUNT_NOEXEC,
				    f);
	} else {
		null = host_open("/dev/null", &st, f);
		if (null < 0)
			return -1;
		cover = mount_clone(null, K_MOUNT_RDONLY | K_MOUNT_NOSUID |
						  K_MOUNT_NOEXEC, f);
	}
	return cover < 0 ? -1 : mount_attach(cover, at, dst, f);
}

int op_hide(struct view *v, const struct op *o, struct fault *f)
{
	AUTO_FD int at = view_open(v, o->dst);

	if (at < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (at < 0)
		return fault_errno(f, "hide", "can't hide %s", o->dst);
	return hide_at(at, o->dst, f);
}

static int cover_proc(int proc, const char *name, bool hidden,
		      struct fault *f)
{
	AUTO_FD int at = openat(proc, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int copy = -1;
	struct stat st;

	if (at < 0 || fstat(at, &st))
		return errno == ENOENT ? 0
				       : fault_errno(f, "hide",
						     "can't open /proc/%s",
						     name);
	if (hidden)
		return hide_at(at, name, f);
	/* self, thread-self, net, mounts: what they lead to is a process's */
	if (S_ISLNK(st.st_mode))
		return 0;
	copy = mount_clone(at, K_MOUNT_RDONLY, f);
	return copy < 0 ? -1 : mount_attach(copy, at, name, f);
}

static bool is_hidden_proc(const char *name)
{
	static const char *const hidden[] = {
		"acpi", "allocinfo", "kcore", "keys", "kmsg", "kpagecgroup",
		"kpagecount", "kpageflags", "latency_stats", "pagetypeinfo",
		"sched_debug", "scsi", "slabinfo", "timer_list", "timer_stats",
		"vmallocinfo"};

	for (size_t i = 0; i < COUNT(hidden); i++)
		if (same(name, hidden[i]))
			return true;
	return false;
}

/*
 * All but the processes. The modes and owners of these entries are those of
 * the machine, not of this mount: who owns them could change them for all.
 */
static int cover_procs(int proc, struct fault *f)
{
	int fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int result = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return fault_errno(f, "hide", "can't list /proc");
	}
	while (result == 0 && (errno = 0, e = readdir(dir))) {
		char first = e->d_name[0];

		if (first != '.' && (first < '0' || first > '9'))
			result = cover_proc(proc, e->d_name,
					    is_hidden_proc(e->d_name), f);
	}
	if (result == 0 && errno)
		result = fault_errno(f, "hide", "can't list /proc");
	closedir(dir);
	return result;
}

int op_proc(struct view *v, const struct op *o, struct fault *f)
{
	AUTO_FD int at = view_place(v, o->dst, true, f);
	AUTO_FD int proc = -1;

	if (at < 0)
		return -1;
	proc = mount_new("proc", NULL,
			 K_MOUNT_NOSUID | K_MOUNT_NODEV | K_MOUNT_NOEXEC, f);
	if (proc < 0) {
		fault_hint(f, "A fresh /proc is refused where parts of the "
			      "host's are covered: in a container, unmask "
			      "/proc (systempaths=unconfined)");
		return -1;
	}
	if (mount_attach(proc, at, o->dst, f))
		return -1;
	/* The agent owns them by no other id. */
	return v->spec->uid == 0 ? cover_procs(proc, f) : 0;
}
