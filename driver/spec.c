/*
 * The grammar of the spec: NUL-terminated tokens, a verb and its arguments.
 * Nothing here touches the system; a spec is taken whole or refused.
 * Twin of src/sandbox/spec.ts, see docs/driver-protocol.md.
 */
#define _GNU_SOURCE
#include "spec.h"

#include "spec_verbs.h"

int spec_read(int fd, char **bytes, size_t *length, struct fault *f)
{
	size_t size = 64 << 10, used = 0;
	char *buf = malloc(size);

	while (buf) {
		ssize_t n = RETRY(read(fd, buf + used, size - used));

		if (n < 0) {
			fault_errno(f, "spec", "can't read the spec on fd %d",
				    fd);
			break;
		}
		if (n == 0) {
			*bytes = buf;
			*length = used;
			return 0;
		}
		used += (size_t)n;
		if (used > SPEC_MAX_BYTES) {
			fault(f, "spec", "the spec is longer than %d bytes",
			      SPEC_MAX_BYTES);
			break;
		}
		if (used == size) {
			char *more = realloc(buf, size * 2);

			if (!more)
				break;
			buf = more;
			size *= 2;
		}
	}
	if (!buf || used == size)
		fault(f, "spec", "can't hold the spec: out of memory");
	free(buf);
	return -1;
}

/* Splits the bytes at the NULs. */
static int tokenize(struct parser *p, char *bytes, size_t length)
{
	char *end = bytes + length;

	if (length == 0 || end[-1] != '\0')
		return fault(p->fault, "spec",
			     "bad spec: doesn't end with a whole token");
	for (char *s = bytes; s < end; s += strlen(s) + 1)
		p->count++;
	if (p->count > SPEC_MAX_TOKENS)
		return fault(p->fault, "spec", "bad spec: more than %d tokens",
			     SPEC_MAX_TOKENS);
	p->tokens = calloc(p->count + 1, sizeof(*p->tokens));
	if (!p->tokens)
		return fault(p->fault, "spec", "out of memory");
	p->count = 0;
	for (char *s = bytes; s < end; s += strlen(s) + 1)
		p->tokens[p->count++] = s;
	return 0;
}

static int check_lengths(struct parser *p, const struct verb *v, char **args)
{
	bool longer = same(v->name, "arg") || same(v->name, "env");
	size_t max = longer ? SPEC_MAX_ARG : SPEC_MAX_TOKEN;

	for (size_t i = 0; i < v->nargs; i++)
		if (strlen(args[i]) >= max)
			return spec_bad(p, "too long a token after", v->name);
	return 0;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < spec_nverbs; i++)
		if (same(spec_verbs[i].name, name))
			return &spec_verbs[i];
	return NULL;
}

static int parse_record(struct parser *p, unsigned where, bool *seen)
{
	const char *name = p->tokens[p->at++];
	const struct verb *v = find_verb(name);
	char **args = p->tokens + p->at;

	if (!v)
		return spec_bad(p, "unknown verb", name);
	if (!(v->how & where))
		return spec_bad(p, "here there can be no", name);
	if ((v->how & ONCE) && seen[v - spec_verbs])
		return spec_bad(p, "repeated", name);
	seen[v - spec_verbs] = true;
	if (p->count - p->at < v->nargs)
		return spec_bad(p, "missing arguments of", name);
	if (check_lengths(p, v, args))
		return -1;
	p->at += v->nargs;
	return v->set(p, p->spec, args);
}

static int parse_records(struct parser *p, unsigned where)
{
	bool seen[64] = {false};

	if (!same(p->tokens[0], SPEC_HEADER))
		return spec_bad(p, "this driver speaks `" SPEC_HEADER "`, not",
				p->tokens[0]);
	p->at = 1;
	while (p->at < p->count && !same(p->tokens[p->at], "end"))
		if (parse_record(p, where, seen))
			return -1;
	if (p->at + 1 != p->count)
		return spec_bad(p, "the last token must be",
				p->at == p->count ? "end" : "end, alone");
	for (size_t i = 0; i < spec_nverbs; i++)
		if ((spec_verbs[i].how & NEEDED) &&
		    (spec_verbs[i].how & where) && !seen[i])
			return spec_bad(p, "missing", spec_verbs[i].name);
	return 0;
}

/* What no single record can tell. */
static int check(const struct spec *s, bool enter, struct fault *f)
{
	if (s->argc == 0)
		return fault(f, "spec", "bad spec: missing `arg`");
	if (s->argv[0][0] == '\0')
		return fault(f, "spec", "bad spec: the program has no name");
	if (!enter && s->nops == 0)
		return fault(f, "spec", "bad spec: no operation");
	if (s->mode == MODE_ROOT && (s->uid != 0 || s->gid != 0))
		return fault(f, "spec", "bad spec: mode root needs ids 0 0");
	for (size_t i = 0; i < s->nops; i++)
		if ((s->ops[i].flags & FLAG_TRUSTED) && s->mode != MODE_ROOT)
			return fault(f, "spec",
				     "bad spec: `trusted` needs mode root");
	return 0;
}

int spec_parse(char *bytes, size_t length, bool enter, struct spec *s,
	       struct fault *f)
{
	struct parser p = {.spec = s, .fault = f};

	*s = (struct spec){.bytes = bytes};
	if (tokenize(&p, bytes, length))
		return -1;
	s->tokens = p.tokens;
	s->argv = calloc(p.count + 1, sizeof(*s->argv));
	s->envp = calloc(p.count + 1, sizeof(*s->envp));
	s->ops = calloc(p.count + 1, sizeof(*s->ops));
	if (!s->argv || !s->envp || !s->ops)
		return fault(f, "spec", "out of memory");
	if (parse_records(&p, enter ? ENTER : RUN))
		return -1;
	return check(s, enter, f);
}

void spec_free(struct spec *s)
{
	free(s->argv);
	free(s->envp);
	free(s->ops);
	free(s->tokens);
	free(s->bytes);
	*s = (struct spec){0};
}

bool spec_requires(const struct spec *s, const char *name)
{
	for (size_t i = 0; i < s->nrequires; i++)
		if (same(s->requires[i], name))
			return true;
	return false;
}
