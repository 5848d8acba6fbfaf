// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/volume_driver.h"

#include <string.h>

#include "base/parse.h"

void volume_driver_clear(struct volume_driver *d)
{
    free(d->type);
    free(d->device);
    strv_free(&d->options);
    *d = (struct volume_driver){ 0 };
}

static fallible read_id(const char *text, struct opt_i64 *ret)
{
    TRY(parse_i64(text, 0, UINT32_MAX - 1, &ret->v));
    ret->set = true;
    return NULL;
}

static fallible read_size(const char *text, uint64_t *ret)
{
    int64_t bytes;
    TRY(parse_bytes(text, &bytes));
    if (bytes <= 0)
        return err_new(ERR_INVALID, "'%s' is not more than 0", text);
    *ret = (uint64_t)bytes;
    return NULL;
}

/* One word of o=. With a file system of its own (type=) size, uid and gid are that one's options. */
static fallible read_word(const char *word, struct volume_driver *d)
{
    if (strcmp(word, "bind") == 0 || strcmp(word, "rbind") == 0) {
        d->bind = true;
    } else if (strcmp(word, "copy") == 0 || strcmp(word, "nocopy") == 0) {
        d->nocopy = *word == 'n';
    } else if (strcmp(word, "noquota") == 0) {
        d->size = d->inodes = 0;
    } else if (!d->type && str_starts(word, "size=")) {
        TRY_AS(read_size(word + 5, &d->size), "size");
    } else if (!d->type && str_starts(word, "inodes=")) {
        TRY_AS(parse_u64(word + 7, UINT32_MAX, &d->inodes), "inodes");
    } else if (!d->type && str_starts(word, "uid=")) {
        TRY_AS(read_id(word + 4, &d->uid), "uid");
    } else if (!d->type && str_starts(word, "gid=")) {
        TRY_AS(read_id(word + 4, &d->gid), "gid");
    } else {
        strv_add(&d->options, word);
    }
    return NULL;
}

static fallible read_words(const char *text, struct volume_driver *d)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, text, ',');
    for (size_t i = 0; i < words.n; i++)
        TRY_AS(read_word(words.items[i], d), "--opt o=%s", text);
    return NULL;
}

static fallible check(const struct volume_driver *d)
{
    if (d->bind && !d->device)
        return err_new(ERR_INVALID, "--opt o=bind: device=PATH is missing");
    if (d->bind && d->device[0] != '/')
        return err_new(ERR_INVALID, "--opt device=%s: a bind's path must be absolute", d->device);
    if (!d->bind && d->device && !d->type)
        return err_new(ERR_INVALID, "--opt device=%s: type=, its file system, is missing; or say o=bind", d->device);
    if (d->type && !d->device && strcmp(d->type, "tmpfs") != 0)
        return err_new(ERR_INVALID, "--opt type=%s: device=, what to mount, is missing", d->type);
    if (!d->type && !d->bind && d->options.n)
        return err_new(ERR_INVALID, "--opt o=%s: nothing is mounted: type= and device= are missing",
                       d->options.items[0]);
    if (d->bind && (d->size || d->inodes))
        return err_new(ERR_INVALID, "--opt size: a directory of the host's gets no quota");
    return NULL;
}

static fallible read_all(const struct strmap *options, struct volume_driver *d)
{
    const char *type = strmap_get(options, "type"), *device = strmap_get(options, "device");
    if (type && *type && strcmp(type, "none") != 0 && strcmp(type, "bind") != 0)
        d->type = mem_strdup(type);
    if (str_eq(type, "bind"))
        d->bind = true;
    if (device && *device)
        d->device = mem_strdup(device);
    for (size_t i = 0; i < options->n; i++) {
        const char *key = options->items[i].key, *value = options->items[i].value;
        if (strcmp(key, "o") == 0) {
            TRY(read_words(value, d));
        } else if (strcmp(key, "size") == 0 || strcmp(key, "inodes") == 0 || strcmp(key, "uid") == 0 ||
                   strcmp(key, "gid") == 0) {
            own_mem char *word = mem_printf("%s=%s", key, value);
            TRY_AS(read_word(word, d), "--opt");
        } else if (strcmp(key, "copy") == 0 || strcmp(key, "nocopy") == 0) {
            d->nocopy = *key == 'n';
        } else if (strcmp(key, "type") != 0 && strcmp(key, "device") != 0) {
            return err_new(ERR_INVALID,
                           "--opt '%s' is not one of type, device, o, size, inodes, uid, gid, copy, nocopy", key);
        }
    }
    if (d->bind && d->type) /* "type=nfs,o=bind" is no bind */
        return err_new(ERR_INVALID, "--opt type=%s and o=bind exclude each other", d->type);
    return check(d);
}

fallible volume_driver_read(const struct strmap *options, struct volume_driver *ret)
{
    own(volume_driver) struct volume_driver d = { 0 };
    TRY(read_all(options, &d));
    *ret = d;
    d = (struct volume_driver){ 0 };
    return NULL;
}

fallible volume_driver_of(const struct db_volume *v, struct volume_driver *ret)
{
    struct strmap options = { 0 };
    own_json json_t *doc = json_loads(v->options ? v->options : "{}", 0, NULL);
    const char *key;
    json_t *value;
    json_object_foreach (doc, key, value)
        if (json_is_string(value))
            strmap_set(&options, key, json_string_value(value));
    err *e = volume_driver_read(&options, ret);
    strmap_free(&options);
    return err_wrap(e, "volume '%s'", v->name);
}

bool volume_driver_mounts(const struct volume_driver *d)
{
    return d->type != NULL;
}
