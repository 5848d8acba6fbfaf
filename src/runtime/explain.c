// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <sched.h>
#include <string.h>

#include "namespaces/sysctl.h"
#include "rootfs/options.h"
#include "runtime/start.h"

/*
 * Each row's shell commands, one a line. They are those of the script too (script.c), so they name what it defines:
 * $root is the directory on which the new root is mounted.
 */

/* A word as bash reads it back. */
static void quote(FILE *out, const char *text)
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

static void in_root(FILE *out, const char *path)
{
    fputs("\"$root\"", out);
    if (*path != '/')
        fputc('/', out);
    quote(out, path);
}

void explain_cgroup(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const char *user = s->scope.manager == SCOPE_USER ? " --user" : "";
    if (s->scope.unit) {
        fprintf(out, "systemd-run%s --scope --slice=", user);
        quote(out, s->scope.slice);
        fprintf(out, " --unit=");
        quote(out, s->scope.unit);
        fprintf(out, " -p Delegate=yes sleep infinity &\ngroup=$(systemctl%s show -P ControlGroup ", user);
        quote(out, s->scope.unit);
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
    quote(out, s->cgroup_path);
    fprintf(out, "/cgroup.procs /sys/fs/cgroup");
    quote(out, s->cgroup_path);
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
        quote(out, l->namespaces[i].path);
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
        quote(out, r->dir);
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
        quote(out, r->lowers.items[0]);
        fprintf(out, " \"$root\"\n");
        return;
    }
    fprintf(out, r->fuse ? "fuse-overlayfs -o " : "mount -t overlay overlay -o ");
    quote(out, options.text);
    if (r->upper && s->script)
        fprintf(out, ",upperdir=\"$work\"/upper,workdir=\"$work\"/work");
    fprintf(out, " \"$root\"\n");
}

static bool is_propagation(const char *word)
{
    uint64_t propagation;
    enum mount_depth depth;
    err *e = mount_propagation_read(word, &propagation, &depth);
    err_free(e);
    return !e;
}

/* "rro", "rnosuid": the word for everything mounted below as well, which mount(8) has only from 2.39 on. */
static bool is_recursive(const char *word)
{
    static const char *const words[] = { "rro",          "rrw",         "rnosuid",      "rsuid",
                                         "rnodev",       "rdev",        "rnoexec",      "rexec",
                                         "rnoatime",     "ratime",      "rnodiratime",  "rdiratime",
                                         "rrelatime",    "rnorelatime", "rstrictatime", "rnostrictatime",
                                         "rnosymfollow", "rsymfollow" };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_eq(word, words[i]))
            return true;
    return false;
}

/* The option words that mount(8) takes for this mount alone, and those for what is below it too. */
static void option_list(const struct oci_mount *m, struct str *out, struct str *below)
{
    static const char *const ours[] = { "bind", "rbind", "tmpcopyup", "idmap", "ridmap" };
    for (size_t i = 0; i < m->options.n; i++) {
        const char *w = m->options.items[i];
        bool skip = is_propagation(w);
        for (size_t k = 0; k < ARRAY_SIZE(ours); k++)
            skip |= str_eq(w, ours[k]);
        if (skip)
            continue;
        struct str *to = is_recursive(w) ? below : out;
        str_printf(to, "%s%s", to->len ? "," : "", is_recursive(w) ? w + 1 : w);
    }
}

static void below_line(const struct oci_mount *m, const struct str *below, FILE *out)
{
    if (!below->len)
        return;
    fprintf(out, "findmnt -Rrno TARGET ");
    in_root(out, m->destination);
    fprintf(out, " | while read -r m; do mount -o remount,bind,%s \"$(printf %%b \"$m\")\"; done\n", below->text);
}

static void propagation_line(const struct oci_mount *m, FILE *out)
{
    for (size_t i = 0; i < m->options.n; i++) {
        if (is_propagation(m->options.items[i])) {
            fprintf(out, "mount --make-%s ", m->options.items[i]);
            in_root(out, m->destination);
            fputc('\n', out);
        }
    }
}

