/* The values of the spec: numbers, modes, paths, words. No state. */
#define _GNU_SOURCE
#include "spec_value.h"

#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "util.h"

int value_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		if (n > (UINT64_MAX - 9) / 10)
			return -1;
		n = n * 10 + (uint64_t)(*text - '0');
	}
	*out = n;
	return n <= max ? 0 : -1;
}

int value_octal(const char *text, mode_t *out)
{
	unsigned n = 0;

	if (!*text || strlen(text) > 5)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '7')
			return -1;
		n = n * 8 + (unsigned)(*text - '0');
	}
	*out = n;
	return n <= 07777 ? 0 : -1;
}

/* Absolute and normalized: no empty, `.` or `..` component. */
bool value_path(const char *path)
{
	const char *s = path;

	if (*s != '/' || strlen(s) >= PATH_MAX)
		return false;
	if (!s[1])
		return true;
	while (*s) {
		size_t n = strcspn(++s, "/");

		if (n == 0 || n > NAME_MAX || (n == 1 && s[0] == '.') ||
		    (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		s += n;
	}
	return true;
}

int value_word(const struct word *words, const char *text, unsigned *out)
{
	for (; words->name; words++)
		if (same(words->name, text)) {
			*out = words->value;
			return 0;
		}
	return -1;
}

/* A comma list of words, each giving one flag; empty is none. */
int value_flags(const struct word *words, const char *text, unsigned *out)
{
	*out = 0;
	while (*text) {
		size_t n = strcspn(text, ",");
		char item[32];
		unsigned flag;

		if (n == 0 || n >= sizeof(item))
			return -1;
		memcpy(item, text, n);
		item[n] = '\0';
		if (value_word(words, item, &flag) || (*out & flag))
			return -1;
		*out |= flag;
		text += n;
		if (*text == ',' && !*++text)
			return -1;
	}
	return 0;
}

int value_limit(const char *text, rlim_t *out)
{
	uint64_t n;

	if (same(text, "unlimited")) {
		*out = RLIM_INFINITY;
		return 0;
	}
	if (value_number(text, UINT64_MAX - 1, &n))
		return -1;
	*out = (rlim_t)n;
	return 0;
}
