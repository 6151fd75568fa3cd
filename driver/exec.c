/* Executes the agent: its own PATH, clean signals, no descriptor but 0-2. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "confine.h"
#include "sys.h"

static const char *path_of(char **envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* As execvp: a file without a known format is a shell script. */
static void try_exec(const char *path, const struct spec *s)
{
	char **argv;

	execve(path, s->argv, s->envp);
	if (errno != ENOEXEC)
		return;
	argv = calloc(s->argc + 2, sizeof(*argv));
	if (!argv)
		return;
	argv[0] = (char *)"/bin/sh";
	argv[1] = (char *)path;
	memcpy(argv + 2, s->argv + 1, s->argc * sizeof(*argv));
	execve(argv[0], argv, s->envp);
	free(argv);
	errno = ENOEXEC;
}

/*
 * Leaves the errno that tells most, and the path that it is about: a refusal
 * beats an absence. What lies in a directory that can't be searched is absent,
 * as shells have it: a PATH often has somebody else's directory.
 */
static void search_exec(const struct spec *s, char *tried)
{
	const char *path = path_of(s->envp);
	char next[PATH_MAX];
	int best = ENOENT;

	for (;;) {
		size_t n = strcspn(path, ":");

		if ((size_t)snprintf(next, sizeof(next), "%.*s%s%s", (int)n,
				     path, n ? "/" : "", s->argv[0]) <
		    sizeof(next)) {
			int error;
			bool there;

			try_exec(next, s);
			error = errno;
			there = access(next, F_OK) == 0;
			if (there) {
				best = error;
				memcpy(tried, next, sizeof(next));
			}
			/* Missing though there: its interpreter is missing. */
			if (there ? error != EACCES : error != ENOENT &&
			    error != ENOTDIR && error != EACCES)
				break;
		}
		if (!path[n])
			break;
		path += n + 1;
	}
	errno = best;
}

/* A script that was written on Windows names an interpreter with a CR. */
static bool ends_in_cr(const char *path)
{
	char line[256];
	AUTO_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line));
	const char *end = n > 2 ? memchr(line, '\n', (size_t)n) : NULL;

	return end && line[0] == '#' && line[1] == '!' && end[-1] == '\r';
}

/* A mount of which the host lets nobody execute anything. */
static bool is_closed(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && fs.f_flag & ST_NOEXEC;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static const char *asked_by(const struct spec *s)
{
	return s->target ? "agentfw exec TAG" : "agentfw run";
}

static int explain(const struct spec *s, const char *tried, struct fault *f)
{
	int error = errno;
	bool there = access(tried, F_OK) == 0;

	errno = error;
	fault_errno(f, "exec", "can't execute %s", s->argv[0]);
	if (error == ENOENT && there) {
		f->exit = EXIT_CANNOT;
		if (ends_in_cr(tried))
			fault_hint(f, "Its first line ends in CR LF: sed -i "
				      "'s/\\r$//' %s", tried);
		else
			fault_hint(f, "%s is there, but its interpreter or loader "
			      "isn't in the view",
			   tried);
	} else if (error == ENOENT || error == ENOTDIR) {
		f->exit = EXIT_MISSING;
		if (!strchr(s->argv[0], '/'))
			fault_hint(f, "No directory of the sandbox's PATH has "
				      "it: %s -- sh -c 'echo $PATH'",
				   asked_by(s));
		else
			fault_hint(f, "The view has no such file: %s -- ls "
				      "-ld %s", asked_by(s), s->argv[0]);
	} else {
		f->exit = EXIT_CANNOT;
		if (error == EACCES && is_directory(tried))
			fault_hint(f, "%s is a directory. The agent starts in "
				      "the one that you are in: %s -- sh",
				   tried, asked_by(s));
		else if (error == EACCES && is_closed(tried))
			fault_hint(f, "It lies on a mount with noexec: name an "
				      "interpreter first, or put it elsewhere");
		else if (error == EACCES)
			fault_hint(f, "It is not a program: see ls -ld %s, and "
				      "chmod +x if it should be one", tried);
	}
	return -1;
}

/*
 * A fresh program gets default signals; nohup's wish for SIGHUP is kept.
 * Past libc, which keeps some to itself.
 */
static void reset_signals(void)
{
	static const unsigned long by_default[8];
	struct sigaction old;
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++) {
		if (sig == SIGHUP && sigaction(sig, NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		syscall(SYS_rt_sigaction, sig, by_default, NULL, NSIG / 8);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int exec_agent(const struct spec *s, struct fault *f)
{
	char tried[PATH_MAX] = "";

	if (sys_close_range(3, K_CLOSE_RANGE_CLOEXEC))
		return fault_errno(f, "exec", "can't close descriptors");
	reset_signals();
	if (strchr(s->argv[0], '/')) {
		snprintf(tried, sizeof(tried), "%s", s->argv[0]);
		try_exec(tried, s);
	} else {
		search_exec(s, tried);
	}
	return explain(s, tried, f);
}
