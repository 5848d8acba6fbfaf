/*
 * husk completion: what completes husk's command line in a shell.
 * Compatible with: docker completion, podman completion.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

struct completion_opts {
    const char *file;
    bool no_desc;
};

#define T struct completion_opts
static const struct opt completion_options[] = {
    OPT_STR('f', "file", T, file, "FILE", "Write it to a file"),
    OPT_FLAG(0, "no-desc", T, no_desc, "Refused: the descriptions are the shell's to show or not"),
    OPT_END,
};
#undef T

static fallible completion_run(const void *opts_, struct args args)
{
    const struct completion_opts *o = opts_;
    static const char *const shells[] = { "bash", "zsh", "fish" };
    static char name[] = "husk-completion";
    bool known = false;
    for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
        known |= strcmp(args.v[0], shells[i]) == 0;
    if (!known)
        return err_new(ERR_INVALID, "'%s' is not one of bash, zsh, fish", args.v[0]);
    if (o->no_desc)
        return err_new(ERR_UNSUPPORTED, "--no-desc: bash shows none, zsh hides them by 'zstyle ':completion:*' verbose "
                                        "no' and fish has no such wish: leave it out");
    if (o->file) {
        own_fd int fd = open(o->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
            return err_sys(errno, "--file: write '%s'", o->file);
    }
    return exec_program("husk-completion", (char *const[]){ name, args.v[0], NULL });
}

const struct command cmd_completion = {
    .name = "completion",
    .args = "bash|zsh|fish",
    .summary = "Print what completes husk's command line in a shell",
    .detail =
        "For the shell that you type in:  source <(husk completion bash)\n\n"
        "For good: husk completion bash >~/.local/share/bash-completion/completions/husk; for zsh, a file _husk in "
        "a folder of $fpath; for fish, ~/.config/fish/completions/husk.fish.",
    .opts = completion_options,
    .opts_size = sizeof(struct completion_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 125,
    .run = completion_run,
};
