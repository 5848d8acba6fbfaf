// SPDX-License-Identifier: GPL-2.0-or-later
#include "rootfs/options.h"

#include <errno.h>
#include <string.h>

/* What a word means; `recursive` is the same with an "r" in front. */
enum act {
    ACT_SET,   /* an attribute is set */
    ACT_CLEAR, /* or cleared */
    ACT_ATIME, /* the access-time mode, which is a field and not a bit */
    ACT_PROPAGATION,
    ACT_BIND,
    ACT_SUPERBLOCK, /* passed to the file system under the kernel's own name */
    ACT_REMOUNT,
    ACT_TMPCOPYUP,
    ACT_IDMAP,
    ACT_NOTHING, /* "defaults", and words whose effect is the kernel's default */
};

static const struct word {
    const char *name;
    enum act act;
    uint64_t value;
    bool recursive; /* the word with "r" in front exists too */
} words[] = {
    { "async", ACT_SUPERBLOCK, 0, false },
    { "atime", ACT_CLEAR, MOUNT_ATTR_NOATIME, true },
    { "bind", ACT_BIND, 0, true },
    { "defaults", ACT_NOTHING, 0, false },
    { "dev", ACT_CLEAR, MOUNT_ATTR_NODEV, true },
    { "diratime", ACT_CLEAR, MOUNT_ATTR_NODIRATIME, true },
    { "dirsync", ACT_SUPERBLOCK, 0, false },
    { "exec", ACT_CLEAR, MOUNT_ATTR_NOEXEC, true },
    { "iversion", ACT_SUPERBLOCK, 0, false },
    { "lazytime", ACT_SUPERBLOCK, 0, false },
    { "loud", ACT_NOTHING, 0, false },
    { "mand", ACT_SUPERBLOCK, 0, false },
    { "noatime", ACT_ATIME, MOUNT_ATTR_NOATIME, true },
    { "nodev", ACT_SET, MOUNT_ATTR_NODEV, true },
    { "nodiratime", ACT_SET, MOUNT_ATTR_NODIRATIME, true },
    { "noexec", ACT_SET, MOUNT_ATTR_NOEXEC, true },
    { "noiversion", ACT_NOTHING, 0, false },
    { "nolazytime", ACT_SUPERBLOCK, 0, false },
    { "nomand", ACT_NOTHING, 0, false },
    { "norelatime", ACT_CLEAR, MOUNT_ATTR_RELATIME, true },
    { "nostrictatime", ACT_CLEAR, MOUNT_ATTR_STRICTATIME, true },
    { "nosuid", ACT_SET, MOUNT_ATTR_NOSUID, true },
    { "nosymfollow", ACT_SET, MOUNT_ATTR_NOSYMFOLLOW, true },
    { "private", ACT_PROPAGATION, MS_PRIVATE, true },
    { "relatime", ACT_ATIME, MOUNT_ATTR_RELATIME, true },
    { "remount", ACT_REMOUNT, 0, false },
    { "ro", ACT_SET, MOUNT_ATTR_RDONLY, true },
    { "rw", ACT_CLEAR, MOUNT_ATTR_RDONLY, true },
    { "shared", ACT_PROPAGATION, MS_SHARED, true },
    { "silent", ACT_NOTHING, 0, false },
    { "slave", ACT_PROPAGATION, MS_SLAVE, true },
    { "strictatime", ACT_ATIME, MOUNT_ATTR_STRICTATIME, true },
    { "suid", ACT_CLEAR, MOUNT_ATTR_NOSUID, true },
    { "symfollow", ACT_CLEAR, MOUNT_ATTR_NOSYMFOLLOW, true },
    { "sync", ACT_SUPERBLOCK, 0, false },
    { "tmpcopyup", ACT_TMPCOPYUP, 0, false },
    { "unbindable", ACT_PROPAGATION, MS_UNBINDABLE, true },
    { "idmap", ACT_IDMAP, 0, true },
};

static const struct word *find_word(const char *name, bool *ret_recursive)
{
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        *ret_recursive = false;
        if (words[i].name[0] == name[0] && str_eq(words[i].name, name))
            return &words[i];
        *ret_recursive = true;
        if (words[i].recursive && name[0] == 'r' && words[i].name[0] == name[1] && str_eq(words[i].name, name + 1))
            return &words[i];
    }
    return NULL;
}

const char *const *mount_option_words(void)
{
    static const char *all[2 * ARRAY_SIZE(words) + 1];
    static char recursive[ARRAY_SIZE(words)][20];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        all[n++] = words[i].name;
        if (words[i].recursive) {
            (void)snprintf(recursive[i], sizeof recursive[i], "r%s", words[i].name);
            all[n++] = recursive[i];
        }
    }
    return all;
}

void mount_options_clear(struct mount_options *o)
{
    str_free(&o->data);
    free(o->idmap_text);
    *o = (struct mount_options){ 0 };
}

