/* The spec parser: what it takes, what it refuses, and why it says so. */
#define _GNU_SOURCE
#include "../../driver/spec.h"

#include "unit.h"

/* A spec in one line: `|` ends a token. */
static char *bytes_of(const char *text, size_t *length)
{
	char *bytes = strdup(text);

	*length = strlen(bytes);
	for (char *s = bytes; *s; s++)
		if (*s == '|')
			*s = '\0';
	return bytes;
}

#define HEAD "agentfw-spec 1|mode|user|ids|5|6|newroot|/s/n|cwd|/w|net|off|"  \
	     "nested|allow|"
#define OVER "overlay|/w|/s/u|/s/w|user,volatile|1|/w|"
#define TAIL "arg|true|end|"
#define GROUPS3 "cgroup|/g|/b|cgroup|/g|/b|cgroup|/g|/b|"
#define GROUPS6 GROUPS3 GROUPS3
#define ENTER "agentfw-spec 1|mode|user|ids|5|6|cwd|/w|net|off|nested|deny|"

struct bad_case {
	const char *text, *says;
};

static const struct bad_case bad_cases[] = {
	{"", "whole token"},
	{"agentfw-spec 1", "whole token"},
	{"agentfw-spec 2|end|", "agentfw-spec 2"},
	{"agentfw-spec 1|end|", "missing `mode`"},
	{HEAD OVER "arg|true|", "last token"},
	{HEAD OVER TAIL "x|", "last token"},
	{HEAD OVER TAIL "end|", "last token"},
	{HEAD OVER "arg|true|end", "whole token"},
	{HEAD OVER "end|", "missing `arg`"},
	{HEAD OVER "arg||end|", "has no name"},
	{HEAD TAIL, "no operation"},
	{HEAD OVER "mode|user|" TAIL, "repeated `mode`"},
	{HEAD OVER "cwd|/w|" TAIL, "repeated `cwd`"},
	{HEAD OVER "frob|/w|" TAIL, "unknown verb `frob`"},
	{HEAD OVER "target|1|2|" TAIL, "no `target`"},
	{HEAD OVER "tty|2|" TAIL, "unknown word `2`"},
	{HEAD OVER "tty||" TAIL, "unknown word ``"},
	{HEAD OVER "detach|yes|" TAIL, "unknown word `yes`"},
	{HEAD OVER "env|FOO|" TAIL, "KEY=VALUE"},
	{HEAD OVER "env|=x|" TAIL, "KEY=VALUE"},
	{HEAD OVER "rlimit|frob|1|2|" TAIL, "unknown word `frob`"},
	{HEAD OVER "rlimit|nofile|2|1|" TAIL, "hard limit `1`"},
	{HEAD OVER "rlimit|nofile|-1|1|" TAIL, "not a limit `-1`"},
	{HEAD OVER "rlimit|nofile|01|1|" TAIL, "not a limit `01`"},
	{HEAD OVER "rlimit|nofile|1|99999999999999999999|" TAIL, "hard limit"},
	{HEAD OVER "cgroup|/g|b|" TAIL, "normalized path `b`"},
	{HEAD OVER GROUPS6 GROUPS6 GROUPS6 GROUPS6 "cgroup|/h|/b|" TAIL,
	 "too many `cgroup` `/h`"},
	{HEAD OVER "hostname||" TAIL, "not a hostname"},
	{HEAD "dir|a|755|" TAIL, "normalized path `a`"},
	{HEAD "dir|/a/|755|" TAIL, "normalized path `/a/`"},
	{HEAD "dir|/a//b|755|" TAIL, "normalized path"},
	{HEAD "dir|/a/../b|755|" TAIL, "normalized path"},
	{HEAD "dir|/..|755|" TAIL, "normalized path"},
	{HEAD "dir|/.|755|" TAIL, "normalized path"},
	{HEAD "dir||755|" TAIL, "normalized path"},
	{HEAD "dir|/|755|" TAIL, "only the first operation"},
	{HEAD "dir|/a|999|" TAIL, "octal mode `999`"},
	{HEAD "dir|/a|17777|" TAIL, "octal mode"},
	{HEAD "dir|/a||" TAIL, "octal mode"},
	{HEAD "dir|/a|0x1|" TAIL, "octal mode"},
	{HEAD "dir|/a|", "missing arguments of `dir`"},
	{HEAD "symlink||/a|" TAIL, "symlink target"},
	{HEAD "bind|/a|/b|wr|" TAIL, "unknown word `wr`"},
	{HEAD "bind|a|/b|ro|" TAIL, "normalized path `a`"},
	{HEAD "tmpfs|/a|755|x||" TAIL, "not a size"},
	{HEAD "tmpfs|/a|755|1|suid|" TAIL, "tmpfs flags"},
	{HEAD "tmpfs|/a|755|1|ro,|" TAIL, "tmpfs flags"},
	{HEAD "tmpfs|/a|755|1|,ro|" TAIL, "tmpfs flags"},
	{HEAD "tmpfs|/a|755|1|ro,ro|" TAIL, "tmpfs flags"},
	{HEAD "overlay|/w|/u|/k||1|/l|" TAIL, "one of `user`"},
	{HEAD "overlay|/w|/u|/k|user,trusted|1|/l|" TAIL, "one of `user`"},
	{HEAD "overlay|/w|/u|/k|user,redirect|1|/l|" TAIL, "overlay options"},
	{HEAD "overlay|/w|/u|/k|trusted|1|/l|" TAIL, "needs mode root"},
	{HEAD "overlay|/w|/u|/k|user|0|" TAIL, "number of lowers"},
	{HEAD "overlay|/w|/u|/k|user|2|/l|" TAIL, "normalized path `arg`"},
	{HEAD "overlay|/w|/u|/k|user|9|/l|" TAIL, "missing lowers"},
	{HEAD OVER "shim|/s|/w|0|" TAIL, "number of paths"},
	{HEAD OVER "shim|/s|/w|9|/w/a|" TAIL, "missing paths"},
	{HEAD OVER "shim|/s|/w|1|/v/a|" TAIL, "below the shim's base"},
	{HEAD OVER "shim|/s|/w|1|/w|" TAIL, "below the shim's base"},
	{HEAD OVER "shim|/s|/w|1|/wa/b|" TAIL, "below the shim's base"},
	{HEAD OVER "shim|/s|/w|1|/w/../a|" TAIL, "normalized path"},
	{HEAD OVER "shim|/s|/|1|/|" TAIL, "below the shim's base"},
	{HEAD "overlay|/w|/u|/k|user|18446744073709551615|/l|" TAIL, "lowers"},
	{HEAD "overlay|/w|/u|/k|user|1|l|" TAIL, "normalized path `l`"},
	{HEAD "hide|/a|overlay|/|/u|/k|user|1|/l|" TAIL, "only the first"},
	{"agentfw-spec 1|mode|root|ids|5|0|newroot|/n|cwd|/|net|off|nested|"
	 "deny|hide|/x|" TAIL, "ids 0 0"},
	{"agentfw-spec 1|mode|frob|" TAIL, "unknown word `frob`"},
	{"agentfw-spec 1|mode|user|ids|4294967295|1|" TAIL, "not a user id"},
	{"agentfw-spec 1|newroot|/|" TAIL, "newroot can't be"},
};

