// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/sched.h>
#include <sched.h>
#include <string.h>

#include "process/program.h"
#include "runtime/start.h"

/*
 * The script is the rows' own commands (explain.c), each under its row's name, in two halves: what the parent does,
 * and what the child does inside its namespaces. A shell cannot do the very end, since after pivot_root the host's
 * programs are gone: perl, which Debian always has, is loaded before and does it.
 */

static const char head[] =
    "#!/bin/bash\n"
    "# Made by husk: this script makes a container like '%s', step by step, with the commands that everybody has.\n"
    "# It needs util-linux, iproute2 and perl. Its control group and its writable layer are its own.\n"
    "set -euo pipefail\n"
    "export PATH=$PATH:/usr/sbin:/sbin\n"
    "work=$(mktemp -d)\n"
    "root=$work/root\n"
    "mkdir \"$root\" \"$work/upper\" \"$work/work\"\n";

static const char cleanup_head[] = "cleanup() {\n"
                                   "    local d\n";
static const char cleanup_tail[] = "    rm -rf --one-file-system \"$work\"\n"
                                   "}\n"
                                   "trap cleanup EXIT\n";

/*
 * prctl, capset and umount2 by number: perl has no names for them. The user changes while the capabilities are kept
 * (PR_SET_KEEPCAPS), and then the sets become what they shall be.
 */
static const char perl_end[] =
    "use strict;\n"
    "my %n = (x86_64 => [157, 126, 166], aarch64 => [167, 91, 39]);\n"
    "my ($m, $mount, $pivot_root, $bnd, $prm, $eff, $inh, $amb, $nnp, $uid, $gid, $groups, $no_pivot, $cwd, @argv) = "
    "@ARGV;\n"
    "my ($prctl, $capset, $umount2) = @{$n{$m} or die \"no system call numbers for $m\\n\"};\n"
    "sub must { my ($what, $r) = @_; die \"$what: $!\\n\" if $r < 0 }\n"
    "sub caps { my ($e, $p, $i) = @_;\n"
    "    my $head = pack(\"LL\", 0x20080522, 0);\n"
    "    my $data = pack(\"L6\", map({ $_ & 0xffffffff } $e, $p, $i), map({ $_ >> 32 } $e, $p, $i));\n"
    "    must(\"capset\", syscall($capset, $head, $data)) }\n"
    "if ($no_pivot) {\n"
    "    system($mount, \"--move\", \".\", \"/\") == 0 or die \"mount --move\\n\";\n"
    "    chroot(\".\") or die \"chroot: $!\\n\";\n"
    "} else {\n"
    "    system($pivot_root, \".\", \".\") == 0 or die \"pivot_root\\n\";\n"
    "    my $dot = \".\";\n"
    "    must(\"umount\", syscall($umount2, $dot, 2)); # umount -l .\n"
    "}\n"
    "chdir(\"/\") or die \"chdir: $!\\n\";\n"
    "for my $c (0 .. 63) { # PR_CAPBSET_DROP\n"
    "    next if $bnd >> $c & 1;\n"
    "    last if syscall($prctl, 24, $c, 0, 0, 0) < 0;\n"
    "}\n"
    "must(\"keepcaps\", syscall($prctl, 8, 1, 0, 0, 0));\n"
    "if ($groups ne \"keep\") { $) = \"$gid \" . ($groups eq \"\" ? $gid : join(\" \", split(/,/, $groups))) }\n"
    "$( = $gid; $) = $gid if $groups eq \"keep\";\n"
    "$< = $uid; $> = $uid;\n"
    "die \"setuid\\n\" if $> != $uid || $< != $uid;\n"
    "caps($eff, $prm, $inh);\n"
    "for my $c (0 .. 63) { must(\"ambient\", syscall($prctl, 47, 2, $c, 0, 0)) if $amb >> $c & 1 }\n"
    "must(\"no_new_privs\", syscall($prctl, 38, 1, 0, 0, 0)) if $nnp;\n"
    "chdir($cwd) or die \"cd $cwd: $!\\n\";\n"
    "exec { $argv[0] } @argv or die \"exec $argv[0]: $!\\n\";\n";

static void single_quote(FILE *out, const char *text)
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