static void bind_lines(const struct start *s, size_t i, FILE *out)
{
    const struct oci_mount *m = &s->c->spec->mounts[i];
    const struct mount_options *o = &s->root.options[i];
    own_str struct str words = { 0 };
    own_str struct str below = { 0 };
    own_mem char *source = m->source && *m->source != '/' && s->c->bundle ? mem_printf("%s/%s", s->c->bundle, m->source)
                                                                          : mem_strdup(m->source ? m->source : "");
    option_list(m, &words, &below);
    fprintf(out, "if [ -d ");
    quote(out, source);
    fprintf(out, " ]; then mkdir -p ");
    in_root(out, m->destination);
    fprintf(out, "; else mkdir -p \"$(dirname ");
    in_root(out, m->destination);
    fprintf(out, ")\"; [ -e ");
    in_root(out, m->destination);
    fprintf(out, " ] || : >");
    in_root(out, m->destination);
    fprintf(out, "; fi\nmount --%s ", o->bind_depth == MOUNT_RECURSIVE ? "rbind" : "bind");
    quote(out, source);
    fputc(' ', out);
    in_root(out, m->destination);
    fputc('\n', out);
    if (words.len) {
        fprintf(out, "mount -o remount,bind,%s ", words.text);
        in_root(out, m->destination);
        fputc('\n', out);
    }
    below_line(m, &below, out);
    propagation_line(m, out);
}

static void cgroup_lines(const struct start *s, const struct oci_mount *m, FILE *out)
{
    const struct mount_options *o = &s->root.options[m - s->c->spec->mounts];
    const char *ro = o->set & MOUNT_ATTR_RDONLY || (s->cgroup_path && !s->ns.create_cgroup) ? "ro," : "";
    if (!s->cgroup_path) {
        fprintf(out, "mount -t cgroup2 cgroup ");
        in_root(out, m->destination);
        fprintf(out, " -o %snosuid,nodev,noexec\n", ro);
        return;
    }
    fprintf(out, "if [ \"$(stat -fc %%T /sys/fs/cgroup)\" = cgroup2fs ]; then\n  mount -t cgroup2 cgroup ");
    in_root(out, m->destination);
    fprintf(out, " -o %snosuid,nodev,noexec\nelse\n  mount -t tmpfs tmpfs ", ro);
    in_root(out, m->destination);
    fprintf(out, " -o mode=755,nosuid,nodev,noexec\n  for h in /sys/fs/cgroup/*/; do\n    h=$(basename \"$h\")\n    [ "
                 "-d \"/sys/fs/cgroup/$h\"");
    quote(out, s->cgroup_path);
    fprintf(out, " ] || continue\n    mkdir ");
    in_root(out, m->destination);
    fprintf(out, "/\"$h\"\n    mount --bind \"/sys/fs/cgroup/$h\"");
    quote(out, s->cgroup_path);
    fputc(' ', out);
    in_root(out, m->destination);
    fprintf(out, "/\"$h\"\n    mount -o remount,bind,%snosuid,nodev,noexec ", ro);
    in_root(out, m->destination);
    fprintf(out, "/\"$h\"\n  done\n");
    if (*ro) {
        fprintf(out, "  mount -o remount,bind,ro,nosuid,nodev,noexec ");
        in_root(out, m->destination);
        fputc('\n', out);
    }
    fprintf(out, "fi\n");
}

static void mount_lines(const struct start *s, size_t i, FILE *out)
{
    const struct oci_mount *m = &s->c->spec->mounts[i];
    own_str struct str words = { 0 };
    own_str struct str below = { 0 };
    if (s->root.options[i].bind) {
        bind_lines(s, i, out);
        return;
    }
    fprintf(out, "mkdir -p ");
    in_root(out, m->destination);
    fputc('\n', out);
    if (str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2")) {
        cgroup_lines(s, m, out);
        return;
    }
    option_list(m, &words, &below);
    fprintf(out, "mount -t %s %s ", m->type ? m->type : "none", m->source && *m->source ? m->source : m->type);
    in_root(out, m->destination);
    if (words.len) {
        fprintf(out, " -o ");
        quote(out, words.text);
    }
    fputc('\n', out);
    below_line(m, &below, out);
    propagation_line(m, out);
}

static bool has_dev(const struct oci_spec *spec)
{
    for (size_t i = 0; i < spec->mounts_n; i++)
        if (str_eq(spec->mounts[i].destination, "/dev"))
            return true;
    return false;
}

void explain_mounts(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    if (!has_dev(s->c->spec))
        fprintf(
            out,
            "mkdir -p \"$root\"/dev\nmount -t tmpfs tmpfs \"$root\"/dev -o nosuid,strictatime,mode=755,size=65536k\n");
    for (size_t i = 0; i < s->c->spec->mounts_n; i++)
        mount_lines(s, i, out);
}

