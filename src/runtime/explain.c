// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <sched.h>
#include <string.h>

#include "namespaces/sysctl.h"
#include "runtime/start.h"

/*
 * Each row's shell commands, one a line. They are those of the script too (script.c), so they name what it defines:
 * $root is the directory on which the new root is mounted.
 */

/* A word as bash reads it back. */
void explain_word(FILE *out, const char *text)
{
    if (*text &&
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,+@%-") == strlen(text)) {
        fputs(text, out);
        return;
    }
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fputc(*text, out);
    }
    fputc('\'', out);
}

void explain_in_root(FILE *out, const char *path)
{
    fputs("\"$root\"", out);
    if (*path != '/')
        fputc('/', out);
    explain_word(out, path);
}

void explain_cgroup(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const char *user = s->scope.manager == SCOPE_USER ? " --user" : "";
    if (s->scope.unit) {
        fprintf(out, "systemd-run%s --scope --slice=", user);
        explain_word(out, s->scope.slice);
        fprintf(out, " --unit=");
        explain_word(out, s->scope.unit);
        fprintf(out, " -p Delegate=yes sleep infinity &\ngroup=$(systemctl%s show -P ControlGroup ", user);
        explain_word(out, s->scope.unit);
        fprintf(out, ")\n");
        return;
    }
    cgroup_explain(s->host, s->cgroup_path, &s->resources, out);
}

void explain_join_cgroup(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    if (s->scope.unit) {
        fprintf(out, "echo 0 >\"/sys/fs/cgroup$group/cgroup.procs\"\n");
        return;
    }
    fprintf(out, "for f in /sys/fs/cgroup/*");
    explain_word(out, s->cgroup_path);
    fprintf(out, "/cgroup.procs /sys/fs/cgroup");
    explain_word(out, s->cgroup_path);
    fprintf(out, "/cgroup.procs; do [ ! -e \"$f\" ] || echo 0 >\"$f\"; done\n");
}

void explain_clone(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    own_str struct str words = { 0 };
    namespaces_unshare_words(&s->ns, &words);
    fprintf(out, "unshare %s --fork --propagation unchanged\n", words.text ? words.text : "");
}

static void map_lines(FILE *out, const char *tool, const char *file, const struct id_map *m, bool by_tool)
{
    if (by_tool) {
        fprintf(out, "%s $pid", tool);
        for (size_t i = 0; i < m->n; i++)
            fprintf(out, " %u %u %u", m->ranges[i].inside, m->ranges[i].outside, m->ranges[i].count);
        fputc('\n', out);
        return;
    }
    fprintf(out, "printf '%%s\\n'");
    for (size_t i = 0; i < m->n; i++)
        fprintf(out, " '%u %u %u'", m->ranges[i].inside, m->ranges[i].outside, m->ranges[i].count);
    fprintf(out, " >/proc/$pid/%s\n", file);
}

void explain_maps(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    map_lines(out, "newuidmap", "uid_map", &s->ns.uids, !s->privileged);
    map_lines(out, "newgidmap", "gid_map", &s->ns.gids, !s->privileged);
}

void explain_join(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const struct oci_linux *l = s->c->spec->linux_;
    fprintf(out, "nsenter");
    for (size_t i = 0; l && i < l->namespaces_n; i++) {
        if (!l->namespaces[i].path || !*l->namespaces[i].path)
            continue;
        fprintf(out, " --%s=", namespace_file(l->namespaces[i].type));
        explain_word(out, l->namespaces[i].path);
    }
    fputc('\n', out);
}

void explain_cgroupns(const void *ctx, FILE *out)
{
    (void)ctx;
    fprintf(out, "unshare --cgroup\n");
}

void explain_time_words(const struct start *s, FILE *out)
{
    const char *clock;
    json_t *v;
    if (!s->ns.create_time || !s->c->spec->linux_->time_offsets)
        return;
    json_object_foreach (s->c->spec->linux_->time_offsets, clock, v) {
        fprintf(out, " --%s %" JSON_INTEGER_FORMAT, clock, json_integer_value(json_object_get(v, "secs")));
    }
}

