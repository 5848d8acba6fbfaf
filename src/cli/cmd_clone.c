/*
 * husk container clone: another container like one that there is.
 * Compatible with: podman container clone.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/limit_options.h"
#include "engine/clone.h"

struct clone_opts {
    struct create_options create;
    bool destroy, force, run;
};

#define T struct clone_opts
static const struct opt clone_options[] = {
    OPT_STR(0, "name", T, create.name, "NAME", "Its name (default: the other's with -clone)"),
    OPT_FLAG(0, "run", T, run, "Start it"),
    OPT_FLAG(0, "destroy", T, destroy, "Remove the other one"),
    OPT_FLAG('f', "force", T, force, "With --destroy: also when it runs"),
    OPT_STR(0, "pod", T, create.pod, "POD", "Refused: see `husk create --pod`"),
    OPT_GROUP("Other limits than the other's"),
    LIMIT_OPTIONS(T),
    OPT_END,
};
#undef T

static fallible clone_run(const void *opts_, struct args args)
{
    const struct clone_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *from = NULL, *c = NULL;
    own_mem char *name = NULL;
    struct removal would = { 0 };
    struct create_options create = o->create;
    if (create.pod)
        return err_new(ERR_UNSUPPORTED,
                       "--pod: a clone of a pod's container is in that pod: for another one say "
                       "`husk create --pod %s`",
                       create.pod);
    if (args.n > 1 && create.name)
        return err_new(ERR_INVALID, "its name twice: '%s' and --name '%s'", args.v[1], create.name);
    if (o->force && !o->destroy)
        return err_new(ERR_INVALID, "--force: it is for --destroy");
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &from));
    if (o->destroy) /* what forbids it is said before anything is made */
        TRY_AS(container_removal(from, o->force, false, &would), "--destroy");
    strv_free(&would.volumes);
    if (args.n > 1)
        create.name = args.v[1];
    if (!create.name) {
        TRY(clone_name(engine, from->row.name, &name));
        create.name = name;
    }
    create.clone_of = from;
    TRY(container_create(engine, &create, args.v + 2, args.n > 2 ? 1 : 0, &c));
    container_keep(c);
    if (o->destroy)
        TRY_AS(container_remove(from, &(struct remove_options){ .force = o->force }), "--destroy");
    container_unlock(c);
    if (o->run)
        TRY(container_start(c, NULL));
    printf("%s\n", c->row.id);
    return NULL;
}

const struct command cmd_container_clone = {
    .name = "clone",
    .args = "CONTAINER [NAME [IMAGE]]",
    .summary = "Make another container like one that there is",
    .detail =
        "It has the other's configuration, named volumes, networks and published ports, and begins with its image's\n"
        "files (of IMAGE, where that is given): what the other wrote stays there. Anonymous volumes are made anew,\n"
        "fixed addresses are left out, since only one can have them.",
    .opts = clone_options,
    .opts_size = sizeof(struct clone_opts),
    .min_args = 1,
    .max_args = 3,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 125,
    .run = clone_run,
};