static bool refused(const char *text, bool enter, const char *says)
{
	size_t length;
	char *bytes = bytes_of(text, &length);
	struct fault f = {.text = ""};
	struct spec s;
	bool ok = spec_parse(bytes, length, enter, &s, &f) == -1 &&
		  f.exit == EXIT_SETUP && same(f.code, "spec") &&
		  strstr(f.text, says);

	if (!ok)
		printf("# said: %s\n", f.text);
	spec_free(&s);
	return ok;
}

static void test_refusals(struct unit *u)
{
	for (size_t i = 0; i < COUNT(bad_cases); i++) {
		char name[160];

		snprintf(name, sizeof(name), "a bad spec is refused: %s",
			 bad_cases[i].says);
		check(u, refused(bad_cases[i].text, false, bad_cases[i].says),
		      name);
	}
	check(u, refused(ENTER "arg|x|end|", true, "missing `target`"),
	      "`enter` needs a target");
	check(u, refused(ENTER "target|0|1|arg|x|end|", true, "process id"),
	      "`enter` needs a process id");
	check(u, refused(ENTER "target|1|1|hide|/a|arg|x|end|", true,
			 "no `hide`"),
	      "`enter` has no view operations");
}

static void test_whole(struct unit *u)
{
	static const char text[] = HEAD
		"tty|1|detach|0|hostname|box|require|signal-scope|"
		"arg|sh|arg|-c|arg||env|A=1|env|B=|"
		"rlimit|nofile|10|unlimited|rlimit|core|0|0|"
		"dir|/w|1777|symlink|../x y|/l|file|/f|644|text\n|"
		"bind|/usr|/usr|ro|bind|/p|/p|rw|"
		"overlay|/w|/s/u|/s/w|user,volatile,nosuid|2|/shim|/w|"
		"tmpfs|/t|755|4096|ro,noexec|proc|/proc|dev|/dev|hide|/h|"
		"remount-ro|/w|end|";
	size_t length;
	char *bytes = bytes_of(text, &length);
	struct fault f = {.text = ""};
	struct spec s;
	int result = spec_parse(bytes, length, false, &s, &f);

	check(u, result == 0, "a whole spec is taken");
	if (result) {
		printf("# %s\n", f.text);
		return;
	}
	check(u, s.uid == 5 && s.gid == 6 && s.tty && !s.detach &&
			 s.nested == NESTED_ALLOW,
	      "single values are read");
	check(u, s.argc == 3 && same(s.argv[2], "") && !s.argv[3],
	      "arguments keep their order, an empty one too");
	check(u, s.envc == 2 && same(s.envp[1], "B="), "the environment");
	check(u, s.nlimits == 2 && s.limits[0].value.rlim_cur == 10 &&
		      s.limits[0].value.rlim_max == RLIM_INFINITY,
	      "limits");
	check(u, s.nops == 11 && s.ops[0].mode == 01777 &&
		      same(s.ops[1].src, "../x y") &&
		      same(s.ops[2].src, "text\n"),
	      "operations keep their order");
	check(u, s.ops[3].flags == FLAG_RO && s.ops[4].flags == 0, "bind");
	check(u, s.ops[5].nlowers == 2 && same(s.ops[5].lowers[0], "/shim") &&
		      (s.ops[5].flags & FLAG_NOSUID) &&
		      (s.ops[5].flags & FLAG_VOLATILE),
	      "overlay");
	check(u, s.ops[6].size == 4096 &&
		      s.ops[6].flags == (FLAG_RO | FLAG_NOEXEC),
	      "tmpfs");
	check(u, spec_requires(&s, "signal-scope") && !spec_requires(&s, "x"),
	      "required protections");
	spec_free(&s);
}