void explain_timens(const void *ctx, FILE *out)
{
    fprintf(out, "unshare --time");
    explain_time_words(ctx, out);
    fputc('\n', out);
}

void explain_private(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const struct oci_linux *l = s->c->spec->linux_;
    const char *how = l && l->rootfs_propagation && *l->rootfs_propagation ? l->rootfs_propagation : "rslave";
    fprintf(out, "mount --make-%s /\n", how);
}

void explain_root(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const struct rootfs_source *r = s->c->root;
    if (r->kind == ROOTFS_DIR) {
        fprintf(out, "mount --rbind ");
        explain_word(out, r->dir);
        fprintf(out, " \"$root\"\n");
        return;
    }
    own_str struct str options = { 0 };
    str_add(&options, "lowerdir=");
    for (size_t i = 0; i < r->lowers.n; i++)
        str_printf(&options, "%s%s", i ? ":" : "", r->lowers.items[i]);
    if (r->upper && !s->script)
        str_printf(&options, ",upperdir=%s,workdir=%s", r->upper, r->work);
    if (s->root.userns && !(s->own_userns && s->privileged) && !r->fuse)
        str_add(&options, ",userxattr");
    if (r->throw_away && r->upper)
        str_add(&options, ",volatile");
    if (!r->upper && r->lowers.n == 1) {
        fprintf(out, "mount --bind -o ro ");
        explain_word(out, r->lowers.items[0]);
        fprintf(out, " \"$root\"\n");
        return;
    }
    fprintf(out, r->fuse ? "fuse-overlayfs -o " : "mount -t overlay overlay -o ");
    explain_word(out, options.text);
    if (r->upper && s->script)
        fprintf(out, ",upperdir=\"$work\"/upper,workdir=\"$work\"/work");
    fprintf(out, " \"$root\"\n");
}

void explain_terminal(const void *ctx, FILE *out)
{
    (void)ctx;
    fprintf(
        out,
        ": # a terminal of \"$root\"/dev/pts is opened and mounted on \"$root\"/dev/console: script(1) opens one\n");
}

void explain_netdevs(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const char *name;
    json_t *v;
    json_object_foreach (s->c->spec->linux_->net_devices, name, v) {
        const char *inside = json_string_value(json_object_get(v, "name"));
        fprintf(out, "ip link set dev ");
        explain_word(out, name);
        fprintf(out, " netns $pid name ");
        explain_word(out, inside && *inside ? inside : name);
        fprintf(out, "\n");
    }
}

void explain_network(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    if (s->c->cni) {
        fprintf(out, "cnitool add %s /proc/$pid/ns/net\n",
                json_string_value(json_object_get(json_object_get(s->c->cni, "list"), "name")));
        return;
    }
    if (s->c->pasta) {
        fprintf(out, "pasta --config-net --no-map-gw");
        for (size_t i = 0; i < s->c->pasta->n; i++)
            fprintf(out, " %s", s->c->pasta->items[i]);
        fprintf(out, " $pid\n");
        return;
    }
    network_explain(s->c->network, out);
}

void explain_resctrl(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    fprintf(out, "echo $pid >/sys/fs/resctrl/");
    explain_word(out, s->resctrl.group);
    fprintf(out, "/tasks\n");
}

void explain_sysctl(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const struct strmap *map = &s->c->spec->linux_->sysctl;
    for (size_t i = 0; i < map->n; i++) {
        own_mem char *path = sysctl_path(map->items[i].key);
        fprintf(out, "echo ");
        explain_word(out, map->items[i].value);
        fprintf(out, " >/proc/%s\n", path);
    }
}

void explain_names(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    if (s->c->spec->hostname && *s->c->spec->hostname) {
        fprintf(out, "hostname ");
        explain_word(out, s->c->spec->hostname);
        fputc('\n', out);
    }
    if (s->c->spec->domainname && *s->c->spec->domainname) {
        fprintf(out, "echo ");
        explain_word(out, s->c->spec->domainname);
        fprintf(out, " >/proc/sys/kernel/domainname\n");
    }
}

void explain_loopback(const void *ctx, FILE *out)
{
    (void)ctx;
    fprintf(out, "ip link set lo up\n");
}

