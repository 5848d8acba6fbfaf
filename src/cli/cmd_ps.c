/*
 * husk ps: list containers.
 * Compatible with: docker ps, podman ps.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "engine/health.h"
#include "engine/network.h"
#include "engine/network_wish.h"

struct ps_opts {
    bool all, quiet, no_trunc, latest, size, noheading, pod, namespaces, external, sync;
    struct opt_i64 last, watch;
    const char *format, *sort;
    struct strv filter;
};

static const char *const words_sort[] = { "command", "created", "id", "image", "names", "runningfor", "status", NULL };

#define T struct ps_opts
static const struct opt ps_options[] = {
    OPT_FLAG('a', "all", T, all, "Those that do not run too"),
    OPT_FLAG('q', "quiet", T, quiet, "Only IDs"),
    OPT_STRS('f', "filter", T, filter, "KEY=VALUE",
             "id, name (a regular expression), label, status, ancestor, exited, volume, network, before, since, until, "
             "health, publish, expose, is-task, restart-policy, pod"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.ID}} {{.Names}}'"),
    OPT_I64('n', "last", T, last, "N", "The newest ones, whatever their state"),
    OPT_FLAG('l', "latest", T, latest, "The newest one, whatever its state"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole IDs and commands"),
    OPT_FLAG('s', "size", T, size, "How much each has written, and with its image"),
    OPT_FLAG('p', "pod", T, pod, "With the pod that each is in"),
    OPT_FLAG(0, "namespace", T, namespaces, "The numbers of each one's namespaces"),
    OPT_FLAG(0, "ns", T, namespaces, "The same as --namespace"),
    OPT_I64('w', "watch", T, watch, "SECONDS", "Show them again and again, so far apart"),
    OPT_STR(0, "sort", T, sort, "FIELD", "The order (default: the newest first)", .words = words_sort),
    OPT_FLAG(0, "noheading", T, noheading, "Without the line above the table"),
    OPT_GROUP("Refused"),
    OPT_FLAG(0, "external", T, external, "Refused: there are no containers of others"),
    OPT_FLAG(0, "sync", T, sync, "Refused: each look asks the kernel"),
    OPT_END,
};
#undef T

static const struct table_column columns[] = {
    { "CONTAINER ID", "ID" }, { "IMAGE", "Image" }, { "COMMAND", "Command" }, { "CREATED", "RunningFor" },
    { "STATUS", "Status" },   { "PORTS", "Ports" }, { "NAMES", "Names" },     { 0 },
};
static const struct table_column columns_pod[] = {
    { "CONTAINER ID", "ID" }, { "IMAGE", "Image" },
    { "COMMAND", "Command" }, { "CREATED", "RunningFor" },
    { "STATUS", "Status" },   { "PORTS", "Ports" },
    { "NAMES", "Names" },     { "POD ID", "Pod" },
    { "PODNAME", "PodName" }, { 0 },
};
static const struct table_column columns_size[] = {
    { "CONTAINER ID", "ID" },    { "IMAGE", "Image" },   { "COMMAND", "Command" },
    { "CREATED", "RunningFor" }, { "STATUS", "Status" }, { "PORTS", "Ports" },
    { "NAMES", "Names" },        { "SIZE", "Size" },     { 0 },
};

static const struct table_column columns_namespaces[] = {
    { "CONTAINER ID", "ID" },
    { "NAMES", "Names" },
    { "PID", "PID" },
    { "CGROUPNS", "CGROUPNS" },
    { "IPC", "IPC" },
    { "MNT", "MNT" },
    { "NET", "NET" },
    { "PIDNS", "PIDNS" },
    { "USERNS", "USERNS" },
    { "UTS", "UTS" },
    { 0 },
};

static char *command_text(const struct container_config *c, bool whole)
{
    own_str struct str s = { 0 };
    const struct strv *lists[] = { &c->entrypoint, &c->cmd };
    for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
        for (size_t i = 0; i < lists[l]->n; i++) { /* as docker: what has a blank in it is one argument */
            const char *word = lists[l]->items[i], *mark = s.len && strchr(word, ' ') ? "'" : "";
            str_printf(&s, "%s%s%s%s", s.len ? " " : "", mark, word, mark);
        }
    for (char *p = s.text; p && *p; p++)
        if ((unsigned char)*p < ' ') /* a table's line stays one line, and a terminal is told nothing */
            *p = ' ';
    if (whole || s.len <= 20)
        return mem_printf("\"%s\"", s.text ? s.text : "");
    return mem_printf("\"%.19s\xe2\x80\xa6\"", s.text);
}

