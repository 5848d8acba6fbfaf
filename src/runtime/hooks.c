// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/linux.h"
#include "os/proc.h"
#include "runtime/start.h"

static _Noreturn void hook_child(const struct oci_hook *h, int in, int out, int errors)
{
    char *only_path[] = { h->path, NULL };
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
        _exit(126);
    (void)close_range(3, ~0U, 0); /* nothing of ours, and nothing that our caller left open, is the hook's */
    (void)execve(h->path, h->args.n ? h->args.items : only_path, h->env.items ? h->env.items : environ);
    dprintf(2, "%s\n", strerror(errno));
    _exit(127);
}

/* What a failed hook said last. Caller frees. */
static char *last_words(int fd)
{
    char *text = NULL;
    (void)lseek(fd, 0, SEEK_SET);
    err *e = fs_read_fd(fd, "output", 1 << 20, &text, NULL);
    if (e) {
        err_free(e);
        return mem_strdup("");
    }
    size_t n = strlen(text);
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' '))
        text[--n] = '\0';
    char *line = strrchr(text, '\n');
    char *last = n ? mem_printf(": %s", line ? line + 1 : text) : mem_strdup("");
    free(text);
    return last;
}

static fallible wait_hook(const struct oci_hook *h, int pidfd, int out)
{
    int status = 0;
    int64_t seconds = h->timeout.set ? h->timeout.v : 0;
    int timeout_ms = !seconds ? -1 : seconds > 2000000 ? 2000000000 : (int)seconds * 1000;
    err *e = proc_wait(pidfd, timeout_ms, &status);
    if (err_is(e, ERR_TIMEOUT)) {
        err_free(e);
        err_ignore(proc_signal(pidfd, SIGKILL), "it may just have ended");
        err_ignore(proc_wait(pidfd, -1, &status), "reaped");
        return err_new(ERR_TIMEOUT, "still running after %lld seconds", (long long)seconds);
    }
    if (e || status == 0)
        return e;
    own_mem char *said = last_words(out);
    if (WIFSIGNALED(status))
        return err_new(ERR_UNAVAILABLE, "killed by %s%s", signal_name(WTERMSIG(status)), said);
    return err_new(ERR_UNAVAILABLE, "exit status %d%s", WEXITSTATUS(status), said);
}

/* crun's: a file that a hook's output goes to. What is written there is not in the message of one that fails. */
static fallible open_output(const struct runtime_state *state, const char *annotation, int *ret_fd)
{
    const char *path = strmap_get(&state->annotations, annotation);
    if (!path || !*path)
        return NULL;
    *ret_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC, 0700);
    return *ret_fd < 0 ? err_sys(errno, "annotation %s: open '%s'", annotation, path) : NULL;
}

static fallible run_hook(const struct oci_hook *h, const char *text, const struct runtime_state *state)
{
    own_fd int in = -1;
    own_fd int out = -1;
    own_fd int to = -1;
    own_fd int errors_to = -1;
    own_fd int pidfd = -1;
    pid_t pid = 0;
    TRY(fs_memfd("state", &in));
    TRY(fs_memfd("output", &out));
    TRY(open_output(state, "run.oci.hooks.stdout", &to));
    TRY(open_output(state, "run.oci.hooks.stderr", &errors_to));
    TRY(fs_write_fd(in, text, strlen(text), "state"));
    if (lseek(in, 0, SEEK_SET) < 0)
        return err_sys(errno, "rewind the state");
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0)
        hook_child(h, in, to >= 0 ? to : out, errors_to >= 0 ? errors_to : out);
    return wait_hook(h, pidfd, out);
}

fallible hooks_run(const char *stage, const struct oci_hook *hooks, size_t n, const struct runtime_state *state)
{
    own_mem char *text = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!text)
            text = runtime_state_text(state);
        log_debug("%s hook '%s'", stage, hooks[i].path);
        TRY_AS(run_hook(&hooks[i], text, state), "%s hook '%s'", stage, hooks[i].path);
    }
    return NULL;
}

void hooks_run_poststop(const struct runtime_state *state)
{
    for (size_t i = 0; state->hooks && i < state->hooks->poststop_n; i++) {
        err *e = hooks_run("poststop", &state->hooks->poststop[i], 1, state);
        if (e)
            log_warn("%s", err_text(e));
        err_free(e);
    }
}
