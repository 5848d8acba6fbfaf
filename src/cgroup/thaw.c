// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/group.h"
#include "os/fs.h"

/*
 * What the payload froze by itself in v1's freezer, at any depth: there even SIGKILL waits until it is thawed, and a
 * group that is thawed leaves those below as they are. With one descriptor and by "..", as remove_below() in group.c.
 */
struct level {
    struct strv names; /* of the directories in it */
    size_t next;
};
struct walk {
    int at;
    struct level *levels;
    size_t n;
};

static void own_drop_walk(struct walk *w)
{
    close_now(&w->at);
    for (size_t i = 0; i < w->n; i++)
        strv_free(&w->levels[i].names);
    free(w->levels);
}

static void enter(struct walk *w, int fd)
{
    struct level here = { 0 };
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (copy >= 0 && !list)
        (void)close(copy);
    err_ignore(fs_write_at(fd, "freezer.state", "THAWED"), "it was just removed");
    for (struct dirent *entry; list && (entry = readdir(list));)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            strv_add(&here.names, entry->d_name);
    w->levels = mem_array(w->levels, w->n + 1, sizeof *w->levels);
    w->levels[w->n++] = here;
    close_now(&w->at);
    w->at = fd;
}

static bool leave(struct walk *w)
{
    strv_free(&w->levels[--w->n].names);
    int up = w->n ? openat(w->at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (up < 0)
        return false;
    close_now(&w->at);
    w->at = up;
    return true;
}

static const char *next_child(struct walk *w)
{
    struct level *l = &w->levels[w->n - 1];
    return l->next < l->names.n ? l->names.items[l->next++] : NULL;
}

void cgroup_thaw_v1(const struct cgroup *g)
{
    own(walk) struct walk w = { .at = -1 };
    const struct part *p = group_part(g, "freezer");
    int fd = p && p->there && !p->v2 ? open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    enter(&w, fd);
    do {
        const char *child;
        while ((child = next_child(&w)))
            if ((fd = openat(w.at, child, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) >= 0)
                enter(&w, fd);
    } while (leave(&w));
}
