#define _GNU_SOURCE
#include "gate_json.h"

#include <stdio.h>
#include <string.h>

struct parser {
	char *at, *end;
};

static void space(struct parser *p)
{
	while (p->at < p->end && strchr(" \t\r\n", *p->at) && *p->at)
		p->at++;
}

static bool token(struct parser *p, char c)
{
	space(p);
	if (p->at >= p->end || *p->at != c)
		return false;
	p->at++;
	return true;
}

static int hex4(struct parser *p)
{
	int value = 0;

	if (p->end - p->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = *p->at++;

		value <<= 4;
		if (c >= '0' && c <= '9')
			value |= c - '0';
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			value |= (c | 32) - 'a' + 10;
		else
			return -1;
	}
	return value;
}

/* \uXXXX after its `u`, pairs joined; NUL and lone surrogates refused. */
static char *put_escape(struct parser *p, char *out)
{
	int c = hex4(p);

	if (c >= 0xd800 && c < 0xdc00) {
		int low;

		if (p->end - p->at < 6 || p->at[0] != '\\' || p->at[1] != 'u')
			return NULL;
		p->at += 2;
		low = hex4(p);
		if (low < 0xdc00 || low > 0xdfff)
			return NULL;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c <= 0 || (c >= 0xdc00 && c <= 0xdfff)) {
		return NULL;
	}
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xc0 | c >> 6);
		*out++ = (char)(0x80 | (c & 0x3f));
	} else {
		if (c < 0x10000) {
			*out++ = (char)(0xe0 | c >> 12);
		} else {
			*out++ = (char)(0xf0 | c >> 18);
			*out++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (c >> 6 & 0x3f));
		*out++ = (char)(0x80 | (c & 0x3f));
	}
	return out;
}

/* A string, decoded over itself: an escape is never longer than its text. */
static const char *string(struct parser *p)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char *start, *out;

	if (!token(p, '"'))
		return NULL;
	start = out = p->at;
	while (p->at < p->end && *p->at != '"') {
		char c = *p->at++;
		const char *known;

		if ((unsigned char)c < 0x20)
			return NULL;
		if (c != '\\') {
			*out++ = c;
			continue;
		}
		if (p->at >= p->end)
			return NULL;
		c = *p->at++;
		if (c == 'u') {
			out = put_escape(p, out);
			if (!out)
				return NULL;
			continue;
		}
		known = c ? strchr(from, c) : NULL;
		if (!known)
			return NULL;
		*out++ = to[known - from];
	}
	if (p->at >= p->end)
		return NULL;
	p->at++;
	*out = '\0';
	return start;
}

static bool word(struct parser *p, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(p->end - p->at) < len || memcmp(p->at, text, len))
		return false;
	p->at += len;
	return true;
}

static bool number(struct parser *p, uint64_t *value)
{
	const char *start = p->at;

	*value = 0;
	while (p->at < p->end && *p->at >= '0' && *p->at <= '9') {
		*value = *value * 10 + (uint64_t)(*p->at++ - '0');
		if (*value > 1ULL << 53)
			return false;
	}
	return p->at > start && (*start != '0' || p->at == start + 1);
}

static bool strings(struct parser *p, struct gj_field *f)
{
	f->type = GJ_STRINGS;
	p->at++;
	if (token(p, ']'))
		return true;
	do {
		if (f->count == GJ_LIST)
			return false;
		f->list[f->count] = string(p);
		if (!f->list[f->count++])
			return false;
	} while (token(p, ','));
	return token(p, ']');
}

static bool value(struct parser *p, struct gj_field *f)
{
	space(p);
	if (p->at >= p->end)
		return false;
	if (*p->at == '"') {
		f->type = GJ_STRING;
		f->text = string(p);
		return f->text != NULL;
	}
	if (*p->at == '[')
		return strings(p, f);
	if (word(p, "null")) {
		f->type = GJ_NULL;
		return true;
	}
	f->type = GJ_BOOL;
	f->number = 1;
	if (word(p, "true"))
		return true;
	f->number = 0;
	if (word(p, "false"))
		return true;
	f->type = GJ_NUMBER;
	return number(p, &f->number);
}

