#define _GNU_SOURCE
#include "dns.h"
#include "gate_json.h"
#include "http2.h"
#include "http_answer.h"
#include "http_body.h"
#include "tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * Feeds the gate's parsers with mutated input under the sanitizers, for a
 * given number of seconds and with a given seed:
 *
 *     gate-fuzz [SECONDS [SEED]]
 *
 * Beyond "no crash" it checks what the callers rely on: outputs terminated
 * and clean, a prefix never more than the whole, replies within bounds.
 */

#define INPUT_MAX 20000

static uint64_t state;

static uint32_t chance(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below ? (uint32_t)(state >> 16) % below : 0;
}

static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "gate-fuzz: %s\n", what);
	abort();
}

static void clean(const char *text, size_t cap, const char *what)
{
	size_t len = strnlen(text, cap);

	must(len < cap, what);
	for (size_t i = 0; i < len; i++)
		must((unsigned char)text[i] >= 0x20 && text[i] != 0x7f, what);
}

static void check_foreign(const struct dns_query *q, const uint8_t *data,
			  size_t len)
{
	uint8_t out[DNS_REPLY_MAX];
	size_t n = dns_reply_foreign(q, data, len, out);

	must(n <= DNS_REPLY_MAX, "foreign reply length");
	if (n > 0)
		must(dns_truncate(q, out, n) <= n, "truncation");
}

static void fuzz_dns(uint8_t *data, size_t len)
{
	uint8_t out[DNS_REPLY_MAX], address[4] = { 198, 19, 0, 1 };
	struct dns_query q;
	enum dns_parsed parsed = dns_parse(data, len, &q);
	size_t n;

	if (parsed == DNS_DROP)
		return;
	clean(q.name, sizeof(q.name), "DNS name");
	must(q.question_len <= DNS_QUESTION_MAX, "question length");
	must(q.udp_size >= 512 && q.udp_size <= 1232, "UDP size");
	n = dns_reply(&q, DNS_REFUSED, out);
	must(n >= 12 && n <= 12 + DNS_QUESTION_MAX, "reply length");
	if (parsed != DNS_OK)
		return;
	n = dns_reply_a(&q, address, 1, out);
	must(n == 12u + q.question_len + 16u, "A reply length");
	n = dns_reply_ptr(&q, q.name, 1, out);
	must(n <= DNS_REPLY_MAX, "PTR reply length");
	(void)dns_reverse4(q.name, address);
	check_foreign(&q, data, len);
}

static void fuzz_tls(uint8_t *data, size_t len)
{
	struct tls_hello whole, part;
	enum tls_result r = tls_parse(data, len, &whole);
	size_t cut = chance((uint32_t)len + 1);
	enum tls_result p = tls_parse(data, cut, &part);

	clean(whole.sni, sizeof(whole.sni), "SNI");
	clean(whole.alpn, sizeof(whole.alpn), "ALPN");
	must(whole.has_sni == (whole.sni[0] != '\0') || r == TLS_BAD,
	     "SNI flag");
	/* A verdict on a prefix holds for everything that follows it. */
	must(p == TLS_MORE || p == r, "TLS prefix");
	if (p == TLS_HELLO)
		must(!strcmp(part.sni, whole.sni), "TLS prefix SNI");
	if (r == TLS_HELLO)
		must(whole.length <= len, "TLS length");
	(void)tls_answer(data, cut);
	must(tls_between(data, len) <= len, "between hellos");
}

static void fuzz_http(uint8_t *data, size_t len)
{
	struct http_head whole, part;
	enum http_result r = http_parse((char *)data, len, &whole);
	size_t cut = chance((uint32_t)len + 1);
	enum http_result p = http_parse((char *)data, cut, &part);
	struct http_line line = { 0 }, pieces = { 0 };
	enum http_result line_so_far = http_line(&pieces, (char *)data, cut);

	must(strnlen(whole.host, sizeof(whole.host)) < sizeof(whole.host),
	     "host end");
	if (r == HTTP_HEAD) {
		clean(whole.host, sizeof(whole.host), "host");
		clean(whole.authority, sizeof(whole.authority), "authority");
		clean(whole.method, sizeof(whole.method), "method");
		must(whole.port >= -1 && whole.port < 65536, "port");
	}
	/* What is none yet may become an ambiguous one: it is read along. */
	must(p == HTTP_MORE || p == r || (p == HTTP_NOT && r == HTTP_BAD &&
					  line_so_far == HTTP_MORE),
	     "HTTP prefix");
	if (line_so_far == HTTP_MORE)
		line_so_far = http_line(&pieces, (char *)data + cut, len - cut);
	must(line_so_far == http_line(&line, (char *)data, len), "HTTP line");
	if (p == HTTP_HEAD)
		must(!strcmp(part.host, whole.host), "HTTP prefix host");
	(void)http_like((char *)data, len);
}

