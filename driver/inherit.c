/* Descriptors 0-2: the only ones that reach the agent. */
#define _GNU_SOURCE
#include "inherit.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "mount.h"
#include "sys.h"

int inherit_check(struct fault *f)
{
	for (int fd = 0; fd <= 2; fd++) {
		struct stat st;

		if (fstat(fd, &st)) {
			if (open("/dev/null", O_RDWR) != fd)
				return fault_errno(f, "stdio",
						   "can't fill descriptor %d",
						   fd);
		} else if (S_ISDIR(st.st_mode)) {
			return fault(f, "stdio",
				     "descriptor %d is a directory: it would "
				     "lead out of the view",
				     fd);
		}
	}
	return 0;
}

/* A file without a name (a here-document) is nobody's to lose. */
static bool is_input(int fd, struct stat *st)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) == O_RDONLY &&
	       fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_nlink > 0;
}

bool inherit_has_input(void)
{
	struct stat st;

	return is_input(0, &st) || is_input(1, &st) || is_input(2, &st);
}

static int open_same(int fd, const struct stat *st)
{
	char path[PATH_MAX];
	ssize_t n = readlink(fd_path(fd).text, path, sizeof(path) - 1);
	struct stat found;
	int same_file;

	if (n <= 0)
		return -1;
	path[n] = '\0';
	same_file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (same_file < 0)
		return -1;
	if (fstat(same_file, &found) == 0 && found.st_dev == st->st_dev &&
	    found.st_ino == st->st_ino)
		return same_file;
	close(same_file);
	errno = ESTALE;
	return -1;
}

static int protect(int fd, const struct stat *st, struct fault *f)
{
	AUTO_FD int source = open_same(fd, st);
	AUTO_FD int mount = -1;
	AUTO_FD int again = -1;
	off_t offset = lseek(fd, 0, SEEK_CUR);

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
	again = open(fd_path(mount).text, O_RDONLY | O_CLOEXEC);
	if (again < 0 || lseek(again, offset, SEEK_SET) < 0 ||
	    dup2(again, fd) < 0)
		return fault_errno(f, "stdio",
				   "can't open the file of descriptor %d "
				   "again",
				   fd);
	return 0;
}

int inherit_protect(struct fault *f)
{
	for (int fd = 0; fd <= 2; fd++) {
		struct stat st;

		if (is_input(fd, &st) && protect(fd, &st, f))
			return -1;
	}
	return 0;
}
