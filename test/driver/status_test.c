/* JSON escaping, and the commands of the supervisor. */
#define _GNU_SOURCE
#include "../../driver/control.h"
#include "../../driver/status.h"
#include "unit.h"

static bool escapes(const char *text, const char *expected)
{
	char buf[256];

	json_escape(buf, sizeof(buf), text);
	if (!same(buf, expected))
		printf("# %s\n", buf);
	return same(buf, expected);
}

static void test_escape(struct unit *u)
{
	char small[16];

	check(u, escapes("plain /a b", "plain /a b"), "plain text");
	check(u, escapes("a\"b\\c", "a\\\"b\\\\c"), "quotes and backslashes");
	check(u, escapes("a\nb\033", "a\\u000ab\\u001b"), "control characters");
	check(u, escapes("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
			 "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "UTF-8");
	check(u, escapes("a\xff\xc3(", "a\\ufffd\\ufffd("), "stray bytes");
	check(u, escapes("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"),
	      "surrogates are no UTF-8");
	check(u, escapes("\xc0\xaf", "\\ufffd\\ufffd"), "overlong forms");
	check(u, json_escape(small, sizeof(small), "\1\1\1\1\1\1") <
			 sizeof(small), "a full buffer is cut, not overrun");
}

struct command_case {
	const char *json;
	enum command command;
	int signal;
};

static const struct command_case commands[] = {
	{"{\"do\":\"kill\"}", COMMAND_KILL, 0},
	{" { \"do\" : \"kill\" } ", COMMAND_KILL, 0},
	{"{\"do\":\"signal\",\"signal\":15}", COMMAND_SIGNAL, 15},
	{"{\"signal\":2,\"do\":\"signal\"}", COMMAND_SIGNAL, 2},
	{"{\"do\":\"signal\"}", COMMAND_BAD, 0},
	{"{\"do\":\"signal\",\"signal\":0}", COMMAND_BAD, 0},
	{"{\"do\":\"signal\",\"signal\":-9}", COMMAND_BAD, 0},
	{"{\"do\":\"signal\",\"signal\":99999}", COMMAND_BAD, 0},
	{"{\"do\":\"signal\",\"signal\":999}", COMMAND_BAD, 0},
	{"{\"do\":\"frob\"}", COMMAND_BAD, 0},
	{"{\"do\":\"kill\"} x", COMMAND_BAD, 0},
	{"{\"do\":\"ki\\u006cl\"}", COMMAND_BAD, 0},
	{"{\"do\":\"kill\"", COMMAND_BAD, 0},
	{"{\"do", COMMAND_BAD, 0},
	{"{}", COMMAND_BAD, 0},
	{"[]", COMMAND_BAD, 0},
	{"", COMMAND_BAD, 0},
};

static void test_commands(struct unit *u)
{
	for (size_t i = 0; i < COUNT(commands); i++) {
		const struct command_case *c = &commands[i];
		int number;
		enum command got = control_parse(c->json, strlen(c->json),
						 &number);
		char name[96];

		snprintf(name, sizeof(name), "command %s", c->json);
		check(u, got == c->command &&
			      (got != COMMAND_SIGNAL || number == c->signal),
		      name);
	}
}

static void put(struct control *c, const char *json, size_t n)
{
	unsigned char head[4] = {(unsigned char)n, (unsigned char)(n >> 8), 0,
				 0};

	memcpy(c->bytes + c->used, head, 4);
	memcpy(c->bytes + c->used + 4, json, n);
	c->used += 4 + n;
}

static void test_frames(struct unit *u)
{
	static const char kill_tree[] = "{\"do\":\"kill\"}";
	static const char go[] = "{\"do\":\"go\"}";
	struct control c = {.used = 0};
	int number;

	put(&c, kill_tree, strlen(kill_tree));
	put(&c, go, strlen(go));
	c.used -= 3;
	check(u, control_next(&c, &number) == COMMAND_KILL, "a whole frame");
	check(u, control_next(&c, &number) == COMMAND_NONE,
	      "a part of a frame waits");
	memcpy(c.bytes + c.used, go + strlen(go) - 3, 3);
	c.used += 3;
	check(u, control_next(&c, &number) == COMMAND_GO && c.used == 0,
	      "and is taken when the rest has come");
	c = (struct control){.bytes = {1, CONTROL_MAX >> 8, 0, 0}, .used = 4};
	check(u, control_next(&c, &number) == COMMAND_BAD,
	      "a frame that is a byte too long");
	c = (struct control){.bytes = {0, 0, 0, 0xff}, .used = 4};
	check(u, control_next(&c, &number) == COMMAND_BAD,
	      "a frame that is too long");
}

int main(void)
{
	struct unit u = {0, 0};

	test_escape(&u);
	test_commands(&u);
	test_frames(&u);
	return unit_end(&u);
}