void explain_protect(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const struct oci_linux *l = s->c->spec->linux_;
    for (size_t i = 0; l && i < l->readonly_paths.n; i++) {
        fprintf(out, "[ ! -e ");
        explain_in_root(out, l->readonly_paths.items[i]);
        fprintf(out, " ] || { mount --rbind ");
        explain_in_root(out, l->readonly_paths.items[i]);
        fputc(' ', out);
        explain_in_root(out, l->readonly_paths.items[i]);
        fprintf(out, " && mount -o remount,bind,ro ");
        explain_in_root(out, l->readonly_paths.items[i]);
        fprintf(out, "; }\n");
    }
    for (size_t i = 0; l && i < l->masked_paths.n; i++) {
        fprintf(out, "if [ -d ");
        explain_in_root(out, l->masked_paths.items[i]);
        fprintf(out, " ]; then mount --bind ");
        explain_in_root(out, "/proc/tty/ldisc"); /* is empty */
        fputc(' ', out);
        explain_in_root(out, l->masked_paths.items[i]);
        fprintf(out, " && mount -o remount,bind,ro,nosuid,nodev,noexec ");
        explain_in_root(out, l->masked_paths.items[i]);
        fprintf(out, " || mount -t tmpfs -o ro,nosuid,nodev,noexec,size=0,nr_inodes=2,mode=555 tmpfs ");
        explain_in_root(out, l->masked_paths.items[i]);
        fprintf(out, "; elif [ -e ");
        explain_in_root(out, l->masked_paths.items[i]);
        fprintf(out, " ]; then mount --bind /dev/null ");
        explain_in_root(out, l->masked_paths.items[i]);
        fprintf(out, "; fi\n");
    }
    if (s->c->spec->root && s->c->spec->root->readonly)
        fprintf(out, "mount -o remount,bind,ro \"$root\"\n");
}

void explain_pivot(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const struct oci_linux *l = s->c->spec->linux_;
    fprintf(out, "cd \"$root\"\n");
    fprintf(out, s->c->no_pivot ? "mount --move . /\n" : "pivot_root . .\numount -l .\n");
    if (l && l->rootfs_propagation && *l->rootfs_propagation)
        fprintf(out, "mount --make-%s /\n", l->rootfs_propagation);
}

void explain_program(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const struct oci_linux *l = s->c->spec->linux_;
    program_explain(s->c->spec->process, l ? l->seccomp : NULL, out);
}

static const char *side_word(enum side side)
{
    return side == SIDE_PARENT ? "husk" : side == SIDE_CLONE ? "clone" : "child";
}

static void print_commands(const struct step *row, const struct start *s, FILE *out)
{
    own_mem char *text = NULL;
    size_t len = 0;
    if (!row->explain)
        return;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return;
    row->explain(s, to);
    (void)fclose(to);
    for (char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        fprintf(out, "                          %.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

void runtime_explain(const struct runtime_create *c, const struct steps_times *times, FILE *out)
{
    struct start s;
    size_t n = 0;
    uint64_t last = 0, first = 0;
    const struct step *rows = runtime_create_steps(&n);
    err *e = start_plan(&s, c);
    if (e)
        fprintf(out, "# this start would be refused: %s\n", err_text(e));
    for (size_t i = 0; !e && i < n; i++) {
        if (rows[i].needed && !rows[i].needed(&s))
            continue;
        fprintf(out, "%2zu  %-5s ", i + 1, side_word(rows[i].side));
        if (times && times->begin_ns[i]) {
            first = first ? first : times->begin_ns[i];
            last = times->end_ns[i] ? times->end_ns[i] : last;
            if (times->end_ns[i])
                fprintf(out, "%9.1f us  ", (double)(times->end_ns[i] - times->begin_ns[i]) / 1000);
            else
                fprintf(out, "%12s  ", "");
        } else {
            fprintf(out, "%12s  ", "");
        }
        fprintf(out, "%s\n", rows[i].name);
        print_commands(&rows[i], &s, out);
    }
    if (times && last > first)
        fprintf(out, "          %9.1f us  from the first row to the last\n", (double)(last - first) / 1000);
    err_free(e);
    start_clear(&s);
}
