#define _GNU_SOURCE
#include "tls.h"

#include <string.h>

#define RECORD_CIPHER 0x14
#define RECORD_ALERT 0x15
#define ALERT_RECORD 7
#define RECORD_HANDSHAKE 0x16
#define RECORD_DATA 0x17
/* Servers take any version below this from the first record. */
#define VERSION_MAJOR_END 0x10
#define CLIENT_HELLO 1
#define SERVER_HELLO 2
#define EXT_SNI 0
#define EXT_ALPN 16
#define EXT_ECH 0xfe0d
#define EXT_ESNI 0xffce

struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

static unsigned int get(struct reader *r, size_t bytes)
{
	unsigned int value = 0;

	if (left(r) < bytes) {
		r->bad = true;
		r->at = r->end;
		return 0;
	}
	while (bytes-- > 0)
		value = value << 8 | *r->at++;
	return value;
}

/* A vector with a length prefix of the given size. */
static struct reader vector(struct reader *r, size_t prefix)
{
	size_t len = get(r, prefix);
	struct reader v = { .at = r->at, .end = r->at };

	if (left(r) < len) {
		r->bad = true;
		r->at = r->end;
		v.bad = true;
		return v;
	}
	v.end = r->at + len;
	r->at += len;
	return v;
}

/* Exactly one host_name, printable: what servers agree on. */
static bool parse_sni(struct reader ext, struct tls_hello *hello)
{
	struct reader list = vector(&ext, 2), name;
	size_t i, len;

	if (hello->has_sni || list.bad || left(&ext) || get(&list, 1) != 0)
		return false;
	name = vector(&list, 2);
	len = left(&name);
	if (list.bad || name.bad || left(&list) || len == 0 ||
	    len >= sizeof(hello->sni))
		return false;
	for (i = 0; i < len; i++)
		if (name.at[i] <= ' ' || name.at[i] >= 0x7f)
			return false;
	memcpy(hello->sni, name.at, len);
	hello->sni[len] = '\0';
	hello->has_sni = true;
	return true;
}

static bool parse_alpn(struct reader ext, struct tls_hello *hello)
{
	struct reader list = vector(&ext, 2);
	size_t used = 0, i;

	if (list.bad)
		return false;
	while (left(&list) > 0) {
		struct reader proto = vector(&list, 1);

		if (proto.bad || left(&proto) == 0)
			return false;
		if (used + left(&proto) + 2 > sizeof(hello->alpn))
			break;
		if (used > 0)
			hello->alpn[used++] = ',';
		for (i = 0; i < left(&proto); i++) {
			uint8_t c = proto.at[i];

			hello->alpn[used++] =
				(char)(c > ' ' && c < 0x7f ? c : '?');
		}
	}
	hello->alpn[used] = '\0';
	return true;
}

static bool parse_extensions(struct reader all, struct tls_hello *hello)
{
	while (left(&all) > 0) {
		unsigned int type = get(&all, 2);
		struct reader ext = vector(&all, 2);

		if (all.bad || ext.bad)
			return false;
		if (type == EXT_SNI && !parse_sni(ext, hello))
			return false;
		if (type == EXT_ALPN && !parse_alpn(ext, hello))
			return false;
		if (type == EXT_ECH || type == EXT_ESNI)
			hello->ech = true;
	}
	return true;
}

static enum tls_result parse_body(struct reader body, struct tls_hello *hello)
{
	struct reader extensions;

	get(&body, 2);				/* legacy version */
	if (left(&body) < 32)
		return TLS_BAD;
	body.at += 32;				/* random */
	vector(&body, 1);			/* session id */
	vector(&body, 2);			/* cipher suites */
	vector(&body, 1);			/* compression methods */
	if (body.bad)
		return TLS_BAD;
	if (left(&body) == 0)
		return TLS_HELLO;		/* no extensions: no SNI */
	extensions = vector(&body, 2);
	if (body.bad || left(&body) || !parse_extensions(extensions, hello))
		return TLS_BAD;
	return TLS_HELLO;
}

static bool fits(const uint8_t *data, size_t len, size_t at, uint8_t value)
{
	return len <= at || data[at] == value;
}

/*
 * What some servers pass over before a hello, and the hello of SSL 2, which
 * has no place for a name. TLS_NOT: none of them.
 */
static enum tls_result before_hello(const uint8_t *data, size_t len)
{
	bool alert = data[0] == RECORD_ALERT;

