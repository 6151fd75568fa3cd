/*
 * Descriptors 0-2: the only ones that reach the agent. They lead to objects of
 * the host, which a read-only mount keeps as they are: through /proc/self/fd
 * an input could be opened for writing, and fchmod takes any descriptor.
 */
#define _GNU_SOURCE
#include "inherit.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "mount.h"
#include "sys.h"

enum { INHERITED = 3 };

/* Where they were found on the host: a file that is opened again has no path. */
static char paths[INHERITED][PATH_MAX];
static struct stat before[INHERITED];
static bool had_caps[INHERITED];

static const char file_caps[] = "security.capability";

static bool has_caps(int fd)
{
	return fgetxattr(fd, file_caps, NULL, 0) > 0;
}

static void note(int fd)
{
	ssize_t n = readlink(fd_path(fd).text, paths[fd], PATH_MAX - 1);

	paths[fd][n > 0 ? n : 0] = '\0';
	fstat(fd, &before[fd]);
	had_caps[fd] = has_caps(fd);
}

int inherit_check(struct fault *f)
{
	for (int fd = 0; fd < INHERITED; fd++) {
		struct stat st;

		if (fstat(fd, &st)) {
			if (open("/dev/null", O_RDWR) != fd)
				return fault_errno(f, "stdio",
						   "can't fill descriptor %d",
						   fd);
		} else if (S_ISDIR(st.st_mode)) {
			fault(f, "stdio",
			      "descriptor %d is a directory: it would lead "
			      "out of the view",
			      fd);
			fault_hint(f, "Redirect it: agentfw run ... %s "
				      "/dev/null", fd == 0 ? "<" : ">");
			return -1;
		}
		note(fd);
	}
	return 0;
}

static int access_mode(int fd)
{
	return fcntl(fd, F_GETFL) & O_ACCMODE;
}

/* A file without a name (a here-document) is nobody's to lose. */
static bool is_input(int fd, const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_nlink > 0 &&
	       access_mode(fd) == O_RDONLY;
}

static bool is_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
}

bool inherit_leads_out(void)
{
	for (int fd = 0; fd < INHERITED; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && (is_input(fd, &st) || is_device(&st)))
			return true;
	}
	return false;
}

int inherit_source(int fd)
{
	struct stat st, found;
	int source;

	if (!paths[fd][0] || fstat(fd, &st))
		return -1;
	source = open(paths[fd], O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0)
		return -1;
	if (fstat(source, &found) == 0 && found.st_dev == st.st_dev &&
	    found.st_ino == st.st_ino && found.st_rdev == st.st_rdev)
		return source;
	close(source);
	errno = ESTALE;
	return -1;
}

/* Opens what is at `path` as `fd` is open, and puts it in its place. */
static int replace(int fd, const char *path, bool seekable)
{
	int flags = fcntl(fd, F_GETFL);
	off_t offset = seekable ? lseek(fd, 0, SEEK_CUR) : 0;
	/* A serial line must not make us wait, nor become our terminal. */
	AUTO_FD int again = open(path, (flags & O_ACCMODE) | O_NONBLOCK |
					       O_NOCTTY | O_CLOEXEC);

	if (again < 0 || fcntl(again, F_SETFL, flags) ||
	    (seekable && lseek(again, offset, SEEK_SET) < 0))
		return -1;
	return dup2(again, fd) < 0 ? -1 : 0;
}

static int protect_input(int fd, struct fault *f)
{
	AUTO_FD int source = inherit_source(fd);
	AUTO_FD int mount = -1;

	if (source < 0) {
		fault_errno(f, "stdio", "can't find the file of descriptor %d",
			    fd);
		fault_hint(f, "Pass it through a pipe: cat FILE | agentfw run "
			      "…");
		return -1;
	}
	mount = mount_clone(source, K_MOUNT_RDONLY, f);
	if (mount < 0)
		return -1;
	if (replace(fd, fd_path(mount).text, true))
		return fault_errno(f, "stdio",
				   "can't open the file of descriptor %d "
				   "again",
				   fd);
	return 0;
}

/*
 * A device keeps its mode and owner. One that can't be found here (a terminal
 * of another mount namespace) or opened by us (somebody else's) stays as it
 * is: the start is worth more than that. A disk can't be opened again at all.
 */
