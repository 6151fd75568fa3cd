/*
 * What each verb of the spec means: one row of the table at the end per verb.
 * Twin of src/sandbox/spec.ts, see docs/driver-protocol.md.
 */
#define _GNU_SOURCE
#include "spec_verbs.h"

#include <limits.h>

#include "spec_value.h"

int spec_bad(struct parser *p, const char *what, const char *value)
{
	return fault(p->fault, "spec", "bad spec: %s `%.200s`", what, value);
}

static const struct word bools[] = {{"0", 0}, {"1", 1}, {0}};
static const struct word modes[] = {
	{"user", MODE_USER}, {"root", MODE_ROOT}, {0}};
static const struct word nets[] = {
	{"off", NET_OFF}, {"host", NET_HOST}, {"gate", NET_GATE}, {0}};
static const struct word audits[] = {{"none", 0}, {"exec", 1}, {0}};
static const struct word nesteds[] = {{"deny", NESTED_DENY},
				      {"no-cgroup", NESTED_NO_CGROUP},
				      {"allow", NESTED_ALLOW},
				      {0}};
static const struct word binds[] = {{"rw", 0}, {"ro", FLAG_RO}, {0}};
static const struct word tmpfs_flags[] = {
	{"ro", FLAG_RO}, {"noexec", FLAG_NOEXEC}, {0}};
enum { FLAG_USER = 1 << 5 };
static const struct word overlay_flags[] = {
	{"user", FLAG_USER},	     {"trusted", FLAG_TRUSTED},
	{"volatile", FLAG_VOLATILE}, {"nosuid", FLAG_NOSUID},
	{"noexec", FLAG_NOEXEC},     {0}};
