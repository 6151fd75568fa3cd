#define _GNU_SOURCE
#include "dns.h"

#include <stdio.h>
#include <string.h>

#define HEADER 12
#define TYPE_OPT 41
#define CLASS_IN 1

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint8_t *put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
	return p + 2;
}

/* Letters, digits, hyphen, underscore: anything else is no host name. */
static int host_char(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c + 32;
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '_')
		return c;
	return -1;
}

/*
 * The question's name from offset 12. Returns the offset after it, 0 when
 * it is malformed (a compression pointer here is). *host tells whether
 * every byte may stand in a host name; the others are written as \DDD.
 */
static size_t parse_name(const uint8_t *data, size_t len, char *name,
			 bool *host)
{
	size_t at = HEADER, used = 0, out = 0, i;

	*host = true;
	while (at < len && data[at] != 0) {
		size_t label = data[at++];

		if (label > 63 || label > len - at ||
		    used + label + 1 > DNS_NAME_MAX)
			return 0;
		used += label + (used > 0);
		if (out > 0)
			name[out++] = '.';
		for (i = 0; i < label; i++, at++) {
			int c = host_char(data[at]);

			if (c >= 0) {
				name[out++] = (char)c;
				continue;
			}
			*host = false;
			out += (size_t)snprintf(name + out, 5, "\\%03u",
						data[at]);
		}
	}
	name[out] = '\0';
	return at < len ? at + 1 : 0;
}

/* The UDP size of an OPT record right after the question; else 512. */
static uint16_t parse_edns(const uint8_t *data, size_t len, size_t at)
{
	uint16_t size;

	if (get16(data + 10) == 0 || len - at < 11 || data[at] != 0 ||
	    get16(data + at + 1) != TYPE_OPT)
		return 512;
	size = get16(data + at + 3);
	return size < 512 ? 512 : size > 1232 ? 1232 : size;
}

static enum dns_parsed fail(struct dns_query *query, enum dns_rcode rcode)
{
	query->rcode = rcode;
	return DNS_ERROR;
}

enum dns_parsed dns_parse(const uint8_t *data, size_t len,
			  struct dns_query *query)
{
	size_t end;

	memset(query, 0, sizeof(*query));
	query->udp_size = 512;
	if (len < HEADER || (data[2] & 0x80))
		return DNS_DROP;
	query->id = get16(data);
	query->recursion = data[2] & 1;
	if (data[2] & 0x78)
		return fail(query, DNS_NOTIMP);
	if (get16(data + 4) != 1 || get16(data + 6) || get16(data + 8) ||
	    get16(data + 10) > 2)
		return fail(query, DNS_FORMERR);
	end = parse_name(data, len, query->name, &query->host);
	if (end == 0 || len - end < 4)
		return fail(query, DNS_FORMERR);
	query->question_len = (uint16_t)(end + 4 - HEADER);
	memcpy(query->question, data + HEADER, query->question_len);
	query->type = get16(data + end);
	query->udp_size = parse_edns(data, len, end + 4);
	if (get16(data + end + 2) != CLASS_IN)
		return fail(query, DNS_REFUSED);
	if (query->name[0] == '\0')
		return fail(query, DNS_REFUSED);
	return DNS_OK;
}

static size_t put_head(const struct dns_query *query, enum dns_rcode rcode,
		       unsigned int answers, uint8_t *out)
{
	uint8_t *p = put16(out, query->id);

	*p++ = (uint8_t)(0x80 | (query->recursion ? 1 : 0));
	*p++ = (uint8_t)(0x80 | rcode);
	p = put16(p, query->question_len > 0);
	p = put16(p, answers);
	p = put16(p, 0);
	p = put16(p, 0);
	memcpy(p, query->question, query->question_len);
	return HEADER + query->question_len;
}

static uint8_t *put_record(uint8_t *p, unsigned int type, uint32_t ttl,
			   size_t rdlen)
{
	p = put16(p, 0xc000 | HEADER);
	p = put16(p, type);
	p = put16(p, CLASS_IN);
	p = put16(p, ttl >> 16);
	p = put16(p, ttl & 0xffff);
	return put16(p, (unsigned int)rdlen);
}

size_t dns_reply(const struct dns_query *query, enum dns_rcode rcode,
		 uint8_t out[DNS_REPLY_MAX])
{
	return put_head(query, rcode, 0, out);
}

size_t dns_reply_a(const struct dns_query *query, const uint8_t address[4],
		   uint32_t ttl, uint8_t out[DNS_REPLY_MAX])
{
	uint8_t *p = out + put_head(query, DNS_NOERROR, 1, out);

	p = put_record(p, DNS_A, ttl, 4);
	memcpy(p, address, 4);
	return (size_t)(p + 4 - out);
}

size_t dns_reply_ptr(const struct dns_query *query, const char *name,
		     uint32_t ttl, uint8_t out[DNS_REPLY_MAX])
{
	uint8_t wire[DNS_NAME_MAX + 2];
	size_t used = 0;
	uint8_t *p;

	while (*name) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > 63 ||
		    used + label + 2 > sizeof(wire))
			return put_head(query, DNS_SERVFAIL, 0, out);
		wire[used++] = (uint8_t)label;
		memcpy(wire + used, name, label);
		used += label;
		name += label + (name[label] == '.');
	}
	wire[used++] = 0;
	p = out + put_head(query, DNS_NOERROR, 1, out);
	p = put_record(p, DNS_PTR, ttl, used);
	memcpy(p, wire, used);
	return (size_t)(p + used - out);
}

size_t dns_reply_foreign(const struct dns_query *query, const uint8_t *reply,
			 size_t len, uint8_t out[DNS_REPLY_MAX])
{
	if (len < HEADER + (size_t)query->question_len ||
	    len > DNS_REPLY_MAX || !(reply[2] & 0x80) || get16(reply + 4) != 1)
		return 0;
	memcpy(out, reply, len);
	put16(out, query->id);
	memcpy(out + HEADER, query->question, query->question_len);
	return len;
}

size_t dns_truncate(const struct dns_query *query, uint8_t *reply, size_t len)
{
	if (len <= query->udp_size)
		return len;
	reply[2] |= 0x02;
	memset(reply + 6, 0, 6);
	return HEADER + (size_t)query->question_len;
}

bool dns_is_reverse(const char *name)
{
	size_t len = strlen(name);

	return len >= sizeof(".arpa") - 1 &&
	       !strcmp(name + len - (sizeof(".arpa") - 1), ".arpa");
}

bool dns_reverse4(const char *name, uint8_t address[4])
{
	unsigned int b[4];
	int end = -1;

	if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &b[3], &b[2],
		   &b[1], &b[0], &end) != 4 || end < 0 || name[end])
		return false;
	for (int i = 0; i < 4; i++) {
		if (b[i] > 255)
			return false;
		address[i] = (uint8_t)b[i];
	}
	return true;
}
