/* Runs each attempt in a child of its own and writes a JSON line for it. */
#define _GNU_SOURCE
#include "climb.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/wait.h>

#include "status.h"

enum { MOST_SECONDS = 10 };

struct outcome {
	bool held;
	char detail[CLIMB_DETAIL];
};

bool climb_refused(struct climb *c, long rc)
{
	int why = errno;

	if (rc >= 0) {
		snprintf(c->detail, sizeof(c->detail), "it worked");
		return false;
	}
	snprintf(c->detail, sizeof(c->detail), "%s", strerror(why));
	return why == EPERM || why == EACCES || why == ENOSYS;
}

/* An attempt that hangs or crashes has shown nothing: its wall isn't proven. */
static _Noreturn void child(const struct climb_row *row, struct climb c,
			    int out)
{
	struct outcome o = {.held = false};

	alarm(MOST_SECONDS);
	o.held = row->attempt(&c);
	memcpy(o.detail, c.detail, sizeof(o.detail));
	(void)!write(out, &o, sizeof(o));
	_exit(0);
}

static struct outcome try_row(const struct climb_row *row,
			      const struct climb *c)
{
	struct outcome o = {.detail = "the attempt did not finish"};
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		return o;
	pid = fork();
	if (pid == 0)
		child(row, *c, out[1]);
	close(out[1]);
	if (pid > 0) {
		(void)!RETRY(read(out[0], &o, sizeof(o)));
		waitpid(pid, NULL, 0);
	}
	close(out[0]);
	return o;
}

static void climb_all(const struct climb_row *rows, const struct climb *c,
		      FILE *to)
{
	for (; rows->name; rows++) {
		struct outcome o = try_row(rows, c);
		char text[CLIMB_DETAIL * 6];

		json_escape(text, sizeof(text), o.detail);
		fprintf(to, "{\"name\":\"%s\",\"held\":%s,\"detail\":\"%s\"}\n",
			rows->name, o.held ? "true" : "false", text);
		/* The next child must not hold a copy of it. */
		fflush(to);
	}
}

int climb_main(int argc, char **argv)
{
	char path[PATH_MAX], *end = "";
	struct climb c = {0};
	FILE *to;
	int failed;

	if (argc < 3)
		return EXIT_SETUP;
	c.dir = argv[0];
	c.store = argv[1];
	c.port = (int)strtol(argv[2], &end, 10);
	c.namespaces = argv + 3;
	if (*end || chdir(c.dir))
		return EXIT_SETUP;
	snprintf(path, sizeof(path), "%s/result.jsonl", c.dir);
	to = fopen(path, "wex");
	if (!to)
		return EXIT_SETUP;
	climb_all(climb_reach, &c, to);
	climb_all(climb_calls, &c, to);
	failed = ferror(to);
	return fclose(to) || failed ? EXIT_SETUP : 0;
}
