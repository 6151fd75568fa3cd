/* Mutated specs: the parser must take or refuse each, and touch no stray byte. */
#define _GNU_SOURCE
#include <time.h>

#include "../../driver/control.h"
#include "../../driver/spec.h"
#include "unit.h"

static const char seed_text[] =
	"agentfw-spec 1|mode|user|ids|5|6|newroot|/s/n|cwd|/w|net|off|nested|"
	"allow|tty|1|hostname|h|arg|sh|arg|-c|env|A=1|rlimit|nofile|1|2|"
	"dir|/w|1777|symlink|x|/l|file|/f|644|t|bind|/usr|/usr|ro|"
	"overlay|/w|/s/u|/s/w|user,volatile|2|/shim|/w|tmpfs|/t|755|4096|ro|"
	"proc|/proc|dev|/dev|hide|/h|remount-ro|/w|end|";

static const char *const words[] = {
	"end", "", "/", "overlay", "arg", "99999999999999999999", "-1", "root",
	"trusted,volatile", "/../x", "65536", "target", "agentfw-spec 1", "0"};

static size_t below(unsigned *seed, size_t n)
{
	return n ? (size_t)rand_r(seed) % n : 0;
}

/* Puts `with` in the place of n bytes at `at`; returns the new length. */
static size_t splice(char *b, size_t length, size_t at, size_t n,
		     const char *with, size_t m)
{
	memmove(b + at + m, b + at + n, length - at - n);
	memcpy(b + at, with, m);
	return length - n + m;
}

static size_t mutate(char *b, size_t length, unsigned *seed)
{
	size_t at = below(seed, length);
	const char *word = words[below(seed, COUNT(words))];
	char byte = (char)rand_r(seed);

	switch (below(seed, 6)) {
	case 0:
		return splice(b, length, at, 1, &byte, 1);
	case 1:
		return splice(b, length, at, 0, "", 1);
	case 2:
		return splice(b, length, at, 1 + below(seed, length - at), "",
			      0);
	case 3: /* one token becomes another */
		while (at > 0 && b[at - 1])
			at--;
		return splice(b, length, at, strnlen(b + at, length - at),
			      word, strlen(word));
	case 4:
		return splice(b, length, at, 0, word, strlen(word) + 1);
	default:
		return at + 1;
	}
}

static void fuzz_command(const char *bytes, size_t length)
{
	int number;

	control_parse(bytes, length, &number);
}

int main(int argc, char **argv)
{
	size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
	unsigned seed = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10)
				 : (unsigned)time(NULL);
	struct unit u = {0, 0};
	size_t taken = 0;

	printf("# seed %u\n", seed);
	for (size_t i = 0; i < count; i++) {
		size_t length = sizeof(seed_text) - 1;
		char *b = malloc(4 * sizeof(seed_text)), *exact;
		struct fault f;
		struct spec s;

		memcpy(b, seed_text, length);
		for (size_t k = 0; k < length; k++)
			if (b[k] == '|')
				b[k] = '\0';
		for (size_t k = 1 + below(&seed, 4); k > 0 && length > 1; k--)
			length = mutate(b, length, &seed);
		/* exactly as long as it is, so that ASan sees every overrun */
		exact = malloc(length ? length : 1);
		memcpy(exact, b, length);
		free(b);
		fuzz_command(exact, length);
		taken += spec_parse(exact, length, i & 1, &s, &f) == 0;
		spec_free(&s);
	}
	printf("# %zu of %zu mutated specs were taken\n", taken, count);
	check(&u, taken < count, "mutated specs are parsed without a fault");
	return unit_end(&u);
}
