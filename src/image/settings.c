// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/settings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ini.h"
#include "base/mem.h"
#include "base/opt.h"
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

static const struct {
    const char *key;
    err *(*set)(struct settings *s, const char *value);
} keys[] = {
    { "driver", set_driver },
    { "budget", set_budget },
    { "keep_blobs", set_keep_blobs },
    { "layers", set_layers },
    { "share_extents", set_share_extents },
};

static fallible set(void *ctx, const char *section, const char *key, const char *value)
{
    const char *names[ARRAY_SIZE(keys)];
    if (!str_eq(section, "storage"))
        return err_new(ERR_INVALID, "unknown section [%.100s]: there is [storage]", section);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        names[i] = keys[i].key;
        if (str_eq(key, keys[i].key)) {
            TRY_AS(keys[i].set(ctx, value), "%s", key);
            return NULL;
        }
    }
    const char *near = nearest_word(key, names, ARRAY_SIZE(names));
    return err_new(ERR_INVALID, "unknown key '%.100s' in [storage]%s%s%s", key, near ? ": did you mean '" : "",
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
    struct settings s = { .keep_blobs = true, .share_extents = true };
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