static const struct word resources[] = {
	{"as", RLIMIT_AS}, {"core", RLIMIT_CORE}, {"cpu", RLIMIT_CPU},
	{"data", RLIMIT_DATA}, {"fsize", RLIMIT_FSIZE},
	{"locks", RLIMIT_LOCKS}, {"memlock", RLIMIT_MEMLOCK},
	{"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
	{"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC},
	{"rss", RLIMIT_RSS}, {"rtprio", RLIMIT_RTPRIO},
	{"rttime", RLIMIT_RTTIME}, {"sigpending", RLIMIT_SIGPENDING},
	{"stack", RLIMIT_STACK}, {0}};

static int set_word(struct parser *p, const struct word *words,
		    const char *text, unsigned *out)
{
	return value_word(words, text, out) ? spec_bad(p, "unknown word", text) : 0;
}

static int set_path(struct parser *p, const char *text, const char **out)
{
	if (!value_path(text))
		return spec_bad(p, "not an absolute, normalized path", text);
	*out = text;
	return 0;
}

#define SETTER(name)                                                           \
	static int set_##name(struct parser *p, struct spec *s, char **a)

#define WORD_SETTER(name, words, type)                                         \
	SETTER(name)                                                           \
	{                                                                      \
		unsigned v;                                                    \
									       \
		if (set_word(p, words, a[0], &v))                              \
			return -1;                                             \
		s->name = (type)v;                                             \
		return 0;                                                      \
	}

WORD_SETTER(mode, modes, enum mode)
WORD_SETTER(net, nets, enum net)
WORD_SETTER(nested, nesteds, enum nested)
WORD_SETTER(tty, bools, bool)
WORD_SETTER(detach, bools, bool)
WORD_SETTER(wait, bools, bool)

SETTER(audit)
{
	unsigned v;

	if (set_word(p, audits, a[0], &v))
		return -1;
	s->audit_execs = v;
	return 0;
}

SETTER(newroot)
{
	if (!a[0][0] || !a[0][1])
		return spec_bad(p, "newroot can't be", a[0]);
	return set_path(p, a[0], &s->newroot);
}

SETTER(cwd)
{
	return set_path(p, a[0], &s->cwd);
}

SETTER(ids)
{
	uint64_t uid, gid;

	if (value_number(a[0], UINT32_MAX - 1, &uid))
		return spec_bad(p, "not a user id", a[0]);
	if (value_number(a[1], UINT32_MAX - 1, &gid))
		return spec_bad(p, "not a group id", a[1]);
	s->uid = (uid_t)uid;
	s->gid = (gid_t)gid;
	return 0;
}

SETTER(target)
{
	uint64_t pid;

	if (value_number(a[0], INT32_MAX, &pid) || pid == 0)
		return spec_bad(p, "not a process id", a[0]);
	if (value_number(a[1], UINT64_MAX, &s->target_start))
		return spec_bad(p, "not a start time", a[1]);
	s->target = (pid_t)pid;
	return 0;
}

SETTER(hostname)
{
	if (!a[0][0] || strlen(a[0]) > 64)
		return spec_bad(p, "not a hostname", a[0]);
	s->hostname = a[0];
	return 0;
}

SETTER(arg)
{
	(void)p;
	s->argv[s->argc++] = a[0];
	return 0;
}

SETTER(env)
{
	if (a[0][0] == '=' || !strchr(a[0], '='))
		return spec_bad(p, "not KEY=VALUE", a[0]);
	s->envp[s->envc++] = a[0];
	return 0;
}

SETTER(require)
{
	if (s->nrequires == COUNT(s->requires))
		return spec_bad(p, "too many `require`", a[0]);
	s->requires[s->nrequires++] = a[0];
	return 0;
}

SETTER(rlimit)
{
	struct limit *l = &s->limits[s->nlimits];
	unsigned resource;

	if (s->nlimits == COUNT(s->limits))
		return spec_bad(p, "too many `rlimit`", a[0]);
	if (set_word(p, resources, a[0], &resource))
		return -1;
	l->resource = (int)resource;
	if (value_limit(a[1], &l->value.rlim_cur))
		return spec_bad(p, "not a limit", a[1]);
	if (value_limit(a[2], &l->value.rlim_max) ||
	    l->value.rlim_cur > l->value.rlim_max)
		return spec_bad(p, "not a hard limit", a[2]);
	s->nlimits++;
	return 0;
}

SETTER(socket)
{
	struct host_socket *h = &s->sockets[s->nsockets];

	if (s->nsockets == COUNT(s->sockets))
		return spec_bad(p, "too many `socket`", a[0]);
	if (set_path(p, a[0], &h->listen) || set_path(p, a[1], &h->target))
		return -1;
	h->is_keys = !strcmp(a[2], "keys");
	if (!h->is_keys && strcmp(a[2], "bytes") != 0)
		return spec_bad(p, "not `bytes` or `keys`", a[2]);
	s->nsockets++;
	return 0;
}

SETTER(cgroup)
{
	struct group *g = &s->groups[s->ngroups];

	if (s->ngroups == COUNT(s->groups))
		return spec_bad(p, "too many `cgroup`", a[0]);
	if (set_path(p, a[0], &g->dir) || set_path(p, a[1], &g->back))
		return -1;
	s->ngroups++;
	return 0;
}

/* The next operation, with its destination. */
static struct op *new_op(struct parser *p, enum op_kind kind, const char *dst)
{
	struct op *o = &p->spec->ops[p->spec->nops];

	*o = (struct op){.kind = kind};
	if (set_path(p, dst, &o->dst))
		return NULL;
	if (!dst[1] && (kind != OP_OVERLAY || p->spec->nops != 0)) {
		spec_bad(p, "only the first operation, an overlay, may be at", dst);
		return NULL;
	}
	p->spec->nops++;
	return o;
}

#define OP_SETTER(name, kind, dst)                                             \
	static int op_fill_##name(struct parser *p, struct op *o, char **a);   \
	SETTER(name)                                                           \
	{                                                                      \
		struct op *o = new_op(p, kind, a[dst]);                        \
									       \
		(void)s;                                                       \
		return o ? op_fill_##name(p, o, a) : -1;                       \
	}                                                                      \
	static int op_fill_##name(struct parser *p, struct op *o, char **a)

static int set_mode_of(struct parser *p, const char *text, struct op *o)
{
	return value_octal(text, &o->mode) ? spec_bad(p, "not an octal mode", text) : 0;
}

OP_SETTER(dir, OP_DIR, 0)
{
	return set_mode_of(p, a[1], o);
}

OP_SETTER(symlink, OP_SYMLINK, 1)
{
	if (!a[0][0] || strlen(a[0]) >= PATH_MAX)
		return spec_bad(p, "not a symlink target", a[0]);
	o->src = a[0];
	return 0;
}

OP_SETTER(file, OP_FILE, 0)
{
	o->src = a[2];
	return set_mode_of(p, a[1], o);
}

OP_SETTER(bind, OP_BIND, 1)
{
	if (set_path(p, a[0], &o->src))
		return -1;
	return set_word(p, binds, a[2], &o->flags);
}

OP_SETTER(tmpfs, OP_TMPFS, 0)
{
	if (set_mode_of(p, a[1], o))
		return -1;
	if (value_number(a[2], INT64_MAX, &o->size))
		return spec_bad(p, "not a size", a[2]);
	if (value_flags(tmpfs_flags, a[3], &o->flags))
		return spec_bad(p, "bad tmpfs flags", a[3]);
	return 0;
}

#define PLAIN_OP(name, kind)                                                   \
	SETTER(name)                                                           \
	{                                                                      \
		(void)s;                                                       \
		return new_op(p, kind, a[0]) ? 0 : -1;                         \
	}

PLAIN_OP(proc, OP_PROC)
PLAIN_OP(dev, OP_DEV)
PLAIN_OP(hide, OP_HIDE)
PLAIN_OP(remount_ro, OP_REMOUNT_RO)

/* As many paths as `count` says follow the verb's own arguments. */
static int set_paths(struct parser *p, const char *count, const char *bad,
		     const char *missing, struct op *o)
{
	uint64_t n;

	if (value_number(count, SPEC_MAX_TOKENS, &n) || n == 0)
		return spec_bad(p, bad, count);
	if (n > p->count - p->at)
		return spec_bad(p, missing, count);
	o->lowers = p->tokens + p->at;
	o->nlowers = (size_t)n;
	p->at += o->nlowers;
	for (size_t i = 0; i < o->nlowers; i++)
		if (!value_path(o->lowers[i]))
			return spec_bad(p, "not an absolute, normalized path",
				   o->lowers[i]);
	return 0;
}

OP_SETTER(overlay, OP_OVERLAY, 0)
{
	if (set_path(p, a[1], &o->upper) || set_path(p, a[2], &o->work))
		return -1;
	if (value_flags(overlay_flags, a[3], &o->flags))
		return spec_bad(p, "bad overlay options", a[3]);
	if (!(o->flags & FLAG_USER) == !(o->flags & FLAG_TRUSTED))
		return spec_bad(p, "one of `user` and `trusted` is needed, not",
			   a[3]);
	return set_paths(p, a[4], "not a number of lowers",
			 "missing lowers after", o);
}

OP_SETTER(shim, OP_SHIM, 0)
{
	size_t n;

	if (set_path(p, a[1], &o->src) ||
	    set_paths(p, a[2], "not a number of paths",
		      "missing paths after", o))
		return -1;
	n = o->src[1] ? strlen(o->src) : 0;
	for (size_t i = 0; i < o->nlowers; i++)
		if (strncmp(o->lowers[i], o->src, n) || o->lowers[i][n] != '/' ||
		    !o->lowers[i][n + 1])
			return spec_bad(p, "not below the shim's base",
					o->lowers[i]);
	return 0;
}

const struct verb spec_verbs[] = {
	{"mode", 1, ONCE | RUN | ENTER | NEEDED, set_mode},
	{"ids", 2, ONCE | RUN | ENTER | NEEDED, set_ids},
	{"newroot", 1, ONCE | RUN | NEEDED, set_newroot},
	{"cwd", 1, ONCE | RUN | ENTER | NEEDED, set_cwd},
	{"net", 1, ONCE | RUN | ENTER | NEEDED, set_net},
	{"nested", 1, ONCE | RUN | ENTER | NEEDED, set_nested},
	{"tty", 1, ONCE | RUN | ENTER, set_tty},
	{"detach", 1, ONCE | RUN, set_detach},
	{"audit", 1, ONCE | RUN, set_audit},
	{"wait", 1, ONCE | RUN, set_wait},
	{"target", 2, ONCE | ENTER | NEEDED, set_target},
	{"hostname", 1, ONCE | RUN, set_hostname},
	{"require", 1, RUN | ENTER, set_require},
	{"arg", 1, RUN | ENTER, set_arg},
	{"env", 1, RUN | ENTER, set_env},
	{"rlimit", 3, RUN | ENTER, set_rlimit},
	{"socket", 3, RUN, set_socket},
	{"cgroup", 2, RUN | ENTER, set_cgroup},
	{"dir", 2, RUN, set_dir},
	{"symlink", 2, RUN, set_symlink},
	{"file", 3, RUN, set_file},
	{"bind", 3, RUN, set_bind},
	{"overlay", 5, RUN, set_overlay},
	{"shim", 3, RUN, set_shim},
	{"tmpfs", 4, RUN, set_tmpfs},
	{"proc", 1, RUN, set_proc},
	{"dev", 1, RUN, set_dev},
	{"hide", 1, RUN, set_hide},
	{"remount-ro", 1, RUN, set_remount_ro},
};

const size_t spec_nverbs = COUNT(spec_verbs);
