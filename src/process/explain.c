// SPDX-License-Identifier: GPL-2.0-or-later
#include <sys/resource.h>

#include "process/program.h"

static void quoted(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    }
    fputc('\'', out);
}

static void explain_rlimits(const struct oci_process *p, FILE *out)
{
    for (size_t i = 0; i < p->rlimits_n; i++) {
        const char *name = p->rlimits[i].type;
        fputs("prlimit --pid $$ --", out);
        for (const char *c = name && str_starts(name, "RLIMIT_") ? name + 7 : name ? name : ""; *c; c++)
            fputc(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c, out);
        uint64_t v[] = { p->rlimits[i].soft, p->rlimits[i].hard };
        for (int k = 0; k < 2; k++) {
            fputc(k ? ':' : '=', out);
            if (v[k] == RLIM_INFINITY)
                fputs("unlimited", out);
            else
                fprintf(out, "%llu", (unsigned long long)v[k]);
        }
        fputc('\n', out);
    }
}

/* setpriv's words: "-all,+chown,+kill" */
static void explain_set(const char *option, const struct strv *words, FILE *out)
{
    fprintf(out, " --%s=-all", option);
    for (size_t i = 0; i < words->n; i++) {
        fputs(",+", out);
        for (const char *c = str_starts(words->items[i], "CAP_") ? words->items[i] + 4 : words->items[i]; *c; c++)
            fputc(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c, out);
    }
}

static void explain_groups(const struct oci_user *user, FILE *out)
{
    size_t n = json_array_size(user->additional_gids);
    if (!n) {
        fputs(" --clear-groups", out);
        return;
    }
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s%lld",
                i ? "," : " --groups=", (long long)json_integer_value(json_array_get(user->additional_gids, i)));
}

static void explain_setpriv(const struct oci_process *p, FILE *out)
{
    static const struct oci_user root = { 0 };
    static const struct oci_capabilities none = { 0 };
    const struct oci_user *user = p->user ? p->user : &root;
    const struct oci_capabilities *caps = p->capabilities ? p->capabilities : &none;
    fputs(" setpriv", out);
    fprintf(out, " --reuid=%u --regid=%u", user->uid, user->gid);
    explain_groups(user, out);
    explain_set("bounding-set", &caps->bounding, out);
    explain_set("inh-caps", &caps->inheritable, out);
    explain_set("ambient-caps", &caps->ambient, out);
    if (p->no_new_privileges)
        fputs(" --no-new-privs", out);
    if (p->apparmor_profile && *p->apparmor_profile)
        fprintf(out, " --apparmor-profile=%s", p->apparmor_profile);
    if (p->selinux_label && *p->selinux_label)
        fprintf(out, " --selinux-label=%s", p->selinux_label);
}

void program_explain(const struct oci_process *process, const struct oci_seccomp *seccomp, FILE *out)
{
    if (!process)
        return;
    if (process->oom_score_adj.set)
        fprintf(out, "echo %lld > /proc/self/oom_score_adj\n", (long long)process->oom_score_adj.v);
    explain_rlimits(process, out);
    if (process->user && process->user->umask.set)
        fprintf(out, "umask %04llo\n", (unsigned long long)process->user->umask.v);
    if (process->cwd) {
        fputs("cd ", out);
        quoted(out, process->cwd);
        fputc('\n', out);
    }
    if (seccomp)
        fprintf(out, "# a seccomp filter of %zu rules, default %s: no shell command loads one\n", seccomp->syscalls_n,
                seccomp->default_action ? seccomp->default_action : "?");
    fputs("exec env -i", out);
    for (size_t i = 0; i < process->env.n; i++) {
        fputc(' ', out);
        quoted(out, process->env.items[i]);
    }
    explain_setpriv(process, out);
    fputs(" --", out);
    for (size_t i = 0; i < process->args.n; i++) {
        fputc(' ', out);
        quoted(out, process->args.items[i]);
    }
    fputc('\n', out);
}