static void print_row(const struct step *row, const struct start *s, const char *indent, FILE *out)
{
    own_mem char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return;
    row->explain(s, to);
    (void)fclose(to);
    fprintf(out, "%s# %s\n", indent, row->name);
    for (char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        fprintf(out, "%s%.*s\n", indent, (int)n, line);
        line += n + (line[n] == '\n');
    }
}

static uint64_t mask(const struct strv *words)
{
    uint64_t m = 0;
    m = words ? capability_mask(words) : 0;
    return m;
}

static void cleanup(const struct start *s, FILE *out)
{
    fputs(cleanup_head, out);
    if (s->cgroup_path) {
        fputs("    for d in /sys/fs/cgroup", out);
        single_quote(out, s->cgroup_path);
        fputs(" /sys/fs/cgroup/*", out);
        single_quote(out, s->cgroup_path);
        fputs("; do [ ! -d \"$d\" ] || rmdir \"$d\"; done\n", out);
    }
    fputs(cleanup_tail, out);
}

/* What stands before the exec and can be done while the host's programs are there: limits, umask. */
static void print_limits(const struct start *s, FILE *out)
{
    own_mem char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return;
    explain_program(s, to);
    (void)fclose(to);
    bool last = false;
    for (char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        last |= str_starts(line, "exec "); /* and all that follows: an argument may have lines of its own */
        fprintf(out, "%s%.*s\n", last || str_starts(line, "cd ") ? "#   " : "", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

static void print_groups(const struct start *s, const struct oci_user *u, FILE *out)
{
    if (s->program.keep_groups)
        fputs(" keep", out);
    else if (!json_array_size(u->additional_gids))
        fputs(" ''", out);
    for (size_t i = 0; !s->program.keep_groups && i < json_array_size(u->additional_gids); i++)
        fprintf(out, "%s%lld", i ? "," : " ", (long long)json_integer_value(json_array_get(u->additional_gids, i)));
}

/* The last two rows: the change of root and the program. */
static void print_end(const struct start *s, FILE *out)
{
    static const struct oci_user nobody = { 0 };
    static const struct oci_capabilities no_caps = { 0 };
    const struct oci_process *p = s->c->spec->process;
    const struct oci_user *u = p->user ? p->user : &nobody;
    const struct oci_capabilities *c = p->capabilities ? p->capabilities : &no_caps;
    fputs(
        "# change the root, enter the program: perl does what these would do if the host's programs were still there:\n"
        "#   pivot_root . . && umount -l . && cd /\n",
        out);
    print_limits(s, out);
    fputs("cd \"$root\"\nexec env -i", out);
    for (size_t i = 0; i < p->env.n; i++) {
        fputc(' ', out);
        single_quote(out, p->env.items[i]);
    }
    fprintf(out,
            " \"$(command -v perl)\" -e \"$end\" \"$(uname -m)\" \"$(command -v mount)\" \"$(command -v pivot_root)\"");
    fprintf(out, " %llu %llu %llu %llu %llu %d %u %u", (unsigned long long)mask(&c->bounding),
            (unsigned long long)mask(&c->permitted), (unsigned long long)mask(&c->effective),
            (unsigned long long)mask(&c->inheritable), (unsigned long long)mask(&c->ambient), p->no_new_privileges,
            u->uid, u->gid);
    print_groups(s, u, out);
    fprintf(out, " %d ", s->c->no_pivot);
    single_quote(out, p->cwd ? p->cwd : "/");
    for (size_t i = 0; i < p->args.n; i++) {
        fputc(' ', out);
        single_quote(out, p->args.items[i]);
    }
    fputc('\n', out);
}

static bool is_end(const struct step *row)
{
    return row->explain == explain_pivot || row->explain == explain_program;
}

static bool wanted(const struct step *row, const struct start *s)
{
    return row->explain && (!row->needed || row->needed(s));
}

/* Rows that unshare(1) does for us, before the inner half begins. */
static bool by_unshare(const struct step *row)
{
    return row->explain == explain_cgroupns || row->explain == explain_timens || row->explain == explain_clone ||
           row->explain == explain_join || row->explain == explain_join_cgroup;
}

static void print_inner(const struct start *s, const struct step *rows, size_t n, FILE *out)
{
    fputs("inner=$(cat <<'HUSK_INNER'\nset -euo pipefail\nroot=$1\nwork=$2\nend=$3\n", out);
    if (s->own_userns)
        fputs("read -r _ <\"$work/maps\" # until the ids are mapped\n", out);
    for (size_t i = 0; i < n; i++)
        if (rows[i].side == SIDE_CHILD && wanted(&rows[i], s) && !is_end(&rows[i]) && !by_unshare(&rows[i]))
            print_row(&rows[i], s, "", out);
    print_end(s, out);
    fputs("HUSK_INNER\n)\n", out);
}

static void print_unshare(const struct start *s, FILE *out)
{
    own_str struct str words = { 0 };
    own_mem char *time = NULL;
    size_t len = 0;
    namespaces_unshare_words(&s->ns, &words);
    fprintf(out, "    exec ");
    if (s->ns.join) {
        FILE *to = open_memstream(&time, &len);
        if (to) {
            explain_join(s, to);
            (void)fclose(to);
            fprintf(out, "%.*s ", (int)strcspn(time, "\n"), time);
        }
    }
    fprintf(out, "unshare %s", words.text ? words.text : "");
    explain_time_words(s, out);
    fprintf(out, " --fork --kill-child --propagation unchanged bash -c \"$inner\" husk \"$root\" \"$work\" \"$end\"\n");
}

static void print_outer(const struct start *s, const struct step *rows, size_t n, FILE *out)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].side == SIDE_PARENT && wanted(&rows[i], s) && rows[i].explain != explain_maps)
            print_row(&rows[i], s, "", out);
    fputs(s->own_userns ? "mkfifo -m 600 \"$work/maps\"\n(\n" : "(\n", out);
    for (size_t i = 0; i < n; i++)
        if (rows[i].explain == explain_join_cgroup && wanted(&rows[i], s))
            print_row(&rows[i], s, "    ", out);
    fputs("    # make the process and its namespaces\n", out);
    print_unshare(s, out);
    if (!s->own_userns) {
        fputs(") || exit $?\n", out);
        return;
    }
    fputs(") <&0 &\npid=$!\n"
          "while [ \"$(readlink /proc/$pid/ns/user)\" = \"$(readlink /proc/self/ns/user)\" ]; do sleep 0.01; done\n",
          out);
    for (size_t i = 0; i < n; i++)
        if (rows[i].explain == explain_maps)
            print_row(&rows[i], s, "", out);
    fputs("echo go >\"$work/maps\"\nwait $pid || exit $?\n", out);
}

