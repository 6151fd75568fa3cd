/* Probes of overlays, with layers in a temporary directory. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "probe.h"

static const char *const parts[] = {"lower", "upper", "work", "merged"};

int probe_layers_make(const char *dir, char *made, size_t size)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(made, size, "%s/agentfw-probe-XXXXXX", dir) >=
		    size ||
	    !mkdtemp(made))
		return -1;
	for (size_t i = 0; i < COUNT(parts); i++) {
		snprintf(path, sizeof(path), "%s/%s", made, parts[i]);
		if (mkdir(path, 0700))
			return -1;
	}
	return 0;
}

void probe_layers_remove(const char *made)
{
	static const char *const closed[] = {
		"work/work", "work/work/incompat",
		"work/work/incompat/volatile"};
	static const char *const left[] = {
		"upper/file", "work/work/incompat/volatile/dirty",
		"work/work/incompat/volatile",
		"work/work/incompat", "work/work", "work/index",
		"lower", "upper", "work", "merged"};
	char path[PATH_MAX];

	for (size_t i = 0; i < COUNT(closed); i++) {
		snprintf(path, sizeof(path), "%s/%s", made, closed[i]);
		(void)!chmod(path, 0700);
	}
	for (size_t i = 0; i < COUNT(left); i++) {
		snprintf(path, sizeof(path), "%s/%s", made, left[i]);
		if (unlink(path))
			rmdir(path);
	}
	rmdir(made);
}

/* A write through the overlay must be seen in the upper. */
static int try_overlay(const char *made, const char *lower,
		       const char *options)
{
	char text[4 * PATH_MAX], merged[PATH_MAX];
	AUTO_FD int fd = -1;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return errno;
	snprintf(merged, sizeof(merged), "%s/merged", made);
	snprintf(text, sizeof(text),
		 "lowerdir=%s,upperdir=%s/upper,workdir=%s/work,"
		 "index=off,xino=off,metacopy=off%s",
		 lower, made, made, options);
	if (mount("agentfw", merged, "overlay", 0, text))
		return errno;
	snprintf(text, sizeof(text), "%s/file", merged);
	fd = open(text, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	snprintf(text, sizeof(text), "%s/upper/file", made);
	return access(text, F_OK) ? errno : 0;
}

static int try_own(struct probe *p, const char *options)
{
	char lower[PATH_MAX];

	snprintf(lower, sizeof(lower), "%s/lower", p->dir);
	return try_overlay(p->dir, lower, options);
}

int probe_overlay(struct probe *p)
{
	return try_own(p, ",userxattr");
}

int probe_volatile(struct probe *p)
{
	return try_own(p, ",userxattr,volatile");
}

int probe_root_overlay(struct probe *p)
{
	if (geteuid() != 0) {
		snprintf(p->detail, sizeof(p->detail), "not root");
		return EPERM;
	}
	return try_overlay(p->dir, "/", ",redirect_dir=nofollow");
}
