// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/settings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ini.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/parse.h"
#include "os/fs.h"

enum { FILE_MAX = 64 << 10 };

static const char *const layers_words[] = { "auto", "files", "erofs", NULL };

const char *const settings_driver_words[] = { "auto", "overlay", "fuse-overlayfs", "vfs", NULL };

static fallible set_driver(struct settings *s, const char *value)
{
    for (size_t i = 0; settings_driver_words[i]; i++)
        if (str_eq(value, settings_driver_words[i])) {
            s->driver = (enum settings_driver)i;
            return NULL;
        }
    return err_new(ERR_INVALID, "'%.100s' is none of auto, overlay, fuse-overlayfs, vfs", value);
}

static fallible set_budget(struct settings *s, const char *value)
{
    TRY(parse_bytes(value, &s->budget));
    return s->budget < 0 ? err_new(ERR_INVALID, "'%s' is no number of bytes", value) : NULL;
}

static fallible set_keep_blobs(struct settings *s, const char *value)
{
    return parse_bool(value, &s->keep_blobs);
}

static fallible set_share_extents(struct settings *s, const char *value)
{
    return parse_bool(value, &s->share_extents);
}

static fallible set_layers(struct settings *s, const char *value)
{
    for (size_t i = 0; layers_words[i]; i++)
        if (str_eq(value, layers_words[i])) {
            s->layers = (enum settings_layers)i;
            return NULL;
        }
    return err_new(ERR_INVALID, "'%.100s' is none of auto, files, erofs", value);
}

enum { DAY_S = 24 * 60 * 60 };

/* A duration; days too. */
static fallible set_keep(struct settings *s, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    uint64_t ns = 0;
    int64_t days = 0;
    if (digits && str_eq(value + digits, "d")) {
        own_mem char *text = mem_strndup(value, digits);
        TRY(parse_i64(text, 0, 36500, &days));
        ns = (uint64_t)days * DAY_S * 1000000000;
    } else {
        TRY(parse_duration_ns(value, &ns));
    }
    if (ns > (uint64_t)36500 * DAY_S * 1000000000)
        return err_new(ERR_INVALID, "'%.100s' is more than a hundred years", value);
    s->trash_keep_ns = (int64_t)ns;
    return NULL;
}

static fallible set_size(struct settings *s, const char *value)
{
    if (str_eq(value, "auto")) {
        s->trash_size = -1;
        return NULL;
    }
    TRY(parse_bytes(value, &s->trash_size));
    return s->trash_size < 0 ? err_new(ERR_INVALID, "'%s' is no number of bytes", value) : NULL;
}

static fallible set_paths(char to[SETTINGS_PATHS_MAX], const char *value)
{
    for (const char *c = value; c == value || c[-1]; c++) /* an empty one, too */
        if ((c == value || c[-1] == ':') && *c != '/')
            return err_new(ERR_INVALID, "'%.100s' is not /FOLDER[:/FOLDER...]", value);
    if (strlen(value) >= SETTINGS_PATHS_MAX)
        return err_new(ERR_INVALID, "it is longer than %d bytes", SETTINGS_PATHS_MAX - 1);
    memcpy(to, value, strlen(value) + 1);
    return NULL;
}

static fallible set_cni_dirs(struct settings *s, const char *value)
{
    return set_paths(s->cni_dirs, value);
}

static fallible set_cni_plugins(struct settings *s, const char *value)
{
    return set_paths(s->cni_plugins, value);
}

static const struct {
    const char *section, *key;
    err *(*set)(struct settings *s, const char *value);
} keys[] = {
    { "storage", "driver", set_driver },
    { "storage", "budget", set_budget },
    { "storage", "keep_blobs", set_keep_blobs },
    { "storage", "layers", set_layers },
    { "storage", "share_extents", set_share_extents },
    { "network", "cni_dirs", set_cni_dirs },
    { "network", "cni_plugins", set_cni_plugins },
    { "trash", "keep", set_keep },
    { "trash", "size", set_size },
};

static fallible set(void *ctx, const char *section, const char *key, const char *value)
{
    const char *names[ARRAY_SIZE(keys)];
    size_t n = 0;
    if (!str_eq(section, "storage") && !str_eq(section, "trash") && !str_eq(section, "network"))
        return err_new(ERR_INVALID, "unknown section [%.100s]: there are [storage], [network] and [trash]", section);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!str_eq(section, keys[i].section))
            continue;
        names[n++] = keys[i].key;
        if (str_eq(key, keys[i].key)) {
            TRY_AS(keys[i].set(ctx, value), "%s", key);
            return NULL;
        }
    }
    const char *near = nearest_word(key, names, n);
    return err_new(ERR_INVALID, "unknown key '%.100s' in [%s]%s%s%s", key, section, near ? ": did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

fallible settings_parse(const char *name, const char *text, struct settings *s)
{
    return ini_parse(name, text, set, s);
}

static fallible read_file(const char *path, struct settings *s)
{
    own_mem char *text = NULL;
    err *e = fs_read_at(AT_FDCWD, path, FILE_MAX, &text, NULL);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY_AS(e, "configuration");
    return settings_parse(path, text, s);
}

fallible settings_read(struct settings *ret)
{
    struct settings s = {
        .keep_blobs = true, .share_extents = true, .trash_keep_ns = (int64_t)DAY_S * 1000000000, .trash_size = -1
    };
    const char *given = getenv("HUSK_CONF"), *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (given && *given) {
        TRY(read_file(given, &s));
    } else {
        TRY(read_file("/etc/husk/husk.conf", &s));
        own_mem char *path = config && *config == '/' ? mem_printf("%s/husk/husk.conf", config)
                                                      : mem_printf("%s/.config/husk/husk.conf", home ? home : "");
        if (geteuid() != 0 && (config || home))
            TRY(read_file(path, &s));
    }
    *ret = s;
    return NULL;
}