static const char *health_text(struct container *c)
{
    const char *word = c->config->health ? health_word(c) : "none";
    return strcmp(word, "healthy") == 0     ? " (healthy)"
           : strcmp(word, "unhealthy") == 0 ? " (unhealthy)"
           : strcmp(word, "starting") == 0  ? " (health: starting)"
                                            : "";
}

static char *status_text(struct container *c, const struct container_state *s)
{
    char words[64], when[96];
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t up = s->started_ns ? now.tv_sec - s->started_ns / 1000000000 : 0;
    if (s->waits)
        return mem_strdup("Initialized");
    const char *duration = format_duration(up > 0 ? (uint64_t)up : 0, words);
    switch (s->status) {
    case CONTAINER_CREATED:
        return mem_strdup("Created");
    case CONTAINER_RUNNING:
        return mem_printf("Up %s%s", duration, health_text(c));
    case CONTAINER_PAUSED:
        return mem_printf("Up %s (Paused)", duration);
    case CONTAINER_RESTARTING:
        return mem_printf("Restarting (%lld) %s", (long long)s->exit_code, ago(s->finished_ns, when));
    case CONTAINER_EXITED:
        break;
    }
    const char *ended = ago(s->finished_ns, when);
    return mem_printf("Exited (%lld)%s%s", (long long)s->exit_code, *ended ? " " : "", ended);
}

static char *mounts_text(const struct container_config *c)
{
    own_str struct str s = { 0 };
    for (size_t i = 0; i < c->mounts_n; i++)
        if (c->mounts[i].source)
            str_printf(&s, "%s%s", s.len ? "," : "", c->mounts[i].source);
    return str_take(&s);
}

static char *joined(const struct strv *words)
{
    own_str struct str s = { 0 };
    for (size_t i = 0; i < words->n; i++)
        str_printf(&s, "%s%s", i ? "," : "", words->items[i]);
    return str_take(&s);
}

static size_t volumes_of(const struct container_config *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->mounts_n; i++)
        n += strcmp(c->mounts[i].type, "volume") == 0;
    return n;
}

static bool asks_for(const char *format, const char *field)
{
    return format && strstr(format, field);
}

static void set(json_t *row, const char *key, const char *text)
{
    (void)json_object_set_new(row, key, json_string(text ? text : ""));
}

static void set_take(json_t *row, const char *key, char *take_text)
{
    set(row, key, take_text);
    free(take_text);
}

/* "12kB (virtual 4.5MB)": as docker has it. */
static fallible set_size(json_t *row, struct container *c)
{
    char writable[32], whole[32];
    uint64_t own_bytes = 0, all_bytes = 0;
    TRY(container_size(c, &own_bytes, &all_bytes));
    set_take(row, "Size",
             mem_printf("%s (virtual %s)", format_bytes(own_bytes, writable), format_bytes(all_bytes, whole)));
    return NULL;
}

static fallible set_pod(json_t *row, struct container *c, bool whole)
{
    own(db_pod) struct db_pod pod = { 0 };
    struct db *db;
    set_take(row, "Pod", mem_printf(whole ? "%s" : SHORT_ID, c->row.pod));
    TRY(engine_db(c->engine, &db));
    err *e = db_pod_find(db, c->row.pod, &pod);
    err_ignore(e, "then without its name");
    set(row, "PodName", pod.name);
    return NULL;
}

/* The kernel's numbers of its first process's namespaces, as podman shows them; of one that does not run: nothing. */
static void set_namespaces(json_t *row, const struct container_state *s)
{
    static const struct {
        const char *key, *file;
    } kinds[] = { { "CGROUPNS", "cgroup" }, { "IPC", "ipc" },     { "MNT", "mnt" }, { "NET", "net" },
                  { "PIDNS", "pid" },       { "USERNS", "user" }, { "UTS", "uts" } };
    bool runs = s->status == CONTAINER_RUNNING || s->status == CONTAINER_PAUSED;
    set_take(row, "PID", runs ? mem_printf("%d", (int)s->init.pid) : NULL);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        char number[64] = "";
        own_mem char *path = mem_printf("/proc/%d/ns/%s", (int)s->init.pid, kinds[i].file);
        ssize_t n = runs ? readlink(path, number, sizeof number - 1) : -1; /* "net:[4026531840]" */
        number[n > 0 ? n : 0] = '\0';
        const char *digits = strchr(number, '[');
        set_take(row, kinds[i].key, digits ? mem_strndup(digits + 1, strspn(digits + 1, "0123456789")) : NULL);
    }
}

