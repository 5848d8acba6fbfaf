// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "monitor/attach.h"
#include "os/fs.h"

enum { CONFIG_MAX = 16 << 20, EXEC_WORDS_MAX = 512 /* escaped it is shorter than EVENT_MAX */ };

fallible container_spec(struct container *c, struct oci_spec **ret)
{
    const char *dir;
    TRY(container_record_dir(c, &dir));
    own_mem char *path = mem_printf("%s/config.json", dir), *text = NULL;
    size_t len;
    TRY(fs_read_at(AT_FDCWD, path, CONFIG_MAX, &text, &len));
    return oci_spec_read(text, len, ret);
}

static fallible must_run(const struct container *c)
{
    struct container_state s = { 0 };
    TRY(container_state(c, &s));
    enum container_status status = s.status;
    bool waits = s.waits;
    container_state_clear(&s);
    if (waits)
        return err_new(ERR_CONFLICT, "container '%s' is only initialized: husk start %s starts it", c->row.name,
                       c->row.name);
    if (status == CONTAINER_PAUSED)
        return err_new(ERR_CONFLICT, "container '%s' is paused", c->row.name);
    if (status == CONTAINER_RESTARTING)
        return err_new(ERR_CONFLICT, "container '%s' is restarting: wait until it runs", c->row.name);
    if (status != CONTAINER_RUNNING)
        return err_new(ERR_CONFLICT, "container '%s' is not running", c->row.name);
    return NULL;
}

/* Without -i the program's input is empty; detached it has no output either. */
static fallible open_null(const struct exec_options *o, struct runtime_exec *x, int *ret_null)
{
    if (o->tty || (o->interactive && !o->detach))
        return NULL;
    *ret_null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (*ret_null < 0)
        return err_sys(errno, "open '/dev/null'");
    for (int i = 0; i < (o->detach ? 3 : 1); i++)
        x->stdio[i] = *ret_null;
    return NULL;
}

static fallible open_pipes(const struct exec_options *o, struct attach_pipes *pipes, struct runtime_exec *x)
{
    if (o->tty || o->detach)
        return NULL;
    TRY(attach_pipes_make(pipes, o->interactive));
    for (int i = 0; i < 3; i++)
        if (pipes->theirs[i] >= 0)
            x->stdio[i] = pipes->theirs[i];
    return NULL;
}

/* *ret_code is 0 where the program goes on without us. */
static fallible wait_for(const struct exec_options *o, int console, struct attach_pipes *pipes,
                         const struct runtime_created *created, enum attach_end *ret_end, int *ret_code)
{
    int status = 0;
    *ret_end = ATTACH_EXITED;
    if (o->detach)
        *ret_end = ATTACH_DETACHED;
    else if (o->tty)
        TRY(attach_console(console, created->pidfd, o->interactive, o->detach_keys, ret_end, &status));
    else
        TRY(attach_pipes_run(pipes, created->pidfd, &status));
    *ret_code = *ret_end == ATTACH_EXITED ? proc_exit_code(status) : 0;
    return o->tty && *ret_end == ATTACH_DETACHED ? attach_console_keep(console, created->pidfd) : NULL;
}

/* Docker's form: "exec_start: COMMAND"; what it runs is part of the word. */
static void say_begin(struct container *c, char *const *args, size_t args_n)
{
    static const char *const words[] = { "exec_create", "exec_start" };
    own_str struct str line = { 0 };
    for (size_t i = 0; i < args_n && line.len < EXEC_WORDS_MAX; i++)
        str_printf(&line, " %s", args[i]);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        own_mem char *action = mem_printf("%s:%.*s", words[i], EXEC_WORDS_MAX, line.text ? line.text : "");
        container_say(c, action, "execCommand", args[0], NULL);
    }
}

static void say_end(struct container *c, const char *command, enum attach_end end, int code)
{
    char number[12];
    (void)snprintf(number, sizeof number, "%d", code);
    if (end == ATTACH_EXITED)
        container_say(c, "exec_die", "execCommand", command, "exitCode", number, NULL);
    else
        container_say(c, "exec_detach", "execCommand", command, NULL);
}

/* As docker's: whoever can't be made to run in a container that runs is 126, a user who is not there, a directory. */
static fallible not_run(err *take_e)
{
    return err_is(take_e, ERR_CONFLICT) ? take_e : err_with_exit(take_e, 126);
}

fallible container_exec_start(struct container *c, const struct exec_options *o, char *const *args, size_t args_n,
                              struct runtime_exec *x, struct runtime_created *ret)
{
    own(oci_spec) struct oci_spec *spec = NULL;
    const struct container_config *config;
    struct rootfs_source root = { 0 };
    struct oci_process *process = NULL;
    own_mem char *cache = mem_printf("%s/seccomp", c->engine->run);
    TRY(must_run(c));
    TRY(container_config(c, &config));
    TRY(container_spec(c, &spec));
    TRY(container_root(c, &root));
    err *e = spec_make_exec(spec, config, &root, o, args, args_n, &process);
    rootfs_source_free(&root);
    if (!e)
        e = container_add_secret_env(c, &process->env);
    TRY(not_run(e));
    x->state_dir = c->state_dir;
    x->process = process;
    x->seccomp = o->privileged ? NULL : spec->linux_->seccomp;
    x->seccomp_cache_dir = cache;
    x->personality = spec->linux_->personality;
    x->memory_policy = spec->linux_->memory_policy;
    x->console_sock = -1;
    x->preserve_fds = (int)o->preserve_fds.v;
    e = runtime_exec(x, ret);
    bind_free(&oci_process_type, process);
    return not_run(e);
}

fallible container_exec(struct container *c, const struct exec_options *o, char *const *args, size_t args_n,
                        int *ret_code)
{
    struct runtime_created created = { .pidfd = -1 };
    own_fd int console = -1, null = -1;
    enum attach_end end;
    struct runtime_exec x = { .stdio = { -1, -1, -1 }, .ret_console_fd = o->tty ? &console : NULL };
    struct attach_pipes pipes;
    attach_pipes_init(&pipes);
    err *e = open_null(o, &x, &null);
    if (!e)
        e = open_pipes(o, &pipes, &x);
    if (!e)
        e = container_exec_start(c, o, args, args_n, &x, &created);
    *ret_code = 0;
    if (!e)
        say_begin(c, args, args_n);
    if (!e)
        e = wait_for(o, console, &pipes, &created, &end, ret_code);
    if (!e && !o->detach)
        say_end(c, args[0], end, *ret_code);
    attach_pipes_close(&pipes);
    runtime_created_clear(&created);
    return e;
}
