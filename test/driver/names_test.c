/* Names and the addresses that stand for them, when there are very many. */
#define _GNU_SOURCE
#include "../../driver/gate_names.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct in6_addr address_of(const struct names *n, uint32_t index)
{
	struct in6_addr a = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	names_address(n, index, a.s6_addr + 12);
	return a;
}

static struct in6_addr address(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff,
					       [12] = a, b, c, d } };
}

static bool stands_for(const struct names *n, const struct in6_addr *a,
		       const char *name)
{
	bool fake = false;
	const char *found = names_of(n, a, &fake);

	if (!name)
		return fake && !found;
	return fake && found && !strcmp(found, name);
}

/* The new names that found a place. */
static int add(struct names *n, int kind, int count, uint64_t now)
{
	char name[40];
	int added = 0;

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%d-%d.test", kind, i);
		added += names_add(n, name, now) != 0;
	}
	return added;
}

static void test_few(struct unit *u)
{
	static struct names n;
	struct in6_addr a, other = address(198, 19, 7, 7),
				  foreign = address(198, 20, 0, 1);
	uint32_t index;
	bool fake;

	if (names_init(&n) < 0)
		exit(1);
	index = names_add(&n, "a.test", 0);
	a = address_of(&n, index);
	check(u, names_add(&n, "a.test", 5) == index &&
	      names_add(&n, "b.test", 5) != index,
	      "a name has one address, another name another");
	check(u, stands_for(&n, &a, "a.test"), "it stands for the name");
	check(u, stands_for(&n, &other, NULL), "one of ours without a name");
	check(u, !names_of(&n, &foreign, &fake) && !fake, "none of ours");
	names_know(&n, index, 10);
	check(u, names_known(&n, "a.test", 9) == index &&
	      !names_known(&n, "a.test", 10) && !names_known(&n, "c.test", 9),
	      "known so long as was said");
}

static void test_full(struct unit *u)
{
	static struct names n;
	struct in6_addr held, used, old, fresh;
	uint64_t now = NAMES_REST_MS;
	bool fake;

	if (names_init(&n) < 0)
		exit(1);
	held = address_of(&n, names_add(&n, "held.test", 0));
	used = address_of(&n, names_add(&n, "used.test", 0));
	old = address_of(&n, names_add(&n, "old.test", 0));
	names_hold(&n, &held, &fake);
	names_hold(&n, &used, &fake);
	names_release(&n, &used, true, 0);
	check(u, add(&n, 1, NAMES_MAX, 0) == NAMES_MAX - 3,
	      "as many as there are places, and no more at once");
	check(u, add(&n, 2, 1000, now - 1) == 0, "none goes while it rests");
	check(u, names_add(&n, "old.test", now - 1) != 0,
	      "a name that has a place keeps it");
	check(u, add(&n, 2, NAMES_MAX, now) == NAMES_MAX - 3,
	      "all that have rested go");
	check(u, stands_for(&n, &held, "held.test") &&
	      stands_for(&n, &used, "used.test") &&
	      stands_for(&n, &old, "old.test"),
	      "a name stays that is connected to, was dialled, was asked again");
	names_release(&n, &held, false, now);
	add(&n, 3, NAMES_MAX, 2 * now);
	check(u, stands_for(&n, &held, NULL) && stands_for(&n, &old, NULL),
	      "an address stands for no other name after its own is gone");
	check(u, stands_for(&n, &used, "used.test"), "what was used rests longer");
	add(&n, 4, NAMES_MAX, NAMES_USED_MS);
	check(u, stands_for(&n, &used, NULL), "but not for ever");
	fresh = address_of(&n, names_add(&n, "4-7.test", NAMES_USED_MS));
	check(u, fresh.s6_addr[12] == 253 &&
	      stands_for(&n, &fresh, "4-7.test"),
	      "a place that was another's has a new address");
}

/* Every name is found after thousands around it went and came. */
static void test_found(struct unit *u)
{
	static struct names n;
	uint64_t now = 0;
	bool all = true;

	if (names_init(&n) < 0)
		exit(1);
	for (int round = 0; round < 4; round++) {
		add(&n, round, NAMES_MAX, now);
		for (int i = 0; i < NAMES_MAX && all; i++) {
			struct in6_addr a;
			char one[40];

			snprintf(one, sizeof(one), "%d-%d.test", round, i);
			a = address_of(&n, names_add(&n, one, now));
			all = stands_for(&n, &a, one);
		}
		now += NAMES_REST_MS;
	}
	check(u, all && n.count == NAMES_MAX, "each name is found again");
}

static void test_turns(struct unit *u)
{
	static struct names n;
	struct in6_addr first, again;
	uint64_t now = 0;
	int turns = 0;

	if (names_init(&n) < 0)
		exit(1);
	add(&n, 5, NAMES_MAX, now);
	first = address(253, 1, 0, 1);
	do {
		char name[40];

		now += NAMES_REST_MS;
		snprintf(name, sizeof(name), "%d.test", turns);
		again = address_of(&n, names_add(&n, name, now));
		n.hand = 0;
		turns++;
	} while (turns < 2 || memcmp(&first, &again, sizeof(first)) != 0);
	check(u, turns == 256, "an address comes again after 255 others");
}

int main(void)
{
	struct unit u = { 0 };

	test_few(&u);
	test_full(&u);
	test_found(&u);
	test_turns(&u);
	return unit_end(&u);
}
