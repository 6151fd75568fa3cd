/* The table of verbs, between spec.c (the grammar) and spec_verbs.c. */
#ifndef AGENTFW_SPEC_VERBS_H
#define AGENTFW_SPEC_VERBS_H

#include "spec.h"

struct parser {
	struct spec *spec;
	struct fault *fault;
	char **tokens;
	size_t count, at;
};

enum { ONCE = 1, RUN = 2, ENTER = 4, NEEDED = 8 };

struct verb {
	const char *name;
	size_t nargs;
	unsigned how; /* may come once / in run / in enter / must come */
	int (*set)(struct parser *p, struct spec *s, char **args);
};

extern const struct verb spec_verbs[];
extern const size_t spec_nverbs;

/* `bad spec: <what> `<value>``; always -1. */
int spec_bad(struct parser *p, const char *what, const char *value);

#endif
