// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/bind.h"

#include <inttypes.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/opt.h"
#include "codec/json_plain.h"

void strmap_free(struct strmap *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->items[i].key);
        free(m->items[i].value);
    }
    free(m->items);
    *m = (struct strmap){ 0 };
}

void strmap_set(struct strmap *m, const char *key, const char *value)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->items[i].key, key) == 0) {
            free(m->items[i].value);
            m->items[i].value = mem_strdup(value);
            return;
        }
    }
    m->items = mem_array(m->items, m->n + 1, sizeof *m->items);
    m->items[m->n++] = (struct strmap_entry){ mem_strdup(key), mem_strdup(value) };
}

void strmap_unset(struct strmap *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->items[i].key, key) != 0)
            continue;
        free(m->items[i].key);
        free(m->items[i].value);
        memmove(&m->items[i], &m->items[i + 1], (--m->n - i) * sizeof *m->items);
        return;
    }
}

const char *strmap_get(const struct strmap *m, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->items[i].key, key) == 0)
            return m->items[i].value;
    return NULL;
}

static void *at(const void *object, size_t offset)
{
    return (char *)(uintptr_t)object + offset;
}

/*
 * jansson's integers are int64_t, and the OCI documents write RLIM_INFINITY and seccomp's arguments as uint64_t. So an
 * integer of 2^63 to 2^64-1 travels through the tree as a string: this mark and its digits. A document that holds the
 * mark itself is refused.
 */
#define BIG_MARK      "\x01U"
#define BIG_MARK_JSON "\\u0001U"

static bool is_big(const json_t *v)
{
    return json_is_string(v) && str_starts(json_string_value(v), BIG_MARK);
}

static json_t *u64_json(uint64_t v)
{
    char text[32];
    if (v <= INT64_MAX)
        return json_integer((json_int_t)v);
    (void)snprintf(text, sizeof text, BIG_MARK "%" PRIu64, v);
    return json_string(text);
}

/* The digits from text[i] on are one integer that only a uint64_t holds. */
static bool big_at(const char *text, size_t len, size_t i, size_t *ret_n)
{
    uint64_t v = 0;
    size_t n = 0;
    for (; i + n < len && text[i + n] >= '0' && text[i + n] <= '9'; n++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(text[i + n] - '0'), &v))
            return false;
    *ret_n = n;
    char after = i + n < len ? text[i + n] : 0;
    return v > INT64_MAX && text[i] != '0' && after != '.' && after != 'e' && after != 'E';
}

/* Marks the integers beyond int64_t; false when there is none, as in nearly every document. */
static bool mark_big(const char *text, size_t len, struct str *out)
{
    size_t from = 0, n = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c >= '0' && c <= '9') {
            if (!(i && (text[i - 1] == '-' || text[i - 1] == '.')) && big_at(text, len, i, &n)) {
                str_add_n(out, text + from, i - from);
                str_add(out, "\"" BIG_MARK_JSON);
                str_add_n(out, text + i, n);
                str_add(out, "\"");
                from = i + n;
            }
            while (i + 1 < len && strchr("0123456789.eE+-", text[i + 1]) && text[i + 1])
                i++;
        }
    }
    if (from)
        str_add_n(out, text + from, len - from);
    return from > 0;
}

/* And back, in a text that is to be written. */
static char *unmark_big(char *take_text)
{
    own_str struct str out = { 0 };
    char *from = take_text, *mark;
    while ((mark = strstr(from, "\"" BIG_MARK_JSON))) {
        char *digits = mark + strlen("\"" BIG_MARK_JSON);
        size_t n = strspn(digits, "0123456789");
        bool ours = n >= 19 && n <= 20 && digits[n] == '"';
        str_add_n(&out, from, (size_t)((ours ? mark : digits) - from));
        if (ours)
            str_add_n(&out, digits, n);
        from = ours ? digits + n + 1 : digits;
    }
    if (!out.len)
        return take_text;
    str_add(&out, from);
    free(take_text);
    return str_take(&out);
}

static const char *type_word(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return is_big(v) ? "int" : "string";
    case JSON_INTEGER:
        return "int";
    case JSON_REAL:
        return "real";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_NULL:
        return "null";
    }
    return "?";
}

static fallible expected(const char *what, const json_t *got)
{
    return err_new(ERR_INVALID, "expected %s, got %s", what, type_word(got));
}

static fallible read_object(const struct bind_type *type, json_t *doc, void *object);

static fallible read_strs(const struct bind_field *f, json_t *v, struct strv *list)
{
    if (!json_is_array(v))
        return expected("an array", v);
    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *item = json_array_get(v, i);
        if (!json_is_string(item) || is_big(item))
            return err_wrap(expected("a string", item), "%s[%zu]", f->key, i);
        strv_add(list, json_string_value(item));
    }
    if (!list->items) /* given, and empty: for the few that tell it from absent */
        list->items = mem_zalloc(sizeof *list->items);
    return NULL;
}