static void add_data(struct mount_options *o, const char *word)
{
    if (o->data.len)
        str_add_char(&o->data, ',');
    str_add(&o->data, word);
}

/* The later word wins: "ro,rw" is rw. */
static void change(uint64_t *on, uint64_t *off, uint64_t bits)
{
    *on |= bits;
    *off &= ~bits;
}

static void attribute(struct mount_options *o, enum act act, uint64_t bits, bool recursive)
{
    uint64_t *set = recursive ? &o->set_below : &o->set;
    uint64_t *clear = recursive ? &o->clear_below : &o->clear;
    if (act == ACT_ATIME) { /* a field: the kernel wants all of it cleared when any of it is set */
        *set &= ~(uint64_t)MOUNT_ATTR__ATIME;
        *set |= bits;
        *clear |= MOUNT_ATTR__ATIME;
    } else if (act == ACT_CLEAR && (bits & MOUNT_ATTR__ATIME || bits == MOUNT_ATTR_RELATIME)) {
        /* "atime", "norelatime", "nostrictatime": back to the kernel's default, relatime, unless another was chosen */
        if (!(*clear & MOUNT_ATTR__ATIME))
            *clear |= MOUNT_ATTR__ATIME;
        else if ((*set & MOUNT_ATTR__ATIME) == bits)
            *set &= ~(uint64_t)MOUNT_ATTR__ATIME;
    } else if (act == ACT_CLEAR) {
        change(clear, set, bits);
    } else {
        change(set, clear, bits);
    }
}

static void apply(struct mount_options *o, const struct word *w, const char *text, bool recursive)
{
    enum mount_depth depth = recursive ? MOUNT_RECURSIVE : MOUNT_ONE;
    switch (w->act) {
    case ACT_SET:
    case ACT_CLEAR:
    case ACT_ATIME:
        attribute(o, w->act, w->value, recursive);
        break;
    case ACT_PROPAGATION:
        o->propagation = w->value;
        o->propagation_depth = depth;
        break;
    case ACT_BIND:
        o->bind = true;
        o->bind_depth = depth;
        break;
    case ACT_SUPERBLOCK:
        add_data(o, text);
        break;
    case ACT_REMOUNT:
        o->remount = true;
        break;
    case ACT_TMPCOPYUP:
        o->tmpcopyup = true;
        break;
    case ACT_IDMAP:
        o->idmap = true;
        o->idmap_depth = depth;
        break;
    case ACT_NOTHING:
        break;
    }
}

static void add_idmap(struct mount_options *o, const char *text)
{
    o->idmap = true;
    o->idmap_depth = text[0] == 'r' ? MOUNT_RECURSIVE : MOUNT_ONE;
    free(o->idmap_text);
    const char *maps = strchr(text, '=') + 1;
    o->idmap_text = *maps ? mem_strdup(maps) : NULL; /* without any it is the container's own map, as in crun */
}

fallible mount_options_read(const struct oci_mount *m, struct mount_options *ret)
{
    own(mount_options) struct mount_options o = { 0 };
    const char *unknown = NULL;
    for (size_t i = 0; i < m->options.n; i++) {
        bool recursive = false;
        const char *text = m->options.items[i];
        const struct word *w = find_word(text, &recursive);
        if (w)
            apply(&o, w, text, recursive);
        else if (str_starts(text, "idmap=") || str_starts(text, "ridmap="))
            add_idmap(&o, text);
        else
            add_data(&o, unknown = text);
    }
    if (str_eq(m->type, "bind") && !o.bind) /* docker writes the type, the spec the option */
        o.bind = true;
    if (o.bind && unknown)
        return err_new(ERR_INVALID, "mount '%s': a bind mount has no option '%s'", m->destination, unknown);
    if (o.tmpcopyup && !str_eq(m->type, "tmpfs"))
        return err_new(ERR_INVALID, "mount '%s': tmpcopyup is for tmpfs only", m->destination);
    if (o.idmap && !o.bind && !str_eq(m->type, "overlay"))
        return err_new(ERR_INVALID, "mount '%s': only bind mounts can be id-mapped, or overlays", m->destination);
    *ret = o;
    o = (struct mount_options){ 0 };
    return NULL;
}

fallible mount_propagation_read(const char *word, uint64_t *ret_propagation, enum mount_depth *ret_depth)
{
    *ret_propagation = 0;
    *ret_depth = MOUNT_ONE;
    if (!word || !*word)
        return NULL;
    bool recursive = false;
    const struct word *w = find_word(word, &recursive);
    if (!w || w->act != ACT_PROPAGATION)
        return err_new(ERR_INVALID,
                       "rootfsPropagation: '%s' is none of shared, slave, private, unbindable and their r-forms", word);
    *ret_propagation = w->value;
    *ret_depth = recursive ? MOUNT_RECURSIVE : MOUNT_ONE;
    return NULL;
}