/* Podman's words for them in a template: {{.MNT}}, and {{.Namespaces.MNT}}. */
static void add_namespaces(json_t *o, const struct container_state *s, const char *format)
{
    static const char *const inside[][2] = { { "Cgroup", "CGROUPNS" }, { "IPC", "IPC" },     { "MNT", "MNT" },
                                             { "NET", "NET" },         { "PIDNS", "PIDNS" }, { "USERNS", "USERNS" },
                                             { "UTS", "UTS" } };
    static const char *const asked[] = { ".Namespaces", ".CGROUPNS", ".Cgroup", ".IPC", ".MNT",
                                         ".NET",        ".PIDNS",    ".USERNS", ".UTS" };
    bool wanted = false;
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
        wanted = wanted || asks_for(format, asked[i]);
    if (!wanted) /* seven links of each to read */
        return;
    set_namespaces(o, s);
    (void)json_object_del(o, "PID");
    (void)json_object_set(o, "Cgroup", json_object_get(o, "CGROUPNS"));
    json_t *all = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
        (void)json_object_set(all, inside[i][0], json_object_get(o, inside[i][1]));
    (void)json_object_set(all, "User", json_object_get(o, "USERNS"));
    (void)json_object_set_new(o, "Namespaces", all);
}

static void set_number(json_t *row, const char *key, int64_t n)
{
    (void)json_object_set_new(row, key, json_integer(n));
}

/* Podman's fields: not printed with the whole row, which is docker's. */
static void add_unprinted(json_t *o, struct container *c, const struct container_state *s,
                          const struct container_config *config, const char *format)
{
    char when[96];
    set(o, "Pod", "");
    set(o, "PodName", "");
    set_number(o, "Pid", s->status == CONTAINER_RUNNING || s->status == CONTAINER_PAUSED ? s->init.pid : 0);
    set_number(o, "ExitCode", s->exit_code);
    (void)json_object_set_new(o, "Exited", json_boolean(s->status == CONTAINER_EXITED));
    set_number(o, "ExitedAt", s->finished_ns / 1000000000);
    set_number(o, "StartedAt", s->started_ns / 1000000000);
    set(o, "Created", ago(c->row.created_ns, when));
    set(o, "CreatedHuman", when);
    set(o, "ImageID", c->row.image_id ? digest_hex(c->row.image_id) : "");
    if (asks_for(format, ".Restarts")) /* a file of each */
        set_number(o, "Restarts", container_restarts(c));
    set_take(o, "ExposedPorts", joined(&config->exposed));
    (void)json_object_set_new(o, "AutoRemove", json_boolean(config->auto_remove));
    (void)json_object_set_new(o, "IsInfra", json_boolean(config->infra));
    add_namespaces(o, s, format);
}

/* How many ports follow each other here and there, beginning with a row's, which are marked as said. The rows are in
 * the order of the container's ports, so those of several addresses alternate. */
static size_t port_range(const struct db_ports *l, size_t first, bool *said)
{
    const struct db_port *from = &l->items[first];
    size_t n = 1;
    for (size_t i = first + 1; i < l->n; i++) {
        const struct db_port *p = &l->items[i];
        if (said[i] || !str_eq(p->host_ip, from->host_ip) || !str_eq(p->proto, from->proto) ||
            p->host_port != from->host_port + (int64_t)n || p->container_port != from->container_port + (int64_t)n)
            continue;
        said[i] = true;
        n++;
    }
    return n;
}

static void add_ports(struct str *s, int64_t first, size_t n)
{
    str_printf(s, "%lld", (long long)first);
    if (n > 1)
        str_printf(s, "-%lld", (long long)first + (long long)n - 1);
}

