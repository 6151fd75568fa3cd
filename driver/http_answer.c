#include "http_answer.h"

/* The line that tells; what is 'x' is a digit of its own. */
static const char begins[] = "HTTP/1.1 1xx";

static bool begins_so(struct http_answer *a, char c)
{
	char want = begins[a->at];

	if (want != 'x')
		return c == want;
	a->code = (uint8_t)(a->code * 10 + (c - '0'));
	return c >= '0' && c <= '9';
}

/* An answer before the answer has a head, and nothing else. */
static bool in_head(struct http_answer *a, char c)
{
	if (a->cr != (c == '\n'))
		return false;	/* a line ends in both */
	if (c == '\n' && a->empty)
		*a = (struct http_answer){ .seen = a->seen };
	else if (c == '\n')
		a->empty = true;
	else if (c != '\r')
		a->empty = false;
	a->cr = c == '\r';
	return true;
}

enum answer http_answer(struct http_answer *a, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = data[i];

		if (++a->seen > HTTP_ANSWER_MAX)
			return ANSWER_NO;
		if (a->at < sizeof(begins) - 1) {
			if (!begins_so(a, c))
				return ANSWER_NO;
			a->at++;
			continue;
		}
		if (a->at == sizeof(begins) - 1) {
			if (c != ' ' && c != '\r')
				return ANSWER_NO;
			if (a->code == 1)
				return ANSWER_SWITCHES;
			a->at++;
		}
		if (!in_head(a, c))
			return ANSWER_NO;
	}
	return ANSWER_MORE;
}
