/*
 * husk-oci list, ps: what is there.
 * Compatible with: runc list, runc ps.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "oci/oci.h"
#include "os/ids.h"
#include "os/proc.h"

struct list_opts {
    const char *format;
    bool quiet;
};
#define T struct list_opts
static const struct opt list_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "table or json (default table)",
            .words = (const char *const[]){ "table", "json", NULL }),
    OPT_FLAG('q', "quiet", T, quiet, "Ids only"),
    OPT_END,
};
#undef T

static void print_row(const struct runtime_state *s, const char *owner)
{
    char created[40];
    printf("%-11s %-11d %-11s %-15s %-30s %s\n", s->id, s->status == RUNTIME_STOPPED ? 0 : (int)s->init.pid,
           runtime_status_word(s->status), s->bundle ? s->bundle : "", format_time_ns(s->created_ns, created), owner);
}

static json_t *row_json(const struct runtime_state *s, const char *owner)
{
    char created[40];
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s}", "ociVersion", OCI_RUNTIME_VERSION, "id", s->id, "pid",
                     s->status == RUNTIME_STOPPED ? 0 : (int)s->init.pid, "status", runtime_status_word(s->status),
                     "bundle", s->bundle ? s->bundle : "", "rootfs", s->rootfs ? s->rootfs : "", "created",
                     format_time_ns(s->created_ns, created), "owner", owner);
}

static void list_one(const struct list_opts *o, const char *root, const char *id, json_t *all)
{
    own(runtime_state) struct runtime_state *s = NULL;
    struct stat st;
    own_mem char *dir = mem_printf("%s/%s", root, id);
    err *e = stat(dir, &st) < 0 ? err_sys(errno, "look at '%s'", dir) : runtime_state_read(dir, &s);
    if (e) {
        log_warn("container '%s': %s", id, err_text(e));
        err_free(e);
        return;
    }
    own_mem char *name = ids_user_name(st.st_uid);
    own_mem char *owner = name ? mem_strdup(name) : mem_printf("#%u", st.st_uid);
    if (o->quiet)
        printf("%s\n", s->id);
    else if (str_eq(o->format, "json"))
        json_array_append_new(all, row_json(s, owner));
    else
        print_row(s, owner);
}

static fallible list_run(const void *opts, struct args args)
{
    (void)args;
    const struct list_opts *o = opts;
    own_mem char *root = NULL;
    own_json json_t *all = json_array();
    TRY(oci_root(&root));
    own_dir DIR *dir = opendir(root);
    if (!dir && errno != ENOENT)
        return err_sys(errno, "read '%s'", root);
    if (!o->quiet && !str_eq(o->format, "json"))
        printf("%-11s %-11s %-11s %-15s %-30s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            list_one(o, root, entry->d_name, all);
    if (!o->quiet && str_eq(o->format, "json")) {
        own_mem char *text = json_text(all, BIND_COMPACT);
        printf("%s\n", text);
    }
    return NULL;
}

struct ps_opts {
    const char *format;
};
#define T struct ps_opts
static const struct opt ps_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "table or json (default table)",
            .words = (const char *const[]){ "table", "json", NULL }),
    OPT_END,
};
#undef T

static bool in_list(const pid_t *pids, size_t n, long pid)
{
    for (size_t i = 0; i < n; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* The line's word under the heading PID. */
static long pid_of_line(const char *line, size_t column)
{
    for (size_t i = 0; i < column; i++) {
        line += strspn(line, " ");
        line += strcspn(line, " ");
    }
    return strtol(line, NULL, 10);
}

/* ps(1) prints everybody; the lines of the container's processes are kept. */
static fallible print_table(struct args args, const pid_t *pids, size_t n)
{
    own_strv struct strv argv = { 0 };
    own_strv struct strv lines = { 0 };
    own_mem char *text = NULL;
    strv_add(&argv, "ps");
    for (int i = 1; i < args.n; i++)
        strv_add(&argv, args.v[i]);
    if (args.n < 2)
        strv_add(&argv, "-ef");
    TRY(spawn_output(argv.items, 64 << 20, &text));
    strv_split(&lines, text, '\n');
    if (!lines.n)
        return NULL;
    size_t column = 0;
    own_strv struct strv head = { 0 };
    own_strv struct strv words = { 0 };
    strv_split(&head, lines.items[0], ' ');
    for (size_t i = 0; i < head.n; i++)
        if (*head.items[i])
            strv_add(&words, head.items[i]);
    while (column < words.n && !str_eq(words.items[column], "PID"))
        column++;
    if (column == words.n)
        return err_new(ERR_INVALID, "ps: the options given print no PID column");
    printf("%s\n", lines.items[0]);
    for (size_t i = 1; i < lines.n; i++)
        if (*lines.items[i] && in_list(pids, n, pid_of_line(lines.items[i], column)))
            printf("%s\n", lines.items[i]);
    return NULL;
}

static fallible ps_run(const void *opts, struct args args)
{
    const struct ps_opts *o = opts;
    own_mem char *dir = NULL;
    own_mem pid_t *pids = NULL;
    size_t n = 0;
    TRY(oci_state_dir(args.v[0], &dir));
    TRY(runtime_pids(dir, &pids, &n));
    if (!str_eq(o->format, "json"))
        return print_table(args, pids, n);
    own_json json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, json_integer(pids[i]));
    own_mem char *text = json_text(all, BIND_COMPACT);
    printf("%s\n", text);
    return NULL;
}

const struct command oci_cmd_list = {
    .name = "list",
    .args = "",
    .summary = "List containers",
    .opts = list_options,
    .opts_size = sizeof(struct list_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = list_run,
};
const struct command oci_cmd_ps = {
    .name = "ps",
    .args = "ID [PS-OPTION...]",
    .summary = "List a container's processes",
    .opts = ps_options,
    .opts_size = sizeof(struct ps_opts),
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .fail_exit = 1,
    .run = ps_run,
};