/* What no command of this system can do: the script says so and does nothing. */
static const char *impossible(const struct start *s)
{
    if (s->own_userns && s->privileged)
        return "root with a user namespace: husk mounts the image with ids mapped, which mount(8) here cannot";
    if (s->ns.join & (CLONE_NEWUSER | CLONE_NEWPID))
        return "joining a user or pid namespace: husk makes the process from inside it";
    if (s->resctrl.config)
        return "linux.intelRdt: its group takes a pid that the script does not have";
    if (s->c->spec->linux_ && json_object_size(s->c->spec->linux_->net_devices))
        return "linux.netDevices: they can only be moved once, and the container has them";
    return NULL;
}

void runtime_explain_script(const struct runtime_create *c, FILE *out)
{
    struct start s;
    size_t n = 0;
    const struct step *rows = runtime_create_steps(&n);
    err *e = start_plan(&s, c);
    const char *why = e ? err_text(e) : impossible(&s);
    s.script = true;
    if (why) {
        fputs("#!/bin/bash\necho ", out);
        single_quote(out, why);
        fputs(" >&2\nexit 1\n", out);
    } else {
        if (s.cgroup_path) { /* its own: the container may be running */
            char *path = mem_printf("%s-script", s.cgroup_path);
            free(s.cgroup_path);
            s.cgroup_path = path;
        }
        fprintf(out, head, c->id);
        cleanup(&s, out);
        fputs("end=$(cat <<'HUSK_END'\n", out);
        fputs(perl_end, out);
        fputs("HUSK_END\n)\n", out);
        print_inner(&s, rows, n, out);
        print_outer(&s, rows, n, out);
    }
    err_free(e);
    start_clear(&s);
}