bool gj_parse(char *data, size_t len, struct gj_object *object)
{
	struct parser p = { .at = data, .end = data + len };

	memset(object, 0, sizeof(*object));
	if (!token(&p, '{'))
		return false;
	if (!token(&p, '}')) {
		do {
			struct gj_field *f = &object->field[object->count];

			if (object->count == GJ_FIELDS)
				return false;
			f->key = string(&p);
			if (!f->key || !token(&p, ':') || !value(&p, f))
				return false;
			for (size_t i = 0; i < object->count; i++)
				if (!strcmp(object->field[i].key, f->key))
					return false;
			object->count++;
		} while (token(&p, ','));
		if (!token(&p, '}'))
			return false;
	}
	space(&p);
	return p.at == p.end;
}

const struct gj_field *gj_get(const struct gj_object *object, const char *key,
			      enum gj_type type)
{
	for (size_t i = 0; i < object->count; i++)
		if (!strcmp(object->field[i].key, key))
			return object->field[i].type == type
				       ? &object->field[i] : NULL;
	return NULL;
}

const char *gj_text(const struct gj_object *object, const char *key)
{
	const struct gj_field *f = gj_get(object, key, GJ_STRING);

	return f ? f->text : NULL;
}

bool gj_number(const struct gj_object *object, const char *key,
	       uint64_t *out)
{
	const struct gj_field *f = gj_get(object, key, GJ_NUMBER);

	if (f)
		*out = f->number;
	return f != NULL;
}

bool gj_true(const struct gj_object *object, const char *key)
{
	const struct gj_field *f = gj_get(object, key, GJ_BOOL);

	return f && f->number;
}

static void put(struct gj_writer *w, const char *text, size_t len)
{
	if (w->full || len > sizeof(w->buf) - w->len) {
		w->full = true;
		return;
	}
	memcpy(w->buf + w->len, text, len);
	w->len += len;
}

/* Bytes outside printable ASCII are escaped one by one, as Latin-1. */
static void put_quoted(struct gj_writer *w, const char *text, size_t len)
{
	char esc[8];

	put(w, "\"", 1);
	for (; len > 0; text++, len--) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			put(w, text, 1);
			continue;
		}
		snprintf(esc, sizeof(esc), "\\u%04x", c);
		put(w, esc, 6);
	}
	put(w, "\"", 1);
}

static void put_key(struct gj_writer *w, const char *key)
{
	if (w->len > 5)
		put(w, ",", 1);
	put_quoted(w, key, strlen(key));
	put(w, ":", 1);
}

void gj_begin(struct gj_writer *w, const char *type)
{
	w->len = 4;
	w->full = false;
	put(w, "{", 1);
	if (type)
		gj_put_text(w, "t", type);
}

void gj_put_text(struct gj_writer *w, const char *key, const char *text)
{
	put_key(w, key);
	if (text)
		put_quoted(w, text, strlen(text));
	else
		put(w, "null", 4);
}

void gj_put_bytes(struct gj_writer *w, const char *key, const char *data,
		  size_t len)
{
	put_key(w, key);
	put_quoted(w, data, len);
}

void gj_put_number(struct gj_writer *w, const char *key, uint64_t n)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)n);

	put_key(w, key);
	put(w, text, (size_t)len);
}

void gj_put_bool(struct gj_writer *w, const char *key, bool v)
{
	put_key(w, key);
	put(w, v ? "true" : "false", v ? 4 : 5);
}

bool gj_end(struct gj_writer *w)
{
	uint32_t len;

	put(w, "}", 1);
	if (w->full)
		return false;
	len = (uint32_t)(w->len - 4);
	for (int i = 0; i < 4; i++)
		w->buf[i] = (char)(len >> (8 * i));
	return true;
}
