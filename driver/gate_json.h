#ifndef AGENTFW_GATE_JSON_H
#define AGENTFW_GATE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Just the JSON that the gate's channel uses: one flat object of strings,
 * non-negative integers, booleans, nulls and lists of strings. Pure.
 */

#define GJ_FIELDS 24
#define GJ_LIST 16

enum gj_type { GJ_NULL, GJ_STRING, GJ_NUMBER, GJ_BOOL, GJ_STRINGS };

struct gj_field {
	const char *key;
	enum gj_type type;
	const char *text;	/* NUL-terminated, without inner NUL */
	uint64_t number;	/* also 0 or 1 for a boolean */
	const char *list[GJ_LIST];
	size_t count;
};

struct gj_object {
	size_t count;
	struct gj_field field[GJ_FIELDS];
};

/* Decodes strings in place; data needs one writable byte after len. */
bool gj_parse(char *data, size_t len, struct gj_object *object);

/* NULL, or false, where there is none of this key and type. Texts are the object's. */
const struct gj_field *gj_get(const struct gj_object *object, const char *key,
			      enum gj_type type);
const char *gj_text(const struct gj_object *object, const char *key);
bool gj_number(const struct gj_object *object, const char *key,
	       uint64_t *value);
bool gj_true(const struct gj_object *object, const char *key);

/* Writing: a frame of the channel (u32 length, then the object). */
#define GJ_FRAME_MAX 8192

struct gj_writer {
	size_t len;
	bool full;
	char buf[GJ_FRAME_MAX];
};

/* An object with "t" first; NULL leaves it out. */
void gj_begin(struct gj_writer *w, const char *type);
void gj_put_text(struct gj_writer *w, const char *key, const char *text);
/* Any bytes, NULs too. */
void gj_put_bytes(struct gj_writer *w, const char *key, const char *data,
		  size_t len);
void gj_put_number(struct gj_writer *w, const char *key, uint64_t number);
void gj_put_bool(struct gj_writer *w, const char *key, bool value);
/* Closes the object and fills the length in; false when it did not fit. */
bool gj_end(struct gj_writer *w);

#endif
