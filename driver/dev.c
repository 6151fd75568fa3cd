/* A minimal /dev: harmless nodes, own pseudo-terminals, shared memory. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "inherit.h"
#include "mount.h"
#include "sys.h"

static int place_file(int dev, const char *name, struct fault *f)
{
	int fd = openat(dev, name,
			O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
			0666);

	if (fd >= 0) {
		close(fd);
		fd = openat(dev, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		fault_errno(f, "dev", "can't make /dev/%s", name);
	return fd;
}

/*
 * Shows the host's character device `source` as /dev/NAME. A read-only mount
 * keeps its mode, owner and times as they are; the device is written all the
 * same.
 */
static int bind_node(int dev, int source, const char *name, struct fault *f)
{
	AUTO_FD int at = place_file(dev, name, f);
	AUTO_FD int copy = -1;

	if (at < 0)
		return -1;
	copy = mount_clone(source, K_MOUNT_RDONLY | K_MOUNT_NOSUID |
					   K_MOUNT_NOEXEC, f);
	return copy < 0 ? -1 : mount_attach(copy, at, name, f);
}

static int bind_nodes(int dev, struct fault *f)
{
	static const char *const nodes[] = {"null",   "zero",	 "full",
					    "random", "urandom", "tty"};

	for (size_t i = 0; i < COUNT(nodes); i++) {
		AUTO_FD int source = -1;
		char path[32];
		struct stat st;

		snprintf(path, sizeof(path), "/dev/%s", nodes[i]);
		source = host_open(path, &st, f);
		if (source < 0)
			return -1;
		if (!S_ISCHR(st.st_mode))
			return fault(f, "dev", "%s is no device", path);
		if (bind_node(dev, source, nodes[i], f))
			return -1;
	}
	return 0;
}

/*
 * The caller's terminal lives in the host's devpts. As /dev/console it can be
 * found by ttyname(3), which compares devices and inodes.
 */
static int bind_console(int dev, struct fault *f)
{
	for (int fd = 0; fd <= 2; fd++) {
		AUTO_FD int source = isatty(fd) ? inherit_source(fd) : -1;

		if (source < 0)
			continue;
		return bind_node(dev, source, "console", f);
	}
	return 0;
}

static int mount_below(int dev, const char *name, mode_t mode, int mount,
		       struct fault *f)
{
	AUTO_FD int own = mount;
	AUTO_FD int at = -1;

	if (own < 0)
		return -1;
	if (mkdirat(dev, name, mode))
		return fault_errno(f, "dev", "can't make /dev/%s", name);
	at = openat(dev, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (at < 0)
		return fault_errno(f, "dev", "can't open /dev/%s", name);
	return mount_attach(own, at, name, f);
}

static int mount_parts(int dev, struct fault *f)
{
	static const struct mount_option pts[] = {
		{"source", "agentfw"}, {"ptmxmode", "0666"}, {"mode", "0620"},
		{NULL, NULL}};
	const unsigned attrs = K_MOUNT_NOSUID | K_MOUNT_NOEXEC;

	if (mount_below(dev, "pts", 0755,
			mount_new("devpts", pts, attrs, f), f) ||
	    mount_below(dev, "shm", 01777,
			mount_tmpfs(01777, 0, K_MOUNT_NOSUID | K_MOUNT_NODEV,
				    f),
			f))
		return -1;
	return mount_below(dev, "mqueue", 01777,
			   mount_new("mqueue", NULL, attrs | K_MOUNT_NODEV, f),
			   f);
}

int op_dev(struct view *v, const struct op *o, struct fault *f)
{
	static const char *const links[][2] = {
		{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"},
		{"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"},
		{"pts/ptmx", "ptmx"}};
	AUTO_FD int at = view_place(v, o->dst, true, f);
	AUTO_FD int dev = -1;

	if (at < 0)
		return -1;
	/* Not sticky: O_CREAT on a device in a sticky 1777 directory fails. */
	dev = mount_tmpfs(0755, 1 << 20, K_MOUNT_NOSUID | K_MOUNT_NOEXEC, f);
	if (dev < 0 || mount_attach(dev, at, o->dst, f))
		return -1;
	view_own(v, dev);
	for (size_t i = 0; i < COUNT(links); i++)
		if (symlinkat(links[i][0], dev, links[i][1]))
			return fault_errno(f, "dev", "can't make /dev/%s",
					   links[i][1]);
	if (bind_nodes(dev, f) || bind_console(dev, f))
		return -1;
	inherit_rehome(dev);
	return mount_parts(dev, f);
}
