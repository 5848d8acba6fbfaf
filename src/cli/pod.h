/*
 * pod.h: what the files of `husk pod` share.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_POD_H
#define HUSK_CLI_POD_H

#include "cli/cli.h"
#include "codec/bind.h"
#include "engine/pod.h"

extern const struct command cmd_pod_clone, cmd_pod_create, cmd_pod_ps, cmd_pod_ls, cmd_pod_inspect, cmd_pod_logs,
    cmd_pod_top, cmd_pod_stats;

/* Which pods a command is about. */
struct pod_selection {
    bool all, latest, ignore;
    struct strv id_file;
};
#define POD_SELECT(T, all_help)                                                                                        \
    OPT_FLAG('a', "all", T, select.all, all_help),                                                                     \
        OPT_FLAG('l', "latest", T, select.latest, "The one that was made last")
#define POD_SELECT_FILE(T) OPT_STRS(0, "pod-id-file", T, select.id_file, "FILE", "The one whose ID is in a file")
/* IDs and names; INVALID when nothing was said. */
fallible pod_select(struct engine *e, const struct pod_selection *s, struct args args, struct strv *ret);
/* What `ps` and `inspect` see of one: its containers, and their IDs, names and states. whole: the IDs are not cut. */
struct pod_look {
    struct pod_members m;
    struct strv ids, names, states;
};
void pod_look_clear(struct pod_look *l);
static inline void own_drop_pod_look(struct pod_look *l)
{
    pod_look_clear(l);
}
fallible pod_look_at(const struct pod *p, bool whole, struct pod_look *ret);
/* What `inspect` shows of one, in podman's shape. */
fallible pod_inspect(const struct pod *p, json_t **ret);
/* The containers of the pods that are named, without those that hold namespaces. */
fallible pod_container_ids(struct engine *e, const struct strv *pods, bool running, struct strv *ret);
/* Removes one of which nothing runs, with its containers; ret_members gets their IDs and ret_bytes what they take. */
struct trash;
fallible pod_prune_one(struct pod *p, bool dry_run, struct trash *trash, struct strv *ret_members, uint64_t *ret_bytes,
                       bool *ret_gone);

#endif