/* "0.0.0.0:8080->80/tcp, 0.0.0.0:7000-7009->7000-7009/tcp, 443/tcp", as docker and podman. */
static char *ports_text(struct container *c, const struct container_config *config)
{
    struct str s = { 0 };
    own(db_ports) struct db_ports l = { 0 };
    struct db *db = NULL;
    const char *mode = config->network;
    bool may = network_mode_is_ours(mode) || network_pasta(mode, NULL) || network_cni(mode);
    bool connected = may && network_is_published(c->engine, c->row.id);
    if (connected && !engine_db(c->engine, &db))
        err_ignore(db_port_list(db, c->row.id, &l), "then none is shown");
    own_mem bool *said = mem_zalloc(l.n + 1);
    for (size_t i = 0; i < l.n; i++) {
        const struct db_port *p = &l.items[i];
        bool v6 = strchr(p->host_ip, ':') != NULL;
        if (said[i])
            continue;
        if (!p->host_port) { /* open at its own address: as docker shows it */
            str_printf(&s, "%s%lld/%s", s.len ? ", " : "", (long long)p->container_port, p->proto);
            continue;
        }
        size_t n = port_range(&l, i, said);
        str_printf(&s, "%s%s%s%s:", s.len ? ", " : "", v6 ? "[" : "", *p->host_ip ? p->host_ip : "0.0.0.0",
                   v6 ? "]" : "");
        add_ports(&s, p->host_port, n);
        str_add(&s, "->");
        add_ports(&s, p->container_port, n);
        str_printf(&s, "/%s", p->proto);
    }
    for (size_t i = 0; connected && i < config->exposed.n; i++) {
        bool published = false;
        for (size_t j = 0; j < l.n; j++) {
            own_mem char *key = mem_printf("%lld/%s", (long long)l.items[j].container_port, l.items[j].proto);
            published |= str_eq(key, config->exposed.items[i]);
        }
        if (!published)
            str_printf(&s, "%s%s", s.len ? ", " : "", config->exposed.items[i]);
    }
    return str_take(&s);
}

char *container_networks_text(struct container *c)
{
    struct str s = { 0 };
    const struct container_config *config;
    err *e = container_config(c, &config);
    if (e) {
        err_ignore(e, "then none is shown");
        return mem_strdup("");
    }
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db = NULL;
    if (!network_mode_is_ours(config->network))
        return mem_strdup(config->network);
    if (!engine_db(c->engine, &db))
        err_ignore(db_endpoint_list(db, c->row.id, NULL, &l), "then none is shown");
    for (size_t i = 0; i < l.n; i++) {
        own(network) struct network *n = NULL;
        if (!network_find(c->engine, l.items[i].network, &n))
            str_printf(&s, "%s%s", s.len ? "," : "", n->row.name);
    }
    return str_take(&s);
}

static bool wants_size(const struct ps_opts *o)
{
    return o->size || asks_for(o->format, ".Size");
}

/* What no table shows by itself. */
static void set_more(json_t *row, struct container *c, const struct container_state *s,
                     const struct container_config *config, const char *format)
{
    char iso[40];
    set(row, "CreatedAt", format_time_local(c->row.created_ns, iso));
    set(row, "State", container_state_word(s));
    table_set_labels(row, &config->labels);
    set_take(row, "Mounts", mounts_text(config));
    set_take(row, "Networks", container_networks_text(c));
    set_take(row, "LocalVolumes", mem_printf("%zu", volumes_of(config)));
    set(row, "Platform", config->platform);
    add_unprinted(table_unprinted(row), c, s, config, format);
}

static fallible make_row(struct container *c, const struct container_state *s, const struct ps_opts *o, json_t *rows)
{
    const struct container_config *config;
    char when[96];
    TRY(container_config(c, &config));
    json_t *row = json_object();
    set_take(row, "ID", mem_printf(o->no_trunc ? "%s" : SHORT_ID, c->row.id));
    set(row, "Image", c->row.image ? c->row.image : config->rootfs);
    set_take(row, "Command", command_text(config, o->no_trunc));
    set(row, "RunningFor", ago(c->row.created_ns, when));
    set_take(row, "Status", status_text(c, s));
    set_take(row, "Ports", ports_text(c, config));
    set(row, "Names", c->row.name);
    if (o->format || o->sort)
        set_more(row, c, s, config, o->format);
    if (c->row.pod)
        TRY(set_pod(row, c, o->no_trunc));
    else if (o->pod)
        (void)json_object_update_new(row, json_pack("{s:s, s:s}", "Pod", "", "PodName", ""));
    if (o->namespaces)
        set_namespaces(row, s);
    (void)json_array_append_new(rows, row);
    return wants_size(o) ? set_size(row, c) : NULL;
}

struct sorting {
    size_t at;
    const char *key; /* of the row */
    const json_t *row;
};

static int by_key(const void *a_, const void *b_)
{
    const struct sorting *a = a_, *b = b_;
    const char *x = json_string_value(json_object_get(a->row, a->key)),
               *y = json_string_value(json_object_get(b->row, b->key));
    int order = strcmp(x ? x : "", y ? y : "");
    return order ? order : (a->at > b->at) - (a->at < b->at);
}

/* Podman's --sort; the list comes newest first, which is the opposite of "created" and the order of "runningfor". */
static int by_age(const void *a_, const void *b_)
{
    const struct sorting *a = a_, *b = b_;
    return (a->at < b->at) - (a->at > b->at);
}