static fallible read_map(json_t *v, struct strmap *map)
{
    const char *key;
    json_t *value;
    if (!json_is_object(v))
        return expected("an object", v);
    json_object_foreach (v, key, value) {
        if (!json_is_string(value) || is_big(value))
            return err_wrap(expected("a string", value), "%s", key);
        map->items = mem_array(map->items, map->n + 1, sizeof *map->items);
        map->items[map->n++] = (struct strmap_entry){ mem_strdup(key), mem_strdup(json_string_value(value)) };
    }
    return NULL;
}

static fallible read_keys(json_t *v, struct strv *keys)
{
    const char *key;
    json_t *value;
    if (!json_is_object(v))
        return expected("an object", v);
    json_object_foreach (v, key, value)
        strv_add(keys, key);
    return NULL;
}

static fallible read_objs(const struct bind_field *f, json_t *v, void **items, size_t *count)
{
    if (!json_is_array(v))
        return expected("an array", v);
    size_t n = json_array_size(v);
    if (!n)
        return NULL;
    *items = mem_array(NULL, n, f->type->size);
    memset(*items, 0, n * f->type->size);
    *count = n;
    for (size_t i = 0; i < n; i++)
        TRY_AS(read_object(f->type, json_array_get(v, i), (char *)*items + i * f->type->size), "%s[%zu]", f->key, i);
    return NULL;
}

static fallible read_int(json_t *v, int64_t min, int64_t max, int64_t *ret)
{
    int64_t n = json_integer_value(v);
    if (is_big(v))
        return err_new(ERR_INVALID, "%s is out of range: %" PRId64 " to %" PRId64,
                       json_string_value(v) + strlen(BIG_MARK), min, max);
    if (!json_is_integer(v))
        return expected("an integer", v);
    if (n < min || n > max)
        return err_new(ERR_INVALID, "%" PRId64 " is out of range: %" PRId64 " to %" PRId64, n, min, max);
    *ret = n;
    return NULL;
}

static fallible read_u64(json_t *v, uint64_t *ret)
{
    int64_t n = 0;
    if (is_big(v)) {
        *ret = strtoull(json_string_value(v) + strlen(BIG_MARK), NULL, 10);
        return NULL;
    }
    TRY(read_int(v, 0, INT64_MAX, &n));
    *ret = (uint64_t)n;
    return NULL;
}

static fallible read_field(const struct bind_field *f, json_t *v, void *object)
{
    void *p = at(object, f->offset);
    int64_t n = 0;
    switch (f->kind) {
    case BIND_KIND_STR:
        if (!json_is_string(v) || is_big(v))
            return expected("a string", v);
        *(char **)p = mem_strdup(json_string_value(v));
        return NULL;
    case BIND_KIND_STRS:
        return read_strs(f, v, p);
    case BIND_KIND_BOOL:
        if (!json_is_boolean(v))
            return expected("a bool", v);
        *(bool *)p = json_is_true(v);
        return NULL;
    case BIND_KIND_OPT_BOOL:
        if (!json_is_boolean(v))
            return expected("a bool", v);
        *(struct opt_bool *)p = (struct opt_bool){ true, json_is_true(v) };
        return NULL;
    case BIND_KIND_I64:
        return read_int(v, INT64_MIN, INT64_MAX, p);
    case BIND_KIND_U32:
        TRY(read_int(v, 0, UINT32_MAX, &n));
        *(uint32_t *)p = (uint32_t)n;
        return NULL;
    case BIND_KIND_U64:
        return read_u64(v, p);
    case BIND_KIND_OPT_I64:
        TRY(read_int(v, INT64_MIN, INT64_MAX, &n));
        *(struct opt_i64 *)p = (struct opt_i64){ true, n };
        return NULL;
    case BIND_KIND_OPT_U64:
        ((struct opt_u64 *)p)->set = true;
        return read_u64(v, &((struct opt_u64 *)p)->v);
    case BIND_KIND_MAP:
        return read_map(v, p);
    case BIND_KIND_KEYS:
        return read_keys(v, p);
    case BIND_KIND_OBJ:
        *(void **)p = mem_zalloc(f->type->size);
        return read_object(f->type, v, *(void **)p);
    case BIND_KIND_OBJS:
        return read_objs(f, v, p, at(object, f->count_offset));
    case BIND_KIND_RAW:
        *(json_t **)p = json_incref(v);
        return NULL;
    case BIND_KIND_REST:
    case BIND_KIND_END:
        break;
    }
    return err_new(ERR_INTERNAL, "binding row without a kind");
}

