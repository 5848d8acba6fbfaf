/*
 * bind.h: a C struct and its JSON document, tied by one table of fields.
 *
 * The rows read, write and free. Text <-> tree is jansson's work. An error carries the place:
 * "process: rlimits: rlimits[0]: type: missing". Duplicate keys, NUL in strings, invalid UTF-8 and nesting beyond
 * jansson's limit are refused by the reader.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_BIND_H
#define HUSK_CODEC_BIND_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parse.h"

/* string -> string, in document order */
struct strmap {
    struct strmap_entry {
        char *key, *value;
    } * items;
    size_t n;
};
void strmap_free(struct strmap *m);
/* Adds or replaces; copies both. */
void strmap_set(struct strmap *m, const char *key, const char *value);
/* No error when it is absent. */
void strmap_unset(struct strmap *m, const char *key);
/* NULL when absent. Borrowed. */
const char *strmap_get(const struct strmap *m, const char *key);

enum bind_kind {
    BIND_KIND_END,
    BIND_KIND_STR,      /* char *: NULL is absent */
    BIND_KIND_STRS,     /* struct strv: empty is absent; its items are NULL only where nothing was given */
    BIND_KIND_BOOL,     /* bool: false is absent */
    BIND_KIND_OPT_BOOL, /* struct opt_bool */
    BIND_KIND_I64,      /* int64_t: 0 is absent */
    BIND_KIND_U32,      /* uint32_t: 0 is absent */
    BIND_KIND_U64,      /* uint64_t: 0 is absent */
    BIND_KIND_OPT_I64,  /* struct opt_i64 */
    BIND_KIND_OPT_U64,  /* struct opt_u64 */
    BIND_KIND_MAP,      /* struct strmap: empty is absent */
    BIND_KIND_KEYS,     /* struct strv: the keys of an object whose values are {} (ExposedPorts) */
    BIND_KIND_OBJ,      /* struct x *: NULL is absent */
    BIND_KIND_OBJS,     /* struct x *items + size_t count: an array of objects; 0 is absent */
    BIND_KIND_RAW,      /* json_t *: any value as it stands; NULL is absent */
    BIND_KIND_REST,     /* json_t *: an object of the keys that no row names; they are written back */
};

enum bind_flags {
    BIND_REQUIRED = 1, /* reading: the key must be there */
    BIND_ALWAYS = 2,   /* writing: present even when empty, 0 or false */
    BIND_GIVEN = 4,    /* STRS, writing: an empty list that was read is written, too */
};

struct bind_type;
struct bind_field {
    enum bind_kind kind;
    const char *key;
    size_t offset;
    size_t count_offset;          /* OBJS */
    const struct bind_type *type; /* OBJ, OBJS */
    int flags;
};
struct bind_type {
    const char *name; /* for messages */
    size_t size;
    const struct bind_field *fields; /* ends with BIND_END */
    bool strict; /* unknown keys are refused, with the nearest known one: for files that a person wrote */
};

/* The field's C type is checked: a row of the wrong type does not compile. */
// clang-format off
#define BIND_AT(T, f, ctype) (offsetof(T, f) + 0 * sizeof(_Generic(&((T *)0)->f, ctype *: 1)))
/* An object member may be any struct pointer. */
#define BIND_AT_ANY(T, f) offsetof(T, f)

#define BIND_STR(T, f, k, ...)      { .kind = BIND_KIND_STR, .key = (k), .offset = BIND_AT(T, f, char *), __VA_ARGS__ }
#define BIND_STRS(T, f, k, ...)     { .kind = BIND_KIND_STRS, .key = (k), .offset = BIND_AT(T, f, struct strv), __VA_ARGS__ }
#define BIND_BOOL(T, f, k, ...)     { .kind = BIND_KIND_BOOL, .key = (k), .offset = BIND_AT(T, f, bool), __VA_ARGS__ }
#define BIND_OPT_BOOL(T, f, k, ...) { .kind = BIND_KIND_OPT_BOOL, .key = (k), .offset = BIND_AT(T, f, struct opt_bool), __VA_ARGS__ }
#define BIND_I64(T, f, k, ...)      { .kind = BIND_KIND_I64, .key = (k), .offset = BIND_AT(T, f, int64_t), __VA_ARGS__ }
#define BIND_U32(T, f, k, ...)      { .kind = BIND_KIND_U32, .key = (k), .offset = BIND_AT(T, f, uint32_t), __VA_ARGS__ }
#define BIND_U64(T, f, k, ...)      { .kind = BIND_KIND_U64, .key = (k), .offset = BIND_AT(T, f, uint64_t), __VA_ARGS__ }
#define BIND_OPT_I64(T, f, k, ...)  { .kind = BIND_KIND_OPT_I64, .key = (k), .offset = BIND_AT(T, f, struct opt_i64), __VA_ARGS__ }
#define BIND_OPT_U64(T, f, k, ...)  { .kind = BIND_KIND_OPT_U64, .key = (k), .offset = BIND_AT(T, f, struct opt_u64), __VA_ARGS__ }
#define BIND_MAP(T, f, k, ...)      { .kind = BIND_KIND_MAP, .key = (k), .offset = BIND_AT(T, f, struct strmap), __VA_ARGS__ }
#define BIND_KEYS(T, f, k, ...)     { .kind = BIND_KIND_KEYS, .key = (k), .offset = BIND_AT(T, f, struct strv), __VA_ARGS__ }
#define BIND_RAW(T, f, k, ...)      { .kind = BIND_KIND_RAW, .key = (k), .offset = BIND_AT(T, f, json_t *), __VA_ARGS__ }
#define BIND_REST(T, f)             { .kind = BIND_KIND_REST, .offset = BIND_AT(T, f, json_t *) }
#define BIND_OBJ(T, f, k, t, ...)   { .kind = BIND_KIND_OBJ, .key = (k), .offset = BIND_AT_ANY(T, f), .type = &(t), __VA_ARGS__ }
#define BIND_OBJS(T, f, n, k, t, ...)                                                                                  \
    { .kind = BIND_KIND_OBJS, .key = (k), .offset = BIND_AT_ANY(T, f), .count_offset = BIND_AT(T, n, size_t),          \
      .type = &(t), __VA_ARGS__ }
#define BIND_END { .kind = BIND_KIND_END }
// clang-format on

/**
 * bind_read - a document's text as a new struct.
 * @ret: set on success only; free with bind_free().
 * Errors: INVALID, with the place and what would be right.
 */
fallible bind_read(const struct bind_type *type, const char *text, size_t len, void **ret);
fallible bind_read_json(const struct bind_type *type, json_t *doc, void **ret);
/* The struct as a document; compact, or indented by 2. Never fails: every struct has a text. Caller frees. */
enum bind_form { BIND_COMPACT, BIND_INDENTED };
char *bind_write(const struct bind_type *type, const void *object, enum bind_form form);
json_t *bind_write_json(const struct bind_type *type, const void *object);
void bind_free(const struct bind_type *type, void *object);

/* Text to tree with the reader's rules above; `what` names the document in messages. */
fallible json_parse(const char *what, const char *text, size_t len, json_t **ret);
char *json_text(const json_t *doc, enum bind_form form);
/* Objects' hashes are seeded with what the kernel gave this process at its exec (AT_RANDOM, getauxval(3)): jansson
 * would open /dev/urandom. Called first thing by a program that starts often. */
void json_seed(void);

OWN_TYPE(json, json_t *, json_decref)
#define own_json own(json)

#endif
