#define _GNU_SOURCE
#include "execs_memory.h"

#include <string.h>
#include <sys/uio.h>

#define IN_PAGE(at) ((at) & (MEMORY_PAGE - 1))

void memory_begin(struct memory *m, pid_t pid)
{
	m->pid = pid;
	m->count = m->asked = 0;
}

static size_t find(const struct memory *m, uint64_t page)
{
	size_t i = 0;

	while (i < m->count && m->at[i] != page)
		i++;
	return i;
}

void memory_want(struct memory *m, uint64_t at)
{
	uint64_t page = at - IN_PAGE(at);

	if (m->count < MEMORY_PAGES && find(m, page) == m->count) {
		m->there[m->count] = 0;
		m->at[m->count++] = page;
	}
}

/* The kernel stops at the first page that isn't there. */
void memory_fetch(struct memory *m)
{
	struct iovec here[MEMORY_PAGES], there[MEMORY_PAGES];

	while (m->asked < m->count) {
		size_t n = m->count - m->asked, got;
		ssize_t bytes;

		for (size_t i = 0; i < n; i++) {
			uint64_t at = m->at[m->asked + i];

			here[i].iov_base = m->bytes[m->asked + i];
			there[i].iov_base = (void *)(uintptr_t)at;
			here[i].iov_len = there[i].iov_len = MEMORY_PAGE;
		}
		bytes = process_vm_readv(m->pid, here, n, there, n, 0);
		got = bytes < 0 ? 0 : (size_t)bytes / MEMORY_PAGE;
		memset(m->there + m->asked, 1, got);
		m->asked += got < n ? got + 1 : n;
	}
}

/* What lies there up to the end of its page; NULL when it can't be read. */
static const char *look_at(struct memory *m, uint64_t at)
{
	size_t i = find(m, at - IN_PAGE(at));

	if (i == m->count) {
		memory_want(m, at);
		memory_fetch(m);
	}
	return i < m->count && m->there[i] ? m->bytes[i] + IN_PAGE(at) : NULL;
}

static size_t step_of(uint64_t at, size_t size)
{
	size_t step = MEMORY_PAGE - IN_PAGE(at);

	return step < size ? step : size;
}

size_t memory_read(struct memory *m, uint64_t from, void *to, size_t size)
{
	size_t used = 0;

	while (used < size) {
		const char *bytes = look_at(m, from + used);
		size_t step = step_of(from + used, size - used);

		if (!bytes)
			break;
		memcpy((char *)to + used, bytes, step);
		used += step;
	}
	return used;
}

void memory_text(struct memory *m, uint64_t from, char *text, size_t size)
{
	size_t used = 0;

	while (used < size - 1) {
		const char *bytes = look_at(m, from + used);
		size_t step = step_of(from + used, size - 1 - used);

		if (!bytes)
			break;
		if (memccpy(text + used, bytes, '\0', step))
			return;
		used += step;
	}
	text[used] = '\0';
}
