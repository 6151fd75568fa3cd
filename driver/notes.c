/* Events of the driver's helpers, on their way to the supervisor. */
#define _GNU_SOURCE
#include "notes.h"

#include <sys/socket.h>

void notes_flush(struct notes *n)
{
	if (n->used > 0 &&
	    RETRY(send(n->sock, n->bytes, n->used, MSG_NOSIGNAL)) < 0)
		_exit(0);
	n->used = 0;
}

void notes_add(struct notes *n, const char *json, size_t length)
{
	uint32_t size = (uint32_t)length;

	if (length + 4 > NOTES_MAX)
		return;
	if (n->used + length + 4 > NOTES_MAX)
		notes_flush(n);
	for (int i = 0; i < 4; i++)
		n->bytes[n->used++] = (unsigned char)(size >> 8 * i);
	memcpy(n->bytes + n->used, json, length);
	n->used += length;
}

int notes_pass(int sock)
{
	static unsigned char bytes[NOTES_MAX];

	for (;;) {
		ssize_t n = RETRY(recv(sock, bytes, sizeof(bytes),
				       MSG_DONTWAIT));

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0 || event_bytes(bytes, (size_t)n))
			return -1;
	}
}
