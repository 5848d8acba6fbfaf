/*
 * husk-oci exec: run another program in a container.
 * Compatible with: runc exec.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <unistd.h>

#include "oci/oci.h"
#include "oci/template.h"
#include "os/fs.h"
#include "os/proc.h"
#include "process/program.h"

struct exec_opts {
    const char *console_socket, *cwd, *user, *process, *pid_file, *process_label, *apparmor, *pidfd_socket;
    struct strv env, cap, additional_gids, cgroup;
    struct opt_i64 preserve_fds;
    bool tty, detach, no_new_privs, ignore_paused;
};

#define T struct exec_opts
static const struct opt exec_options[] = {
    OPT_STR(0, "console-socket", T, console_socket, "PATH", "Send the terminal's master to this unix socket"),
    OPT_STR(0, "cwd", T, cwd, "DIR", "Working directory in the container"),
    OPT_STRS('e', "env", T, env, "NAME=VALUE", "Add to the environment"),
    OPT_FLAG('t', "tty", T, tty, "With a terminal"),
    OPT_STR('u', "user", T, user, "UID[:GID]", "Run as this user and group"),
    OPT_STRS('g', "additional-gids", T, additional_gids, "GID", "One more group"),
    OPT_STR('p', "process", T, process, "FILE", "Read the process object from FILE"),
    OPT_FLAG('d', "detach", T, detach, "Do not wait for the program"),
    OPT_STR(0, "pid-file", T, pid_file, "FILE", "Write the program's pid to FILE"),
    OPT_STR(0, "process-label", T, process_label, "LABEL", "SELinux label"),
    OPT_STR(0, "apparmor", T, apparmor, "PROFILE", "AppArmor profile"),
    OPT_FLAG(0, "no-new-privs", T, no_new_privs, "Set no_new_privs"),
    OPT_STRS('c', "cap", T, cap, "CAPABILITY", "One more capability"),
    OPT_I64(0, "preserve-fds", T, preserve_fds, "N", "Pass N more descriptors on, from 3"),
    OPT_STRS(0, "cgroup", T, cgroup, "[CONTROLLER:]GROUP", "Start it in a control group below the container's"),
    OPT_FLAG(0, "ignore-paused", T, ignore_paused, "In a paused container, too: it starts when that is resumed"),
    OPT_STR(0, "pidfd-socket", T, pidfd_socket, "PATH", "Send the program's pidfd to this unix socket"),
    OPT_END,
};
#undef T

/* Digits and nothing else: a name or "0x1" must not become somebody else. */
static fallible read_id(const char *text, size_t len, uint32_t *ret)
{
    uint64_t id = 0;
    own_mem char *digits = mem_strndup(text, len);
    if (!len || strspn(digits, "0123456789") != len)
        return err_new(ERR_INVALID, "'%s' is not a number", digits);
    TRY(parse_u64(digits, UINT32_MAX - 1, &id));
    *ret = (uint32_t)id;
    return NULL;
}

static fallible read_user(const char *text, struct oci_user *user)
{
    size_t n = strcspn(text, ":");
    TRY_AS(read_id(text, n, &user->uid), "--user");
    if (text[n])
        TRY_AS(read_id(text + n + 1, strlen(text + n + 1), &user->gid), "--user");
    return NULL;
}

static fallible add_groups(const struct strv *gids, struct oci_user *user)
{
    for (size_t i = 0; i < gids->n; i++) {
        uint32_t gid = 0;
        TRY_AS(read_id(gids->items[i], strlen(gids->items[i]), &gid), "--additional-gids");
        if (!user->additional_gids)
            user->additional_gids = json_array();
        json_array_append_new(user->additional_gids, json_integer(gid));
    }
    return NULL;
}

static void replace(char **field, const char *with)
{
    if (!with)
        return;
    free(*field);
    *field = mem_strdup(with);
}

static fallible add_caps(const struct strv *caps, struct oci_process *p)
{
    if (!p->capabilities)
        p->capabilities = mem_zalloc(sizeof *p->capabilities);
    for (size_t i = 0; i < caps->n; i++) {
        int number = 0;
        TRY_AS(capability_parse(caps->items[i], &number), "--cap");
        strv_add(&p->capabilities->bounding, capability_name(number));
        strv_add(&p->capabilities->effective, capability_name(number));
        strv_add(&p->capabilities->permitted, capability_name(number));
    }
    return NULL;
}

