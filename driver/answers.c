/*
 * Who waits for a dead server can only be killed. So each path is looked at by
 * a process of its own, and what has not ended after a second is.
 */
#define _GNU_SOURCE
#include "answers.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

#include "sys.h"
#include "util.h"

enum { PATIENCE_MS = 1000, GLANCE_MS = 5 };

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The kernel may know the directory itself; how full it is, it has to ask. */
static bool answers(const char *path)
{
	struct stat st;
	struct statfs fs;

	if (lstat(path, &st))
		return false;
	return statfs(path, &fs) == 0 ||
	       (errno != ENOTCONN && errno != ESTALE && errno != EIO &&
		errno != EHOSTDOWN && errno != ETIMEDOUT);
}

static pid_t ask(const char *path)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		/* It may outlive us, and who reads our answer waits for the
		 * last that could write it. */
		sys_close_range(0, 0);
		_exit(answers(path) ? 0 : 1);
	}
	return child;
}

/* Whether it answered; a look that could not be begun says nothing. */
static bool await(pid_t child, long deadline)
{
	int status = 0;

	if (child < 0)
		return true;
	while (RETRY(waitpid(child, &status, WNOHANG)) == 0) {
		if (now_ms() >= deadline) {
			kill(child, SIGKILL);
			/* Not waited for: it may be past waking by a signal. */
			return false;
		}
		poll(NULL, 0, GLANCE_MS);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int answers_main(void)
{
	long deadline = now_ms() + PATIENCE_MS;
	pid_t *children = NULL;
	char **paths = NULL;
	size_t n = 0;

	for (size_t size = 0;; n++) {
		paths = reallocarray(paths, n + 1, sizeof(*paths));
		children = reallocarray(children, n + 1, sizeof(*children));
		if (!paths || !children)
			return EXIT_FAILURE;
		paths[n] = NULL;
		if (getdelim(&paths[n], &size, '\0', stdin) <= 0)
			break;
		children[n] = ask(paths[n]);
		size = 0;
	}
	for (size_t i = 0; i < n; i++)
		if (!await(children[i], deadline))
			fwrite(paths[i], 1, strlen(paths[i]) + 1, stdout);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
