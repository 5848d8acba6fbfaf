/*
 * husk system reset: back to a store with nothing in it.
 * Compatible with: podman system reset.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/network.h"
#include "engine/pod.h"
#include "engine/volume.h"
#include "os/proc.h"

struct reset_opts {
    bool force;
};

#define T struct reset_opts
static const struct opt reset_options[] = {
    OPT_FLAG('f', "force", T, force, "Do not ask"),
    OPT_END,
};
#undef T

/* What husk makes there, and nothing else: somebody's own file beside it, or a root that was said wrongly, stays. */
static const char *const in_root[] = { "containers", "volumes",    "trash",      "secrets",     "build",
                                       "merged",     "layers",     "blobs",      "trust",       "mountpoints",
                                       "tmp",        "index.json", "oci-layout", "index.lock",  "lock",
                                       "extents",    "room",       "husk.db",    "husk.db-shm", "husk.db-wal" };
static const char *const in_run[] = { "pods",           "seccomp", "images",   "storage",
                                      "storage.shifts", "events",  "events.1", "hint.network" };

static fallible ask(const struct engine *e)
{
    char answer[16] = "";
    if (!isatty(STDIN_FILENO))
        return err_new(ERR_INVALID,
                       "it removes all containers, pods, images, volumes, networks and secrets in '%s': "
                       "say --force, since nobody is there to be asked",
                       e->root);
    printf("This removes all containers, pods, images, volumes, networks and secrets in '%s'.\nFor good? [y/N] ",
           e->root);
    (void)fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
        return NULL;
    return err_new(ERR_CANCELLED, "nothing was removed");
}

/* Another husk may have been faster. */
static fallible gone_is_fine(err *take_e)
{
    if (!err_is(take_e, ERR_NOT_FOUND))
        return take_e;
    err_free(take_e);
    return NULL;
}

static fallible remove_pods(struct engine *e)
{
    own(pod_list) struct pod_list list = { 0 };
    TRY(pod_list(e, &list));
    for (size_t i = 0; i < list.n; i++)
        TRY(gone_is_fine(pod_remove(list.items[i], &(struct remove_options){ .force = true })));
    return NULL;
}

static fallible remove_containers(struct engine *e)
{
    struct container_list list = { 0 };
    err *failed = NULL;
    TRY(container_list(e, &(struct list_options){ .all = true }, &list));
    for (size_t i = 0; i < list.n && !failed; i++)
        failed =
            gone_is_fine(container_remove(list.items[i], &(struct remove_options){ .force = true, .volumes = true }));
    container_list_clear(&list);
    return failed;
}

/* What is mounted, or is in an ordinary user's network namespace, goes by commands of ours that know how. */
static fallible run_self(const char *const *words)
{
    own_mem char *self = NULL;
    own_strv struct strv argv = { 0 };
    int status = 0;
    TRY(self_path(&self));
    strv_add(&argv, self);
    for (size_t i = 0; words[i]; i++)
        strv_add(&argv, words[i]);
    struct spawn s = { .argv = argv.items, .stdin_fd = -1, .stdout_fd = STDERR_FILENO, .stderr_fd = STDERR_FILENO };
    TRY(spawn_wait(&s, &status));
    return proc_exit_code(status) ? err_exit(1) : NULL; /* it has said why */
}

static fallible remove_networks(struct engine *e)
{
    struct network_list list = { 0 };
    err *failed = NULL;
    TRY(network_list(e, &list));
    for (size_t i = 0; i < list.n && !failed; i++)
        failed =
            run_self((const char *const[]){ "network", "rm", "--force", "--no-trash", list.items[i]->row.name, NULL });
    network_list_clear(&list);
    return failed;
}

static fallible remove_files(const char *dir, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        own_mem char *path = mem_printf("%s/%s", dir, names[i]);
        if (unlink(path) == 0 || errno == ENOENT)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return err_sys(errno, "remove '%s'", path);
        TRY(engine_remove_tree(path));
    }
    return NULL;
}

static fallible remove_what_lives(struct engine *e)
{
    own_strv struct strv removed = { 0 };
    uint64_t bytes = 0;
    TRY(remove_pods(e));
    TRY(remove_containers(e));
    TRY(run_self((const char *const[]){ "unmount", "--all", NULL }));
    if (geteuid() == 0) /* an ordinary user mounts them inside `husk unshare` alone, where he is root */
        TRY(run_self((const char *const[]){ "image", "unmount", "--all", NULL }));
    TRY(volume_prune(e, &(struct volume_prune_options){ .all = true }, &removed, &bytes)); /* unmounts those that are */
    return remove_networks(e);
}

static fallible reset_run(const void *opts_, struct args args)
{
    const struct reset_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    if (!o->force)
        TRY(ask(engine));
    TRY(remove_what_lives(engine));
    own_mem char *root = mem_strdup(engine->root), *run = mem_strdup(engine->run);
    engine_free(take(engine)); /* the database is closed before its files go */
    TRY(remove_files(root, in_root, ARRAY_SIZE(in_root)));
    return remove_files(run, in_run, ARRAY_SIZE(in_run));
}

const struct command cmd_system_reset = {
    .name = "reset",
    .summary = "Remove all that husk keeps: containers, pods, images, volumes, networks, secrets",
    .detail = "Of this store (--root) and of the user who says it, with the trash: `husk undo` brings nothing back. "
              "Settings, "
              "credentials and what `husk autostart install` wrote stay.",
    .opts = reset_options,
    .opts_size = sizeof(struct reset_opts),
    .max_args = 0,
    .fail_exit = 125,
    .run = reset_run,
};