/* Tokens at and beyond each bound. */
static bool long_token(const char *verb, size_t n, bool value)
{
	char *text = malloc(n + 512), *bytes;
	size_t used = (size_t)sprintf(text, HEAD OVER "%s|%s", verb,
				      value ? "K=" : "");
	struct fault f = {.text = ""};
	struct spec s;
	size_t length;
	bool ok;

	memset(text + used, 'x', n);
	strcpy(text + used + n, "|" TAIL);
	bytes = bytes_of(text, &length);
	free(text);
	ok = spec_parse(bytes, length, false, &s, &f) == 0;
	spec_free(&s);
	return ok;
}

static bool many_tokens(size_t n)
{
	static const char head[] = HEAD OVER "arg|true|";
	char *text = malloc(sizeof(head) + 8 * n + 8), *at = text, *bytes;
	struct fault f = {.text = ""};
	struct spec s;
	size_t length;
	bool ok;

	at += sprintf(at, "%s", head);
	for (size_t i = 0; i < n; i++)
		at += sprintf(at, "arg|x|");
	sprintf(at, "end|");
	bytes = bytes_of(text, &length);
	free(text);
	ok = spec_parse(bytes, length, false, &s, &f) == 0;
	spec_free(&s);
	return ok;
}

static void test_bounds(struct unit *u)
{
	check(u, long_token("arg", 1 << 20, false), "an argument of 1 MiB");
	check(u, !long_token("arg", SPEC_MAX_ARG, false),
	      "an argument beyond 2 MiB is refused");
	check(u, !long_token("hide", SPEC_MAX_TOKEN, false),
	      "a path beyond 128 KiB is refused");
	check(u, long_token("env", 1 << 20, true), "a variable of 1 MiB");
	check(u, many_tokens(500000), "1,000,000 tokens");
	check(u, !many_tokens(530000), "1,060,000 tokens are refused");
}

int main(void)
{
	struct unit u = {0, 0};

	test_refusals(&u);
	test_whole(&u);
	test_bounds(&u);
	return unit_end(&u);
}