static json_t *sorted(const json_t *rows, const char *field)
{
    static const struct {
        const char *field, *key;
    } keys[] = {
        { "command", "Command" }, { "id", "ID" }, { "image", "Image" }, { "names", "Names" }, { "status", "Status" }
    };
    size_t n = json_array_size(rows);
    json_t *out = json_array();
    own_mem struct sorting *items = mem_array(NULL, n + 1, sizeof *items);
    const char *key = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (field && strcmp(keys[i].field, field) == 0)
            key = keys[i].key;
    for (size_t i = 0; i < n; i++)
        items[i] = (struct sorting){ .at = i, .key = key, .row = json_array_get(rows, i) };
    if (key || str_eq(field, "created"))
        qsort(items, n, sizeof *items, key ? by_key : by_age);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append(out, (json_t *)items[i].row);
    return out;
}

static fallible print_list(const struct container_list *list, const struct ps_opts *o)
{
    if (o->quiet && !o->format && !o->sort) {
        for (size_t i = 0; i < list->n; i++)
            printf(o->no_trunc ? "%s\n" : SHORT_ID "\n", list->items[i]->row.id);
        return NULL;
    }
    own_json json_t *rows = json_array();
    for (size_t i = 0; i < list->n; i++)
        TRY(make_row(list->items[i], &list->states[i], o, rows));
    own_json json_t *ordered = sorted(rows, o->sort);
    if (o->quiet && !o->format)
        return table_print(columns, ordered, "{{.ID}}");
    const struct table_column *shown = o->size         ? columns_size
                                       : o->pod        ? columns_pod
                                       : o->namespaces ? columns_namespaces
                                                       : columns;
    return o->noheading ? table_print_bare(shown, ordered, o->format) : table_print(shown, ordered, o->format);
}

static fallible look(struct engine *e, const struct list_options *wish, const struct ps_opts *o)
{
    struct container_list list = { 0 };
    TRY(container_list(e, wish, &list));
    err *failed = print_list(&list, o);
    container_list_clear(&list);
    return failed;
}

static fallible watch(struct engine *e, const struct list_options *wish, const struct ps_opts *o)
{
    bool redraw = isatty(STDOUT_FILENO) && !o->format && !o->quiet;
    for (;;) {
        struct timespec between = { .tv_sec = o->watch.v };
        if (redraw)
            printf("\033[H\033[2J");
        TRY(look(e, wish, o));
        if (fflush(stdout) != 0)
            return NULL; /* nobody reads on */
        (void)nanosleep(&between, NULL);
    }
}

static fallible check(const struct ps_opts *o)
{
    if (o->pod + o->size + o->namespaces > 1)
        return err_new(ERR_INVALID, "%s and %s exclude each other: say which fields with --format",
                       o->pod ? "--pod" : "--namespace", o->size ? "--size" : "--namespace");
    if (o->last.set && o->last.v < -1) /* docker's own default: all */
        return err_new(ERR_INVALID, "--last: it must not be negative");
    if (o->watch.set && (o->watch.v < 1 || o->watch.v > 86400))
        return err_new(ERR_INVALID, "--watch: it is from 1 to 86400");
    if (o->external)
        return err_new(ERR_UNSUPPORTED, "--external: no other program keeps containers in husk's store, and a build "
                                        "leaves none there: leave it out");
    if (o->sync)
        return err_new(ERR_UNSUPPORTED, "--sync: husk keeps no state that could be old, each look asks the kernel: "
                                        "leave it out");
    return NULL;
}

static fallible ps_run(const void *opts_, struct args args)
{
    const struct ps_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct list_options wish = { .all = o->all,
                                 .last = o->latest       ? 1
                                         : o->last.v < 0 ? 0
                                                         : o->last.v,
                                 .filters = &o->filter };
    TRY(check(o));
    TRY(o->watch.set ? engine_open(&engine) : engine_open_to_look(&engine));
    return o->watch.set ? watch(engine, &wish, o) : look(engine, &wish, o);
}

#define PS_COMMAND(word)                                                                                               \
    {                                                                                                                  \
        .name = word, .summary = "List containers", .opts = ps_options, .opts_size = sizeof(struct ps_opts),           \
        .max_args = 0, .fail_exit = 1, .run = ps_run,                                                                  \
    }
const struct command cmd_ps = PS_COMMAND("ps");
const struct command cmd_container_ls = PS_COMMAND("ls");