static void protect_device(int fd, const struct stat *st)
{
	struct k_mount_attr nodev = {.set = K_MOUNT_NODEV};
	struct fault ignored;
	AUTO_FD int source = inherit_source(fd);
	AUTO_FD int mount = -1;

	if (source >= 0)
		mount = mount_clone(source, K_MOUNT_RDONLY, &ignored);
	if (mount < 0 ||
	    replace(fd, fd_path(mount).text, S_ISBLK(st->st_mode)))
		return;
	if (S_ISBLK(st->st_mode))
		sys_mount_setattr(mount, 0, &nodev);
}

int inherit_protect(struct fault *f)
{
	for (int fd = 0; fd < INHERITED; fd++) {
		struct stat st;

		if (fstat(fd, &st))
			continue;
		if (is_input(fd, &st) && protect_input(fd, f))
			return -1;
		if (is_device(&st))
			protect_device(fd, &st);
	}
	return 0;
}

void inherit_rehome(int dev)
{
	static const char *const names[] = {"null",   "zero",	 "full",
					    "random", "urandom", "tty",
					    "console"};

	for (size_t i = 0; i < COUNT(names); i++) {
		AUTO_FD int at = openat(dev, names[i],
					O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat node, st;

		if (at < 0 || fstat(at, &node) || !S_ISCHR(node.st_mode))
			continue;
		for (int fd = 0; fd < INHERITED; fd++)
			if (fstat(fd, &st) == 0 && st.st_dev == node.st_dev &&
			    st.st_ino == node.st_ino)
				replace(fd, fd_path(at).text, false);
	}
}

/* Who could change it can change it back; but what is the caller's own by then stays. */
static void settle(int fd, const struct stat *old, const struct stat *now,
		   bool owner)
{
	mode_t gained = now->st_mode & ~old->st_mode & (S_ISUID | S_ISGID);
	int lost = 0;

	if (!had_caps[fd] && has_caps(fd))
		lost |= fremovexattr(fd, file_caps);
	if (gained)
		lost |= fchmod(fd, now->st_mode & 07777 & ~gained);
	if (owner &&
	    (now->st_uid != old->st_uid || now->st_gid != old->st_gid))
		lost |= fchown(fd, old->st_uid, old->st_gid);
	(void)lost; /* the caller's rights were not enough: then the agent's too */
}

static void settle_all(bool owner)
{
	for (int fd = 0; fd < INHERITED; fd++) {
		const struct stat *old = &before[fd];
		struct stat st;

		if (fstat(fd, &st) == 0 && st.st_dev == old->st_dev &&
		    st.st_ino == old->st_ino)
			settle(fd, old, &st, owner);
	}
}

void inherit_settle(void)
{
	settle_all(true);
}

static bool is_output(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       access_mode(fd) != O_RDONLY;
}

/* Open for reading alone: what is open for writing can't be executed. */
static void open_again(int fd)
{
	char path[32];
	AUTO_FD int again = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (again >= 0)
		dup2(again, fd);
}

/*
 * Who: a child of the entering driver, in a session of its own, with the
 * caller's rights on the host. When: until the sandbox's driver has ended, and
 * all processes with it. It holds nothing but output files.
 */
static _Noreturn void settle_main(int end)
{
	struct pollfd p = {.fd = 3, .events = POLLIN};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	for (int fd = 0; fd < INHERITED; fd++)
		if (!is_output(fd))
			dup2(null, fd);
		else
			open_again(fd);
	if (chdir("/") || (end != 3 && dup2(end, 3) < 0) || sys_close_range(4, 0))
		_exit(1);
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	settle_all(false);
	_exit(0);
}

/* Until the child holds nothing open for writing: the command may end at once. */
static void await_ready(int ready[2])
{
	char none;

	close(ready[1]);
	while (read(ready[0], &none, 1) < 0 && errno == EINTR)
		;
	close(ready[0]);
}

int inherit_settle_after(pid_t driver, struct fault *f)
{
	AUTO_FD int end = -1;
	int ready[2];
	pid_t child;

	if (!is_output(0) && !is_output(1) && !is_output(2))
		return 0;
	end = (int)syscall(NR_pidfd_open, driver, 0);
	if (end < 0 || pipe2(ready, O_CLOEXEC))
		return fault_errno(f, "stdio", "can't watch an output file");
	child = fork();
	if (child == 0)
		settle_main(end);
	await_ready(ready);
	return child < 0 ? fault_errno(f, "stdio", "can't watch an output file")
			 : 0;
}
