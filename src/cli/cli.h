/*
 * cli.h: the commands of husk, and what several of them share.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_CLI_H
#define HUSK_CLI_CLI_H

#include "base/opt.h"
#include "engine/container.h"
#include "engine/select.h"
#include "engine/trash.h"

extern const struct command cmd_run, cmd_create, cmd_start, cmd_stop, cmd_restart, cmd_kill, cmd_rm, cmd_rename,
    cmd_wait, cmd_pause, cmd_unpause, cmd_update, cmd_port, cmd_top, cmd_cp, cmd_diff, cmd_export, cmd_stats,
    cmd_events, cmd_commit, cmd_unshare, cmd_ps, cmd_inspect, cmd_logs, cmd_exec, cmd_attach, cmd_images, cmd_rmi,
    cmd_tag, cmd_image, cmd_history, cmd_explain, cmd_info, cmd_version, cmd_system, cmd_volume, cmd_network,
    cmd_container, cmd_container_cleanup, cmd_container_restart, cmd_healthcheck, cmd_health_probe, cmd_network_names,
    cmd_network_leases, cmd_why, cmd_autostart;
extern const struct command cmd_completion, cmd_init, cmd_system_reset, cmd_undo, cmd_trash, cmd_untag;
extern const struct command cmd_mount, cmd_umount, cmd_unmount;
extern const struct command cmd_image_mount, cmd_image_umount, cmd_image_unmount;
/* The same under the name that they have below `husk container` and `husk image`. */
extern const struct command cmd_checkpoint, cmd_container_checkpoint, cmd_container_restore, cmd_container_runlabel,
    cmd_container_ls, cmd_container_prune, cmd_image_ls, cmd_image_rm, cmd_image_inspect, cmd_image_prune,
    cmd_system_df, cmd_system_prune, cmd_container_inspect, cmd_container_clone;

/* Below `husk image`, carried out by husk-image; NULL-terminated. */
extern const struct command *const image_program_commands[];

/**
 * global_take - the options before the command, taken out of argv.
 * Answers true when that was all: they are wrong, or --version; then *ret_status is the exit status.
 */
bool global_take(int *argc, char ***argv, int *ret_status);
/* Their part of `husk --help`. */
void global_help(void);

/* Attaches this terminal to a started container until it ends; --rm is done here. Answers err_exit(its code). */
struct attach_wish {
    bool stdin_open, no_stdout, no_stderr, no_sig_proxy;
    bool logs; /* its log first */
    const char *detach_keys;
};
fallible attach_and_leave(struct container *c, int sock, const struct attach_wish *wish);

/* Runs fn on each container that is named; names are printed as they were given when it went well. */
typedef err *container_fn(struct container *c, const void *ctx);
fallible each_container(const char *command, struct args args, container_fn *fn, const void *ctx);

/* The same for commands that may say --all, --latest, --filter, --cidfile and --ignore instead. */
fallible each_selected(const char *command, const struct container_selection *selection, enum select_among among,
                       struct args args, container_fn *fn, const void *ctx);
/* And all of them at the same time: for what waits. fn prints nothing. */
fallible each_selected_at_once(const char *command, const struct container_selection *selection,
                               enum select_among among, struct args args, container_fn *fn, const void *ctx);
/* The same when the names are known; quietly: they are not printed. */
fallible each_at_once(const char *command, struct args args, container_fn *fn, const void *ctx, bool quietly);
/* Rows for it; the letters of --all and --filter are not free in every command. */
#define SELECT_OPTIONS(T, all_letter, all_help, filter_letter)                                                         \
    OPT_FLAG(all_letter, "all", T, select.all, all_help),                                                              \
        OPT_FLAG('l', "latest", T, select.latest, "The one that was made last"),                                       \
        OPT_STRS(filter_letter, "filter", T, select.filter, "KEY=VALUE", "Those that `husk ps --filter` shows"),       \
        OPT_STRS(0, "cidfile", T, select.cidfile, "FILE", "The one whose ID is in a file"),                            \
        OPT_FLAG('i', "ignore", T, select.ignore, "A name that nobody has is no error")
/* For commands that remove. */
#define TRASH_OPTION(T)                                                                                                \
    OPT_FLAG(0, "no-trash", T, no_trash, "Delete at once, which makes the room now: `husk undo` cannot bring it back")
/* After trash_end() of a prune, on standard error: what it counted is not free while the trash keeps it. */
void say_kept(const struct trash *t);
/* For commands about one container: the newest one's ID with --latest, else NULL and there is an argument. */
fallible only_one(struct engine *e, bool latest, struct args *args, char **ret_latest);

extern const struct command cmd_secret, cmd_debug, cmd_pod;
/* The last six bytes of an ID are for machines: 12 digits for people. */
#define SHORT_ID "%.12s"
enum { SHORT_ID_N = 12 };

/* The commands of `husk image` that husk-look carries out; NULL-terminated. */
extern const char *const image_trust_words[];
extern const char *const image_look_words[];
/* Runs libexec/husk/NAME in our place; answers only when that cannot be. */
fallible exec_program(const char *name, char *const *argv);

/* The names of a container's networks, or the mode that it has instead; caller frees. */
char *container_networks_text(struct container *c);

/* "2 hours ago" of a time since the epoch; "" for 0. */
const char *ago(int64_t ns, char buf[96]);

#endif