/* The container's own process, changed by the options. */
static fallible change_process(const struct exec_opts *o, struct args args, struct oci_process *p)
{
    if (!p->user)
        p->user = mem_zalloc(sizeof *p->user);
    strv_free(&p->args);
    strv_copy(&p->args, args.v, (size_t)args.n);
    p->terminal = o->tty;
    if (p->capabilities) { /* nobody asked for them: CVE-2022-27650 */
        strv_free(&p->capabilities->inheritable);
        strv_free(&p->capabilities->ambient);
    }
    for (size_t i = 0; i < o->env.n; i++)
        strv_setenv(&p->env, o->env.items[i]);
    if (o->user)
        TRY(read_user(o->user, p->user));
    TRY(add_groups(&o->additional_gids, p->user));
    if (o->cap.n)
        TRY(add_caps(&o->cap, p));
    replace(&p->cwd, o->cwd);
    replace(&p->selinux_label, o->process_label);
    replace(&p->apparmor_profile, o->apparmor);
    p->no_new_privileges |= o->no_new_privs;
    return NULL;
}

static fallible read_process_file(const char *path, struct oci_process **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    void *read = NULL;
    TRY_AS(fs_read_at(AT_FDCWD, path, 16 << 20, &text, &len), "--process");
    TRY_AS(bind_read(&oci_process_type, text, len, &read), "--process '%s'", path);
    *ret = read;
    return NULL;
}

static fallible find_process(const struct exec_opts *o, struct args args, struct oci_spec *spec)
{
    if (!o->process && args.n < 2)
        return err_new(ERR_INVALID, "which program? Give its name and arguments, or --process");
    if (!o->process)
        return change_process(o, (struct args){ args.v + 1, args.n - 1 }, spec->process);
    struct oci_process *p = NULL;
    TRY(read_process_file(o->process, &p));
    if (!p->capabilities && spec->process) { /* not said: the container's, as under runc and crun */
        p->capabilities = spec->process->capabilities;
        spec->process->capabilities = NULL;
    }
    bind_free(&oci_process_type, spec->process);
    spec->process = p;
    spec->process->terminal |= o->tty;
    return NULL;
}

static fallible exec_run(const void *opts_, struct args args)
{
    const struct exec_opts *o = opts_;
    own(template) struct template t = { 0 };
    own_mem char *dir = NULL;
    own_fd int console = -1;
    own_fd int master = -1;
    struct runtime_created made;
    int preserve = 0;
    TRY(oci_check_preserved(o->preserve_fds, &preserve));
    TRY(oci_state_dir(args.v[0], &dir));
    TRY(template_find(dir, &t));
    TRY(find_process(o, args, t.spec));
    const struct oci_spec *spec = t.spec;
    if (spec->process->terminal && o->detach && !o->console_socket)
        return err_new(ERR_INVALID, "--detach with a terminal needs --console-socket");
    if (o->console_socket)
        TRY(oci_connect_console(o->console_socket, &console));
    own_mem char *cache = oci_seccomp_cache(dir);
    const struct runtime_exec x = {
        .state_dir = dir,
        .process = spec->process,
        .seccomp = spec->linux_ ? spec->linux_->seccomp : NULL,
        .filter = t.filtered ? &t.filter : NULL,
        .personality = spec->linux_ ? spec->linux_->personality : NULL,
        .memory_policy = spec->linux_ ? spec->linux_->memory_policy : NULL,
        .seccomp_cache_dir = cache,
        .stdio = { -1, -1, -1 },
        .console_sock = console,
        .ret_console_fd = &master,
        .preserve_fds = preserve,
        .cgroups = &o->cgroup,
        .ignore_paused = o->ignore_paused,
        .new_session = true,
    };
    TRY(runtime_exec(&x, &made));
    err *e = oci_send_pidfd(o->pidfd_socket, made.pidfd);
    if (!e)
        e = oci_write_pid_file(o->pid_file, made.init.pid);
    if (!e && !o->detach)
        e = oci_foreground(made.pidfd, master);
    runtime_created_clear(&made);
    return e;
}

const struct command oci_cmd_exec = {
    .name = "exec",
    .args = "ID [COMMAND [ARG...]]",
    .summary = "Run another program in a container",
    .opts = exec_options,
    .opts_size = sizeof(struct exec_opts),
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .fail_exit = 255,
    .run = exec_run,
};