static void fuzz_http2(uint8_t *data, size_t len)
{
	char out[4096];
	size_t cap = chance(sizeof(out) + 1);
	uint32_t stream = http2_stream((char *)data, len);

	(void)http2_begun((char *)data, len);
	must(stream <= INT32_MAX, "HTTP/2 stream");
	must(http2_refusal(out, cap, stream, (char *)data, len) <= cap,
	     "HTTP/2 refusal");
}

/* Wherever the reads are cut, the body ends at the same byte. */
static void fuzz_body(uint8_t *data, size_t len)
{
	struct http_head head = { .chunked = true };
	struct http_body whole, parts;
	size_t all, at = 0;

	body_begin(&whole, &head);
	parts = whole;
	all = body_take(&whole, (char *)data, len);
	must(all <= len, "body length");
	while (at < len && parts.state != BODY_END && parts.state != BODY_BAD) {
		size_t n = 1 + chance((uint32_t)(len - at));

		at += body_take(&parts, (char *)data + at, n);
	}
	must(at == all && parts.state == whole.state, "body cut");
}

/* The same verdict, however it comes. */
static void fuzz_answer(uint8_t *data, size_t len)
{
	struct http_answer whole = { 0 }, parts = { 0 };
	enum answer all = http_answer(&whole, (char *)data, len);
	enum answer said = ANSWER_MORE;

	for (size_t at = 0, n; at < len && said == ANSWER_MORE; at += n) {
		n = 1 + chance((uint32_t)(len - at));
		said = http_answer(&parts, (char *)data + at, n);
	}
	must(said == all && parts.seen == whole.seen, "answer cut");
	must(all != ANSWER_SWITCHES || memmem(data, len, "HTTP/1.1 101", 12),
	     "answer");
}

static void fuzz_json(uint8_t *data, size_t len)
{
	struct gj_object o;
	struct gj_writer w;

	if (!gj_parse((char *)data, len, &o))
		return;
	gj_begin(&w, "again");
	for (size_t i = 0; i < o.count; i++) {
		const struct gj_field *f = &o.field[i];

		must(f->key != NULL, "key");
		if (f->type == GJ_STRING)
			gj_put_text(&w, f->key, f->text);
		if (f->type == GJ_NUMBER)
			gj_put_number(&w, f->key, f->number);
		must(f->count <= GJ_LIST, "list length");
		for (size_t k = 0; k < f->count; k++)
			must(strlen(f->list[k]) <= len, "list item");
	}
	if (!gj_end(&w))
		return;
	for (size_t i = 4; i < w.len; i++)
		must(w.buf[i] >= 0x20 && w.buf[i] < 0x7f, "written");
}

static const char hello[] =
	"\x16\x03\x01\x00\x59\x01\x00\x00\x55\x03\x03"
	"0123456789abcdef0123456789abcdef\x00\x00\x02\x13\x01\x01\x00\x00\x2a"
	"\x00\x00\x00\x0f\x00\x0d\x00\x00\x0a" "a.bcd.test"
	"\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1"
	"\xfe\x0d\x00\x01\x00";
static const char query[] =
	"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"
	"\x03www\x04test\x00\x00\x01\x00\x01"
	"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
static const char reverse[] =
	"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
	"\x01" "1\x01" "0\x02" "19\x03" "198\x07in-addr\x04" "arpa\x00"
	"\x00\x0c\x00\x01";
static const char chunks[] = "5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\nGE";
static const char answers[] = "HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 103\r\n\r\n"
	"HTTP/1.1 101 Switching Protocols\r\n\r\n";
static const char get[] =
	"GET http://a.test:80/x HTTP/1.1\r\nHost: a.test:80\r\n"
	"Accept: application/json\r\n\r\nbody";
static const char preface[] =
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	"\x00\x00\x02\x01\x05\x00\x00\x00\x01\x82\x84";
static const char verdict[] =
	"{\"t\":\"conn\",\"id\":12345,\"verdict\":\"allow\",\"addrs\":"
	"[\"1.2.3.4\",\"::1\"],\"port\":443,\"x\":null,\"y\":true,"
	"\"m\":\"a\\u00e9\\ud83d\\ude00\\n\"}";

struct target {
	const char *name;
	void (*run)(uint8_t *, size_t);
	const char *seed;
	size_t len;
};

