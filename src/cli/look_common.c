// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/look_common.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "os/landlock.h"
#include "os/linux.h"
#include "os/proc.h"
#include "os/userns.h"

fallible look_open(struct look **ret)
{
    own(look) struct look *l = mem_zalloc(sizeof *l);
    own_mem char *path = layout_default_path(); /* before we are root of anything */
    l->lock = -1;
    proc_want_files(UINT64_MAX); /* a directory is open in each layer that has it, on each level of a walk */
    TRY(userns_enter());
    TRY(layout_open(path, true, &l->store));
    TRY(layout_lock(l->store, LAYOUT_ADDING, &l->lock));
    *ret = take(l);
    return NULL;
}

void look_close(struct look *l)
{
    if (!l)
        return;
    close_now(&l->lock);
    layout_free(l->store);
    free(l);
}

fallible look_at(struct look *l, const char *what, struct seen **ret)
{
    own(seen) struct seen *s = mem_zalloc(sizeof *s);
    TRY(image_find(l->store, what, NULL, &s->image));
    TRY(view_open(l->store, s->image, &s->view));
    *ret = take(s);
    return NULL;
}

void seen_free(struct seen *s)
{
    if (!s)
        return;
    view_free(s->view);
    image_free(s->image);
    free(s);
}

/* Layers that are mounted (EROFS) lie beneath no path. */
static size_t allow_layers(const struct seen *s, struct landlock_path *paths, size_t n)
{
    for (size_t i = 0; s && i < view_layers(s->view); i++)
        paths[n++] = (struct landlock_path){ view_root(s->view, i), NULL, LANDLOCK_READ };
    return n;
}

fallible look_confine(const struct look *l, const struct seen *a, const struct seen *b)
{
    size_t room = 2 + (a ? view_layers(a->view) : 0) + (b ? view_layers(b->view) : 0), n = 0;
    own_mem struct landlock_path *paths = mem_array(NULL, room, sizeof *paths);
    bool done = false;
    paths[n++] = (struct landlock_path){ l->store->fd, l->store->path, LANDLOCK_READ };
    paths[n++] = (struct landlock_path){ -1, "/proc", LANDLOCK_READ };
    n = allow_layers(a, paths, n);
    n = allow_layers(b, paths, n);
    TRY(landlock_confine(paths, n, &done));
    if (!done)
        log_debug("this kernel has no Landlock that fits: going on unconfined");
    return NULL;
}

const struct oci_history *look_history(const struct oci_image_config *c, size_t layer)
{
    for (size_t i = 0; i < c->history_n; i++)
        if (!c->history[i].empty_layer && layer-- == 0)
            return &c->history[i];
    return NULL;
}

char *look_instruction(const struct oci_history *h)
{
    const char *text = h && h->created_by ? h->created_by : "";
    if (str_starts(text, "/bin/sh -c #(nop) "))
        text += strlen("/bin/sh -c #(nop) ");
    char *line = str_starts(text, "/bin/sh -c ") ? mem_printf("RUN %s", text + strlen("/bin/sh -c "))
                                                 : mem_strdup(text + strspn(text, " "));
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    if (str_ends(line, " # buildkit"))
        line[strlen(line) - strlen(" # buildkit")] = '\0';
    for (size_t n = strlen(line); n > 0 && line[n - 1] == ' '; n--)
        line[n - 1] = '\0';
    return line;
}

void look_shorten(char *text, size_t max)
{
    if (strlen(text) <= max)
        return;
    size_t n = max - 3;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(text + n, "...", 4);
}

const char *look_mode(mode_t mode, char buf[12])
{
    static const struct {
        mode_t type;
        char letter;
    } types[] = { { S_IFDIR, 'd' }, { S_IFLNK, 'l' }, { S_IFCHR, 'c' },
                  { S_IFBLK, 'b' }, { S_IFIFO, 'p' }, { S_IFSOCK, 's' } };
    memcpy(buf, "-rwxrwxrwx", 11);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if ((mode & S_IFMT) == types[i].type)
            buf[0] = types[i].letter;
    for (int i = 0; i < 9; i++)
        if (!(mode & (0400U >> i)))
            buf[1 + i] = '-';
    if (mode & S_ISUID)
        buf[3] = mode & S_IXUSR ? 's' : 'S';
    if (mode & S_ISGID)
        buf[6] = mode & S_IXGRP ? 's' : 'S';
    if (mode & S_ISVTX)
        buf[9] = mode & S_IXOTH ? 't' : 'T';
    return buf;
}

char *look_quote(const char *name)
{
    struct str s = { 0 };
    for (const char *p = name; *p; p++) {
        if (*p == '\n')
            str_add(&s, "\\n");
        else if (*p == '\t')
            str_add(&s, "\\t");
        else if ((unsigned char)*p < ' ' || *p == 0x7f)
            str_printf(&s, "\\x%02x", (unsigned char)*p);
        else
            str_add_char(&s, *p);
    }
    return str_take(&s);
}

json_t *look_json(const char *name)
{
    json_t *s = json_string(name);
    if (s)
        return s;
    own_str struct str hex = { 0 };
    for (const char *p = name; *p; p++)
        str_printf(&hex, (unsigned char)*p < 0x80 ? "%c" : "\\x%02x", (unsigned char)*p);
    return json_string(hex.text);
}