static const struct bind_field *find_field(const struct bind_type *type, const char *key)
{
    for (const struct bind_field *f = type->fields; f->kind != BIND_KIND_END; f++)
        if (f->key && strcmp(f->key, key) == 0)
            return f;
    return NULL;
}

static fallible unknown_key(const struct bind_type *type, const char *key)
{
    const char *known[128];
    size_t n = 0;
    for (const struct bind_field *f = type->fields; f->kind != BIND_KIND_END; f++)
        if (f->key && n < ARRAY_SIZE(known))
            known[n++] = f->key;
    const char *near = nearest_word(key, known, n);
    if (near)
        return err_new(ERR_INVALID, "unknown key '%s': did you mean '%s'?", key, near);
    return err_new(ERR_INVALID, "unknown key '%s'", key);
}

/* The keys that no row names: refused, kept or passed over, as the type says. */
static fallible read_rest(const struct bind_type *type, json_t *doc, void *object)
{
    const char *key;
    json_t *value;
    json_t **rest = NULL;
    for (const struct bind_field *f = type->fields; f->kind != BIND_KIND_END; f++)
        if (f->kind == BIND_KIND_REST)
            rest = at(object, f->offset);
    if (!rest && !type->strict)
        return NULL;
    json_object_foreach (doc, key, value) {
        if (find_field(type, key))
            continue;
        if (type->strict)
            return unknown_key(type, key);
        if (!*rest)
            *rest = json_object();
        json_object_set(*rest, key, value);
    }
    return NULL;
}

static fallible read_object(const struct bind_type *type, json_t *doc, void *object)
{
    if (!json_is_object(doc))
        return expected("an object", doc);
    for (const struct bind_field *f = type->fields; f->kind != BIND_KIND_END; f++) {
        if (f->kind == BIND_KIND_REST)
            continue;
        json_t *v = json_object_get(doc, f->key);
        if (!v || json_is_null(v)) { /* Go writes null for an absent list or map */
            if (f->flags & BIND_REQUIRED)
                return err_new(ERR_INVALID, "%s: missing", f->key);
            continue;
        }
        TRY_AS(read_field(f, v, object), "%s", f->key);
    }
    return read_rest(type, doc, object);
}

fallible bind_read_json(const struct bind_type *type, json_t *doc, void **ret)
{
    void *object = mem_zalloc(type->size);
    err *e = read_object(type, doc, object);
    if (e) {
        bind_free(type, object);
        return err_wrap(e, "%s", type->name);
    }
    *ret = object;
    return NULL;
}

fallible json_parse(const char *what, const char *text, size_t len, json_t **ret)
{
    json_error_t why;
    own_str struct str marked = { 0 };
    if ((*ret = json_plain(text, len)))
        return NULL;
    if (memmem(text, len, BIG_MARK_JSON, strlen(BIG_MARK_JSON)))
        return err_new(ERR_INVALID, "%s: a text begins with a control character", what);
    if (mark_big(text, len, &marked)) {
        text = marked.text;
        len = marked.len;
    }
    json_t *doc = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!doc)
        return err_new(ERR_INVALID, "%s: not JSON at line %d, column %d: %s", what, why.line, why.column, why.text);
    *ret = doc;
    return NULL;
}

fallible bind_read(const struct bind_type *type, const char *text, size_t len, void **ret)
{
    own_json json_t *doc = NULL;
    TRY(json_parse(type->name, text, len, &doc));
    return bind_read_json(type, doc, ret);
}

static json_t *strs_json(const struct strv *list)
{
    json_t *a = json_array();
    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(a, json_string(list->items[i]));
    return a;
}

static json_t *map_json(const struct strmap *map)
{
    json_t *o = json_object();
    for (size_t i = 0; i < map->n; i++)
        json_object_set_new(o, map->items[i].key, json_string(map->items[i].value));
    return o;
}

static json_t *keys_json(const struct strv *keys)
{
    json_t *o = json_object();
    for (size_t i = 0; i < keys->n; i++)
        json_object_set_new(o, keys->items[i], json_object());
    return o;
}

static json_t *objs_json(const struct bind_field *f, const void *items, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, bind_write_json(f->type, (const char *)items + i * f->type->size));
    return a;
}