static void device_line(const struct start *s, FILE *out, const char *path, const char *type, unsigned major,
                        unsigned minor, unsigned mode)
{
    if (s->root.userns && *type != 'p') {
        fprintf(out, "touch ");
        in_root(out, path);
        fprintf(out, "; mount --bind ");
        quote(out, path);
        fputc(' ', out);
        in_root(out, path);
        fputc('\n', out);
        return;
    }
    fprintf(out, "mknod -m %04o ", mode);
    in_root(out, path);
    fprintf(out, *type == 'p' ? " p\n" : " %s %u %u\n", type, major, minor);
}

void explain_devices(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const struct oci_linux *l = s->c->spec->linux_;
    static const struct {
        const char *path;
        unsigned major, minor;
    } defaults[] = { { "/dev/null", 1, 3 },   { "/dev/zero", 1, 5 },    { "/dev/full", 1, 7 },
                     { "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 } };
    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
        device_line(s, out, defaults[i].path, "c", defaults[i].major, defaults[i].minor, 0666);
    for (size_t i = 0; l && i < l->devices_n; i++)
        device_line(s, out, l->devices[i].path, l->devices[i].type, (unsigned)l->devices[i].major,
                    (unsigned)l->devices[i].minor,
                    l->devices[i].file_mode.set ? (unsigned)l->devices[i].file_mode.v & 07777 : 0666);
    fprintf(out, "ln -s /proc/self/fd \"$root\"/dev/fd\n");
    for (int i = 0; i < 3; i++)
        fprintf(out, "ln -s /proc/self/fd/%d \"$root\"/dev/%s\n", i, i == 0 ? "stdin" : i == 1 ? "stdout" : "stderr");
    fprintf(out, "ln -s pts/ptmx \"$root\"/dev/ptmx\n");
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
        quote(out, name);
        fprintf(out, " netns $pid name ");
        quote(out, inside && *inside ? inside : name);
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
    quote(out, s->resctrl.group);
    fprintf(out, "/tasks\n");
}

void explain_sysctl(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    const struct strmap *map = &s->c->spec->linux_->sysctl;
    for (size_t i = 0; i < map->n; i++) {
        own_mem char *path = sysctl_path(map->items[i].key);
        fprintf(out, "echo ");
        quote(out, map->items[i].value);
        fprintf(out, " >/proc/%s\n", path);
    }
}

void explain_names(const void *ctx, FILE *out)
{
    const struct start *s = ctx;
    if (s->c->spec->hostname && *s->c->spec->hostname) {
        fprintf(out, "hostname ");
        quote(out, s->c->spec->hostname);
        fputc('\n', out);
    }
    if (s->c->spec->domainname && *s->c->spec->domainname) {
        fprintf(out, "echo ");
        quote(out, s->c->spec->domainname);
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
        in_root(out, l->readonly_paths.items[i]);
        fprintf(out, " ] || { mount --rbind ");
        in_root(out, l->readonly_paths.items[i]);
        fputc(' ', out);
        in_root(out, l->readonly_paths.items[i]);
        fprintf(out, " && mount -o remount,bind,ro ");
        in_root(out, l->readonly_paths.items[i]);
        fprintf(out, "; }\n");
    }
    for (size_t i = 0; l && i < l->masked_paths.n; i++) {
        fprintf(out, "if [ -d ");
        in_root(out, l->masked_paths.items[i]);
        fprintf(out, " ]; then mount --bind ");
        in_root(out, "/proc/tty/ldisc"); /* is empty */
        fputc(' ', out);
        in_root(out, l->masked_paths.items[i]);
        fprintf(out, " && mount -o remount,bind,ro,nosuid,nodev,noexec ");
        in_root(out, l->masked_paths.items[i]);
        fprintf(out, " || mount -t tmpfs -o ro,nosuid,nodev,noexec,size=0,nr_inodes=2,mode=555 tmpfs ");
        in_root(out, l->masked_paths.items[i]);
        fprintf(out, "; elif [ -e ");
        in_root(out, l->masked_paths.items[i]);
        fprintf(out, " ]; then mount --bind /dev/null ");
        in_root(out, l->masked_paths.items[i]);
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
