/* One line per test, and a closing count. */
#ifndef AGENTFW_TEST_UNIT_H
#define AGENTFW_TEST_UNIT_H

#include <stdbool.h>
#include <stdio.h>

struct unit {
	int passed, failed;
};

static inline void check(struct unit *u, bool ok, const char *name)
{
	if (ok)
		u->passed++;
	else
		u->failed++;
	printf("%s - %s\n", ok ? "ok" : "not ok", name);
}

static inline int unit_end(const struct unit *u)
{
	printf("%d passed, %d failed\n", u->passed, u->failed);
	return u->failed ? 1 : 0;
}

#endif
