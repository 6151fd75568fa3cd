/* The values of the spec. Each returns 0, or -1 for what isn't one. */
#ifndef AGENTFW_SPEC_VALUE_H
#define AGENTFW_SPEC_VALUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct word {
	const char *name;
	unsigned value;
};

/* Decimal without sign, space or leading zero. */
int value_number(const char *text, uint64_t max, uint64_t *out);
/* Permission bits, at most 7777. */
int value_octal(const char *text, mode_t *out);
/* Absolute and normalized: no empty, `.` or `..` component. */
bool value_path(const char *path);
/* One word of a table that ends with a null name. */
int value_word(const struct word *words, const char *text, unsigned *out);
/* A comma list of words, each at most once; empty is none. */
int value_flags(const struct word *words, const char *text, unsigned *out);
/* A number or `unlimited`. */
int value_limit(const char *text, rlim_t *out);

#endif