	if (data[0] & 0x80) {
		if (!fits(data, len, 2, CLIENT_HELLO) ||
		    !fits(data, len, 3, 3))
			return TLS_NOT;
		return len > 3 ? TLS_HELLO : TLS_MORE;
	}
	if ((!alert && data[0] != RECORD_CIPHER) ||
	    (len > 1 && data[1] >= VERSION_MAJOR_END) ||
	    !fits(data, len, 3, 0) || !fits(data, len, 4, alert ? 2 : 1))
		return TLS_NOT;
	return len > 4 ? TLS_BAD : TLS_MORE;
}

/* Byte 0 is a handshake record's; TLS_NOT: the next ones are of no hello. */
static enum tls_result like_hello(const uint8_t *data, size_t len)
{
	if (len > 1 && data[1] >= VERSION_MAJOR_END)
		return TLS_NOT;
	if (len < 2 || (data[1] != 3 && len < 6))
		return TLS_MORE;
	return data[1] == 3 || data[5] == CLIENT_HELLO ? TLS_HELLO : TLS_NOT;
}

enum tls_result tls_parse(const uint8_t *data, size_t len,
			  struct tls_hello *hello)
{
	uint8_t message[TLS_HELLO_MAX];
	size_t have = 0, want = 4, at = 0;

	memset(hello, 0, sizeof(*hello));
	if (len < 1)
		return TLS_MORE;
	if (data[0] != RECORD_HANDSHAKE)
		return before_hello(data, len);
	if (like_hello(data, len) != TLS_HELLO)
		return like_hello(data, len);
	while (have < want) {
		size_t record;

		if (len > at && data[at] != RECORD_HANDSHAKE)
			return TLS_BAD;
		if (len > at + 1 && data[at + 1] >= VERSION_MAJOR_END)
			return TLS_BAD;
		if (len - at < 5)
			return TLS_MORE;
		record = (size_t)(data[at + 3] << 8 | data[at + 4]);
		if (record == 0 || have + record > sizeof(message))
			return TLS_BAD;
		if (have == 0 && len - at > 5 && data[at + 5] != CLIENT_HELLO)
			return TLS_BAD;
		if (len - at - 5 < record)
			return TLS_MORE;
		memcpy(message + have, data + at + 5, record);
		have += record;
		at += 5 + record;
		if (have >= 4)
			want = 4 + (size_t)(message[1] << 16 |
					    message[2] << 8 | message[3]);
		if (want > sizeof(message))
			return TLS_BAD;
	}
	if (have != want)
		return TLS_BAD;		/* a second message, unread */
	hello->length = at;
	return parse_body((struct reader){ .at = message + 4,
					   .end = message + want }, hello);
}

/* A ServerHello with this random is a HelloRetryRequest (RFC 8446, 4.1.3). */
static const uint8_t retry[32] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
	0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
	0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

enum tls_answer tls_answer(const uint8_t *data, size_t len)
{
	size_t have;

	/* warnings may come first */
	for (int alerts = 0; len > 0 && data[0] == RECORD_ALERT; alerts++) {
		if (alerts == TLS_ANSWER_ALERTS)
			return TLS_ANSWER_RETRY;
		if (!fits(data, len, 3, 0) || !fits(data, len, 4, 2))
			return TLS_ANSWER_OTHER;
		if (len < ALERT_RECORD)
			return TLS_ANSWER_MORE;
		data += ALERT_RECORD;
		len -= ALERT_RECORD;
	}
	if (!fits(data, len, 0, RECORD_HANDSHAKE) ||
	    !fits(data, len, 5, SERVER_HELLO))
		return TLS_ANSWER_OTHER;
	/* so short a record that the rest is elsewhere */
	if (len > 5 && (data[3] << 8 | data[4]) < 4 + 2 + 32)
		return TLS_ANSWER_RETRY;
	have = len > 11 ? len - 11 : 0;
	if (memcmp(data + 11, retry, have < 32 ? have : 32) != 0)
		return TLS_ANSWER_OTHER;
	return have < 32 ? TLS_ANSWER_MORE : TLS_ANSWER_RETRY;
}

bool tls_is_between(uint8_t type)
{
	return type == RECORD_CIPHER || type == RECORD_ALERT ||
	       type == RECORD_DATA;
}

size_t tls_between(const uint8_t *data, size_t len)
{
	size_t record;

	if (len < 5 || !tls_is_between(data[0]))
		return 0;
	record = 5 + (size_t)(data[3] << 8 | data[4]);
	return len >= record ? record : 0;
}
