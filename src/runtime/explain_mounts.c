// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "rootfs/options.h"
#include "runtime/start.h"

/* The rows that fill the new root, as shell commands: mounts and devices. */

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
    explain_in_root(out, m->destination);
    fprintf(out, " | while read -r m; do mount -o remount,bind,%s \"$(printf %%b \"$m\")\"; done\n", below->text);
}

static void propagation_line(const struct oci_mount *m, FILE *out)
{
    for (size_t i = 0; i < m->options.n; i++) {
        if (is_propagation(m->options.items[i])) {
            fprintf(out, "mount --make-%s ", m->options.items[i]);
            explain_in_root(out, m->destination);
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
    explain_word(out, source);
    fprintf(out, " ]; then mkdir -p ");
    explain_in_root(out, m->destination);
    fprintf(out, "; else mkdir -p \"$(dirname ");
    explain_in_root(out, m->destination);
    fprintf(out, ")\"; [ -e ");
    explain_in_root(out, m->destination);
    fprintf(out, " ] || : >");
    explain_in_root(out, m->destination);
    fprintf(out, "; fi\nmount --%s ", o->bind_depth == MOUNT_RECURSIVE ? "rbind" : "bind");
    explain_word(out, source);
    fputc(' ', out);
    explain_in_root(out, m->destination);
    fputc('\n', out);
    if (words.len) {
        fprintf(out, "mount -o remount,bind,%s ", words.text);
        explain_in_root(out, m->destination);
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
        explain_in_root(out, m->destination);
        fprintf(out, " -o %snosuid,nodev,noexec\n", ro);
        return;
    }
    fprintf(out, "if [ \"$(stat -fc %%T /sys/fs/cgroup)\" = cgroup2fs ]; then\n  mount -t cgroup2 cgroup ");
    explain_in_root(out, m->destination);
    fprintf(out, " -o %snosuid,nodev,noexec\nelse\n  mount -t tmpfs tmpfs ", ro);
    explain_in_root(out, m->destination);
    fprintf(out, " -o mode=755,nosuid,nodev,noexec\n  for h in /sys/fs/cgroup/*/; do\n    h=$(basename \"$h\")\n    [ "
                 "-d \"/sys/fs/cgroup/$h\"");
    explain_word(out, s->cgroup_path);
    fprintf(out, " ] || continue\n    mkdir ");
    explain_in_root(out, m->destination);
    fprintf(out, "/\"$h\"\n    mount --bind \"/sys/fs/cgroup/$h\"");
    explain_word(out, s->cgroup_path);
    fputc(' ', out);
    explain_in_root(out, m->destination);
    fprintf(out, "/\"$h\"\n    mount -o remount,bind,%snosuid,nodev,noexec ", ro);
    explain_in_root(out, m->destination);
    fprintf(out, "/\"$h\"\n  done\n");
    if (*ro) {
        fprintf(out, "  mount -o remount,bind,ro,nosuid,nodev,noexec ");
        explain_in_root(out, m->destination);
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
    explain_in_root(out, m->destination);
    fputc('\n', out);
    if (str_eq(m->type, "cgroup") || str_eq(m->type, "cgroup2")) {
        cgroup_lines(s, m, out);
        return;
    }
    option_list(m, &words, &below);
    fprintf(out, "mount -t %s %s ", m->type ? m->type : "none", m->source && *m->source ? m->source : m->type);
    explain_in_root(out, m->destination);
    if (words.len) {
        fprintf(out, " -o ");
        explain_word(out, words.text);
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
        explain_in_root(out, path);
        fprintf(out, "; mount --bind ");
        explain_word(out, path);
        fputc(' ', out);
        explain_in_root(out, path);
        fputc('\n', out);
        return;
    }
    fprintf(out, "mknod -m %04o ", mode);
    explain_in_root(out, path);
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
