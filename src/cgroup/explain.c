// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup/devices.h"
#include "cgroup/group.h"

struct printer {
    FILE *out;
    struct strv made; /* directories that the script has by now */
};

static void print_made(struct printer *p, const char *dir)
{
    if (strv_has(&p->made, dir))
        return;
    strv_add(&p->made, dir);
    fprintf(p->out, "mkdir -p %s\n", dir);
}

static err *print_write(void *ctx, const struct part *p, const char *what, const char *file, const char *value)
{
    struct printer *to = ctx;
    (void)what;
    print_made(to, p->dir); /* some groups are made for a limit alone */
    fprintf(to->out, "echo '%s' > %s/%s\n", value, p->dir, file);
    return NULL;
}

static void print_devices(const struct part *p, const struct oci_resources *r, FILE *out)
{
    own(device_rules) struct device_rules d = { 0 };
    err *e = devices_read(r->devices, r->devices_n, &d);
    if (e) {
        fprintf(out, "# %s\n", err_text(e));
        err_ignore(e, "explain goes on");
        return;
    }
    if (!p) {
        fprintf(out, "# a BPF program decides over devices: %s all but %zu exceptions\n", d.allow ? "allow" : "deny",
                d.n);
        return;
    }
    fprintf(out, "echo a > %s/%s\n", p->dir, d.allow ? "devices.allow" : "devices.deny");
    for (size_t i = 0; i < d.n; i++) {
        char line[64];
        devices_line(&d.exceptions[i], line);
        fprintf(out, "echo '%s' > %s/%s\n", line, p->dir, d.allow ? "devices.deny" : "devices.allow");
    }
}

void cgroup_explain(const struct cgroup_host *h, const char *path, const struct oci_resources *resources, FILE *out)
{
    static const struct oci_resources none = { 0 };
    own(cgroup) struct cgroup *g = NULL;
    const struct oci_resources *r = resources ? resources : &none;
    struct printer printer = { .out = out };
    if (!h)
        return;
    err *e = cgroup_open(h, path, &g);
    if (!e) {
        for (size_t i = 0; i < g->n; i++)
            if (g->parts[i].v2 || limits_need(h, &g->parts[i], r, group_v2(g) != NULL))
                print_made(&printer, g->parts[i].dir);
        e = limits_walk(g, r, LIMITS_NEW, print_write, &printer);
        if (r->devices_n)
            print_devices(group_part(g, "devices"), r, out);
    }
    strv_free(&printer.made);
    if (e)
        fprintf(out, "# %s\n", err_text(e));
    err_ignore(e, "explain goes on");
}
