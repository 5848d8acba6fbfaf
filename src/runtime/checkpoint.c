// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/criu.h"
#include "runtime/dump.h"

static fallible add_outside(const struct runtime_state *s, bool anew, struct str *o)
{
    uint64_t left = s->joined | (anew ? s->namespaces & CLONE_NEWNET : 0);
    for (size_t i = 0; i < ARRAY_SIZE(dump_outside); i++) {
        char path[48];
        struct stat st;
        if (!(left & dump_outside[i].flag))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)s->init.pid, dump_outside[i].file);
        if (stat(path, &st) < 0)
            return err_sys(errno, "look at '%s'", path);
        own_mem char *text =
            mem_printf("%s[%llu]:%s", dump_outside[i].file, (unsigned long long)st.st_ino, dump_outside[i].key);
        criu_text(o, CRIU_EXTERNAL, text);
    }
    return NULL;
}

/* Who is frozen cannot be stopped one by one, as CRIU does otherwise: it is told of the freezer, and leaves what it
 * lets live as it was. containerd pauses before each checkpoint. */
static fallible add_freezer(const struct runtime_state *s, struct str *o)
{
    own(cgroup) struct cgroup *g = NULL;
    const char *name = NULL, *dir = NULL, *freezer = NULL;
    bool v2 = false;
    TRY(state_cgroup(s, &g));
    for (size_t i = 0; g && cgroup_dir(g, i, &name, &dir, &v2); i++)
        if (v2 || (str_eq(name, "freezer") && !freezer))
            freezer = dir;
    criu_text(o, CRIU_FREEZE_CGROUP, freezer);
    return NULL;
}

static err *told_of_dump(void *ctx, const struct criu_answer *a, int fd)
{
    const struct runtime_criu *how = ctx;
    return str_eq(a->script, "post-dump") && how->written ? how->written(how->ctx) : NULL;
}

fallible runtime_checkpoint(const char *state_dir, const struct runtime_criu *how)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own_fd int dir = -1;
    own_fd int lock = -1;
    own_str struct str o = { 0 };
    struct criu_answer answer = { 0 };
    TRY(state_open_locked(state_dir, &s, &dir, &lock));
    if (s->status != RUNTIME_RUNNING && s->status != RUNTIME_PAUSED)
        return err_new(ERR_CONFLICT, "cannot checkpoint container '%s': it is %s", s->id,
                       runtime_status_word(s->status));
    if (s->shares_mounts)
        return err_new(ERR_UNSUPPORTED, "cannot checkpoint container '%s': its mount namespace is another's", s->id);
    if (geteuid() != 0)
        return err_new(ERR_DENIED, "cannot checkpoint container '%s': CRIU needs root", s->id);
    TRY(dump_add_options(how, DUMP_LOG, &o));
    TRY(add_outside(s, how->anew, &o));
    if (s->status == RUNTIME_PAUSED)
        TRY(add_freezer(s, &o));
    TRY(dump_keep_descriptors(s, how->anew, how->images_fd, &o));
    if (how->anew)
        TRY(dump_keep_rights(s->init.pid, how->images_fd));
    criu_number(&o, CRIU_PID, (uint64_t)s->init.pid);
    const struct criu_call c = {
        .program = how->program ? how->program : "criu",
        .type = how->pre_dump ? CRIU_PRE_DUMP : CRIU_DUMP,
        .options = &o,
        .work_fd = how->work_fd,
        .log = DUMP_LOG,
        .notify = told_of_dump,
        .ctx = (void *)(uintptr_t)how,
    };
    return criu_run(&c, &answer);
}
