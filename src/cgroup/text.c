// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A group as one text: its path, then a line "2|1 MOUNT CONTROLLER,..." per hierarchy, parts separated by tabs, which
 * the kernel writes in mountinfo as "\011" (and cgroups(7) forbids in paths of ours).
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/group.h"

char *cgroup_text(const struct cgroup *g)
{
    own_str struct str out = { 0 };
    bool alone = g->n == 1 && g->parts[0].v2;
    str_printf(&out, "%s%s\n", alone ? "=" : "", g->path);
    for (size_t i = 0; i < g->n; i++) {
        const struct part *p = &g->parts[i];
        str_printf(&out, "%d\t%s\t", p->v2 ? 2 : 1, p->mount);
        for (size_t k = 0; k < p->controllers.n; k++)
            str_printf(&out, k ? ",%s" : "%s", p->controllers.items[k]);
        str_add_char(&out, '\n');
    }
    return str_take(&out);
}

static fallible add_part(struct cgroup *g, bool alone, char *line)
{
    char *mount = strchr(line, '\t'), *controllers = mount ? strchr(mount + 1, '\t') : NULL;
    if (!controllers || mount[1] != '/')
        return err_new(ERR_INVALID, "'%s' is no line of a control group's text", line);
    *mount++ = '\0';
    *controllers++ = '\0';
    struct part p = { .mount = mem_strdup(mount), .v2 = *line == '2', .dir = mem_printf("%s%s", mount, g->path) };
    p.name = mem_strdup(alone ? "" : strrchr(mount, '/') + 1);
    strv_split(&p.controllers, controllers, ',');
    g->parts[g->n++] = p;
    return NULL;
}

fallible cgroup_of_text(const char *text, struct cgroup **ret)
{
    own(cgroup) struct cgroup *g = mem_zalloc(sizeof *g);
    own_strv struct strv lines = { 0 };
    bool alone = *text == '=';
    g->v2_fd = -1;
    strv_split(&lines, text + alone, '\n');
    if (lines.n == 0 || *lines.items[0] != '/')
        return err_new(ERR_INVALID, "a control group's text without a path");
    g->path = mem_strdup(lines.items[0]);
    g->parts = mem_array(NULL, lines.n, sizeof *g->parts);
    for (size_t i = 1; i < lines.n; i++)
        if (*lines.items[i])
            TRY(add_part(g, alone, lines.items[i]));
    group_look(g);
    *ret = take(g);
    return NULL;
}

bool cgroup_text_frozen(const char *text, bool *ret)
{
    char path[PATH_MAX], events[256];
    text += *text == '=';
    size_t n = strcspn(text, "\n");
    const char *line = text + n;
    while (*line == '\n' && line[1] != '2')
        line += 1 + strcspn(line + 1, "\n");
    if (*text != '/' || !*line || line[2] != '\t')
        return false;
    line += 3;
    int len = snprintf(path, sizeof path, "%.*s%.*s/cgroup.events", (int)strcspn(line, "\t"), line, (int)n, text);
    own_fd int fd = len < (int)sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t got = fd < 0 ? -1 : read(fd, events, sizeof events - 1);
    if (got <= 0)
        return false;
    events[got] = '\0';
    *ret = strstr(events, "frozen 1") != NULL;
    return true;
}