/* NULL: the field is absent. */
static json_t *field_json(const struct bind_field *f, const void *object)
{
    const void *p = at(object, f->offset);
    bool always = f->flags & BIND_ALWAYS;
    switch (f->kind) {
    case BIND_KIND_STR:
        if (*(char *const *)p)
            return json_string(*(char *const *)p);
        return always ? json_string("") : NULL;
    case BIND_KIND_STRS:
        return ((const struct strv *)p)->n || always || (f->flags & BIND_GIVEN && ((const struct strv *)p)->items)
                   ? strs_json(p)
                   : NULL;
    case BIND_KIND_BOOL:
        return *(const bool *)p || always ? json_boolean(*(const bool *)p) : NULL;
    case BIND_KIND_OPT_BOOL:
        return ((const struct opt_bool *)p)->set ? json_boolean(((const struct opt_bool *)p)->v) : NULL;
    case BIND_KIND_I64:
        return *(const int64_t *)p || always ? json_integer(*(const int64_t *)p) : NULL;
    case BIND_KIND_U32:
        return *(const uint32_t *)p || always ? json_integer(*(const uint32_t *)p) : NULL;
    case BIND_KIND_U64:
        return *(const uint64_t *)p || always ? u64_json(*(const uint64_t *)p) : NULL;
    case BIND_KIND_OPT_I64:
        return ((const struct opt_i64 *)p)->set ? json_integer(((const struct opt_i64 *)p)->v) : NULL;
    case BIND_KIND_OPT_U64:
        return ((const struct opt_u64 *)p)->set ? u64_json(((const struct opt_u64 *)p)->v) : NULL;
    case BIND_KIND_MAP:
        return ((const struct strmap *)p)->n || always ? map_json(p) : NULL;
    case BIND_KIND_KEYS:
        return ((const struct strv *)p)->n || always ? keys_json(p) : NULL;
    case BIND_KIND_OBJ:
        return *(void *const *)p ? bind_write_json(f->type, *(void *const *)p) : NULL;
    case BIND_KIND_OBJS: {
        size_t n = *(const size_t *)at(object, f->count_offset);
        return n || always ? objs_json(f, *(void *const *)p, n) : NULL;
    }
    case BIND_KIND_RAW:
        return *(json_t *const *)p ? json_incref(*(json_t *const *)p) : NULL;
    case BIND_KIND_REST:
    case BIND_KIND_END:
        break;
    }
    return NULL;
}

json_t *bind_write_json(const struct bind_type *type, const void *object)
{
    json_t *doc = json_object();
    for (const struct bind_field *f = type->fields; f->kind != BIND_KIND_END; f++) {
        if (f->kind == BIND_KIND_REST) {
            if (*(json_t **)at(object, f->offset))
                json_object_update_missing(doc, *(json_t **)at(object, f->offset));
            continue;
        }
        json_t *v = field_json(f, object);
        if (v)
            json_object_set_new(doc, f->key, v);
    }
    return doc;
}

char *json_text(const json_t *doc, enum bind_form form)
{
    char *text = json_dumps(doc, JSON_ENCODE_ANY | (form == BIND_INDENTED ? JSON_INDENT(2) : JSON_COMPACT));
    if (!text)
        abort(); /* only memory can be missing */
    return unmark_big(text);
}

char *bind_write(const struct bind_type *type, const void *object, enum bind_form form)
{
    own_json json_t *doc = bind_write_json(type, object);
    return json_text(doc, form);
}

static void clear_object(const struct bind_type *type, void *object)
{
    for (const struct bind_field *f = type->fields; f->kind != BIND_KIND_END; f++) {
        void *p = at(object, f->offset);
        switch (f->kind) {
        case BIND_KIND_STR:
            free(*(char **)p);
            break;
        case BIND_KIND_STRS:
        case BIND_KIND_KEYS:
            strv_free(p);
            break;
        case BIND_KIND_MAP:
            strmap_free(p);
            break;
        case BIND_KIND_OBJ:
            bind_free(f->type, *(void **)p);
            break;
        case BIND_KIND_OBJS: {
            size_t n = *(size_t *)at(object, f->count_offset);
            for (size_t i = 0; i < n; i++)
                clear_object(f->type, *(char **)p + i * f->type->size);
            free(*(void **)p);
            break;
        }
        case BIND_KIND_RAW:
        case BIND_KIND_REST:
            json_decref(*(json_t **)p);
            break;
        case BIND_KIND_BOOL:
        case BIND_KIND_OPT_BOOL:
        case BIND_KIND_I64:
        case BIND_KIND_U32:
        case BIND_KIND_U64:
        case BIND_KIND_OPT_I64:
        case BIND_KIND_OPT_U64:
        case BIND_KIND_END:
            break;
        }
    }
}

void bind_free(const struct bind_type *type, void *object)
{
    if (!object)
        return;
    clear_object(type, object);
    free(object);
}

void json_seed(void)
{
    enum { RANDOM_BYTES = 16 };
    size_t seed = 0;
    const char *random = (const char *)getauxval(AT_RANDOM);
    if (random) /* its second half: the first is the stack's canary */
        memcpy(&seed, random + RANDOM_BYTES / 2, sizeof seed);
    json_object_seed(seed); /* 0: /dev/urandom after all */
}