static const struct target targets[] = {
	{ "dns", fuzz_dns, query, sizeof(query) - 1 },
	{ "dns-reverse", fuzz_dns, reverse, sizeof(reverse) - 1 },
	{ "tls", fuzz_tls, hello, sizeof(hello) - 1 },
	{ "http", fuzz_http, get, sizeof(get) - 1 },
	{ "http2", fuzz_http2, preface, sizeof(preface) - 1 },
	{ "body", fuzz_body, chunks, sizeof(chunks) - 1 },
	{ "answer", fuzz_answer, answers, sizeof(answers) - 1 },
	{ "json", fuzz_json, verdict, sizeof(verdict) - 1 },
};

#define TARGETS (sizeof(targets) / sizeof(targets[0]))

static size_t splice_piece(uint8_t *data, size_t len)
{
	size_t from = chance((uint32_t)len), to = chance((uint32_t)len);
	size_t n = chance(64), most = from > to ? from : to;

	if (most + n > len)
		n = len - most;
	memmove(data + to, data + from, n);
	return len;
}

static size_t grow(uint8_t *data, size_t len)
{
	size_t at = chance((uint32_t)len + 1);
	size_t n = chance(chance(20) ? 8 : 9000);
	uint8_t fill = (uint8_t)chance(256);

	if (len + n > INPUT_MAX)
		n = INPUT_MAX - len;
	memmove(data + at + n, data + at, len - at);
	memset(data + at, fill, n);
	return len + n;
}

static size_t mutate(uint8_t *data, size_t len)
{
	static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xc0, 0xff, '\r',
				       '\n', ':', '"', '\\', ' ', '/', '[' };

	for (uint32_t n = chance(6); n > 0 && len > 0; n--) {
		size_t at = chance((uint32_t)len);

		switch (chance(7)) {
		case 0:
			data[at] ^= (uint8_t)(1 << chance(8));
			break;
		case 1:
			data[at] = odd[chance(sizeof(odd))];
			break;
		case 2:
			data[at] = (uint8_t)chance(256);
			break;
		case 3:
			len = at;
			break;
		case 4:
			len = grow(data, len);
			break;
		case 5:
			len = splice_piece(data, len);
			break;
		default:
			data[at]++;
			break;
		}
	}
	return len;
}

/* An exact-size copy each time, so that one byte too far is seen. */
static void run_once(const struct target *t)
{
	static uint8_t work[INPUT_MAX];
	size_t len = t->len;
	uint8_t *exact;

	memcpy(work, t->seed, len);
	len = mutate(work, len);
	exact = malloc(len > 0 ? len : 1);
	must(exact != NULL, "memory");
	memcpy(exact, work, len);
	t->run(exact, len);
	free(exact);
}

/* Mutants of a seed that is refused at once would test nothing. */
static void check_seeds(void)
{
	struct tls_hello h;
	struct http_head r;
	struct http_body b;
	struct http_answer a = { 0 };
	struct dns_query q;
	struct gj_object o;
	char text[sizeof(verdict)];

	memcpy(text, verdict, sizeof(verdict));
	must(tls_parse((const uint8_t *)hello, sizeof(hello) - 1, &h) ==
		     TLS_HELLO && h.has_sni && h.ech &&
		     !strcmp(h.alpn, "h2,http/1.1"), "the TLS seed");
	must(http_parse(get, sizeof(get) - 1, &r) == HTTP_HEAD &&
		     r.port == 80, "the HTTP seed");
	must(http2_stream(preface, sizeof(preface) - 1) == 1, "the HTTP/2 seed");
	body_begin(&b, &(struct http_head){ .chunked = true });
	must(body_take(&b, chunks, sizeof(chunks) - 1) == sizeof(chunks) - 3 &&
		     b.state == BODY_END, "the body seed");
	must(http_answer(&a, answers, sizeof(answers) - 1) == ANSWER_SWITCHES,
	     "the answer seed");
	must(dns_parse((const uint8_t *)query, sizeof(query) - 1, &q) ==
		     DNS_OK && q.udp_size == 1232, "the DNS seed");
	must(dns_parse((const uint8_t *)reverse, sizeof(reverse) - 1, &q) ==
		     DNS_OK && q.type == DNS_PTR, "the reverse seed");
	must(gj_parse(text, sizeof(text) - 1, &o) && o.count == 8,
	     "the JSON seed");
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 10;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10)
				 : (uint64_t)time(NULL);
	unsigned long count = 0;
	struct timespec start, now;

	check_seeds();
	state = seed * 2654435761U + 88172645463325252ULL;
	printf("seed %llu\n", (unsigned long long)seed);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		for (int i = 0; i < 2000; i++)
			run_once(&targets[count++ % TARGETS]);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - start.tv_sec) +
		 (double)(now.tv_nsec - start.tv_nsec) / 1e9 < seconds);
	printf("%lu inputs, no finding\n", count);
	return 0;
}
