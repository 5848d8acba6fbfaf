// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/cni.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "network/reserve.h"
#include "os/fault.h"
#include "os/fs.h"
#include "os/linux.h"
#include "os/proc.h"

enum { CONFIG_MAX = 1 << 20, RESULT_MAX = 1 << 20 };

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

static bool is_config(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (str_eq(dot, ".conflist") || str_eq(dot, ".conf") || str_eq(dot, ".json"));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files of a folder, sorted; a missing folder has none. */
static fallible files_of(const char *dir, struct strv *ret)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    if (!d)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s'", dir);
    while ((entry = readdir(d)))
        if (is_config(entry->d_name))
            strv_add_take(ret, mem_printf("%s/%s", dir, entry->d_name));
    (void)closedir(d);
    if (ret->n)
        qsort(ret->items, ret->n, sizeof *ret->items, by_name);
    return NULL;
}

/* A plugin is a program in one of the folders, and never a path. */
static fallible check_list(const json_t *list)
{
    const json_t *plugins = json_object_get(list, "plugins");
    size_t i;
    json_t *plugin;
    if (!json_array_size(plugins))
        return err_new(ERR_INVALID, "plugins: none are given");
    json_array_foreach (plugins, i, plugin) {
        const char *type = text_of(plugin, "type");
        if (!*type || strchr(type, '/') || *type == '.')
            return err_new(ERR_INVALID, "plugins[%zu]: type: '%s' is no name of a program", i, type);
    }
    return NULL;
}

static fallible read_list(const char *path, json_t **ret)
{
    own_mem char *text = NULL;
    own_json json_t *doc = NULL;
    size_t len;
    TRY(fs_read_at(AT_FDCWD, path, CONFIG_MAX, &text, &len));
    TRY(json_parse(path, text, len, &doc));
    if (json_is_object(doc) && !json_object_get(doc, "plugins") && json_object_get(doc, "type")) {
        json_t *list = json_pack("{s:s, s:s, s:[O]}", "cniVersion",
                                 *text_of(doc, "cniVersion") ? text_of(doc, "cniVersion") : "0.1.0", "name",
                                 text_of(doc, "name"), "plugins", doc);
        json_decref(doc);
        doc = list;
    }
    *ret = take(doc);
    return NULL;
}

fallible cni_find(const char *dirs, const char *name, json_t **ret_list)
{
    own_strv struct strv folders = { 0 };
    own_str struct str known = { 0 };
    strv_split(&folders, dirs, ':');
    for (size_t i = 0; i < folders.n; i++) {
        own_strv struct strv files = { 0 };
        TRY(files_of(folders.items[i], &files));
        for (size_t k = 0; k < files.n; k++) {
            own_json json_t *list = NULL;
            err *e = read_list(files.items[k], &list);
            if (e) { /* another's file may be anything */
                log_warn("cni: %s", err_text(e));
                err_free(e);
                continue;
            }
            const char *is = text_of(list, "name");
            str_printf(&known, "%s'%s'", known.len ? ", " : "", is);
            if (!str_eq(is, name))
                continue;
            TRY_AS(check_list(list), "'%s'", files.items[k]);
            *ret_list = take(list);
            return NULL;
        }
    }
    return known.len ? err_new(ERR_NOT_FOUND, "no CNI network '%s' in '%s': there are %s", name, dirs, known.text)
                     : err_new(ERR_NOT_FOUND, "no CNI network '%s': there are none in '%s'", name, dirs);
}

static bool is_capable(const json_t *plugin, const char *capability)
{
    return json_is_true(json_object_get(json_object_get(plugin, "capabilities"), capability));
}

static bool takes(const json_t *list, const char *capability)
{
    size_t i;
    json_t *plugin;
    json_array_foreach (json_object_get(list, "plugins"), i, plugin)
        if (is_capable(plugin, capability))
            return true;
    return false;
}

/* ---- one plugin -------------------------------------------------------------------------------------------------- */

static fallible find_plugin(const char *path, const char *type, char **ret)
{
    own_strv struct strv dirs = { 0 };
    strv_split(&dirs, path, ':');
    for (size_t i = 0; i < dirs.n; i++) {
        own_mem char *file = mem_printf("%s/%s", dirs.items[i], type);
        if (access(file, X_OK) == 0) {
            *ret = take(file);
            return NULL;
        }
    }
    return err_new(ERR_NOT_FOUND,
                   "no CNI plugin '%s' in '%s': install it, or say where plugins are: [network] "
                   "cni_plugins of husk.conf",
                   type, path);
}

/* The plugin's part, the list's name and version, what it can of what was asked, and what the one before answered. */
static json_t *input_of(const json_t *plan, json_t *plugin, const json_t *previous)
{
    const json_t *list = json_object_get(plan, "list");
    json_t *in = json_copy(plugin), *runtime = json_object();
    const char *capability;
    json_t *value;
    json_object_foreach (json_object_get(plan, "runtimeConfig"), capability, value)
        if (is_capable(plugin, capability))
            (void)json_object_set(runtime, capability, value);
    (void)json_object_set_new(in, "name", json_string(text_of(list, "name")));
    (void)json_object_set_new(in, "cniVersion", json_string(text_of(list, "cniVersion")));
    if (json_object_size(runtime))
        (void)json_object_set(in, "runtimeConfig", runtime);
    if (previous)
        (void)json_object_set(in, "prevResult", (json_t *)(uintptr_t)previous);
    json_decref(runtime);
    return in;
}

/* pid 0: the namespace is gone. */
static void environment(const json_t *plan, const char *command, pid_t pid, struct strv *ret)
{
    const char *path = getenv("PATH");
    strv_add_printf(ret, "CNI_COMMAND=%s", command);
    strv_add_printf(ret, "CNI_CONTAINERID=%s", text_of(plan, "id"));
    if (pid)
        strv_add_printf(ret, "CNI_NETNS=/proc/%d/ns/net", (int)pid);
    else
        strv_add(ret, "CNI_NETNS=");
    strv_add(ret, "CNI_IFNAME=" CNI_INTERFACE);
    strv_add_printf(ret, "CNI_PATH=%s", text_of(plan, "path"));
    strv_add_printf(ret, "PATH=%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin"); /* for those that run iptables */
}

static fallible answer_of(const char *type, const char *command, int status, const char *text, json_t **ret)
{
    json_t *doc = *text ? json_loads(text, 0, NULL) : NULL;
    if (status == 0) {
        *ret = doc;
        return NULL;
    }
    const char *msg = text_of(doc, "msg"), *details = text_of(doc, "details");
    err *e = err_new(ERR_UNAVAILABLE, "CNI plugin '%s': %s: %s%s%s", type, command,
                     *msg ? msg : "it failed and did not say why", *details ? ": " : "", details);
    json_decref(doc);
    return e;
}

static fallible run_plugin(const json_t *plan, const char *command, pid_t pid, json_t *plugin, const json_t *previous,
                           json_t **ret_answer)
{
    own_json json_t *in = input_of(plan, plugin, previous);
    own_mem char *file = NULL, *text = json_text(in, BIND_COMPACT), *said = NULL;
    own_strv struct strv env = { 0 };
    own_fd int in_fd = -1, out_read = -1, out_write = -1, pidfd = -1;
    int pipe_fds[2], status = 0;
    TRY(find_plugin(text_of(plan, "path"), text_of(plugin, "type"), &file));
    environment(plan, command, pid, &env);
    TRY(fs_memfd("cni", &in_fd));
    TRY(fs_write_fd(in_fd, text, strlen(text), "a plugin's input"));
    if (lseek(in_fd, 0, SEEK_SET) < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    out_read = pipe_fds[0];
    out_write = pipe_fds[1];
    char *const argv[] = { file, NULL };
    const struct spawn s = {
        .argv = argv, .env = env.items, .stdin_fd = in_fd, .stdout_fd = out_write, .stderr_fd = -1
    };
    TRY(spawn_start(&s, &pidfd));
    close_now(&out_write);
    err *e = fs_read_fd(out_read, file, RESULT_MAX, &said, NULL);
    if (e)
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    err *ended = spawn_end(&s, pidfd, &status);
    if (e) {
        err_free(ended);
        return e;
    }
    TRY(ended);
    return answer_of(text_of(plugin, "type"), command, status, said, ret_answer);
}

/* ---- a list ------------------------------------------------------------------------------------------------------ */

static json_t *port_mappings(const struct cni_wish *w)
{
    json_t *l = json_array();
    char at[IP_TEXT];
    for (size_t i = 0; i < w->ports_n; i++) {
        const struct firewall_port *p = &w->ports[i];
        json_t *o = json_pack("{s:i, s:i, s:s}", "hostPort", p->host, "containerPort", p->container, "protocol",
                              proto_word(p->proto));
        if (ip_is_set(&p->at))
            (void)json_object_set_new(o, "hostIP", json_string(ip_text(&p->at, at)));
        (void)json_array_append_new(l, o);
    }
    return l;
}

/* In bits. What may pass at once: as of the bridge's own (tc-tbf(8), burst), but not less than a hundredth of a second.
 */
static json_int_t burst(uint64_t rate)
{
    const uint64_t least = 64 * 1024 * 8, share = rate / 100, most = UINT32_MAX;
    return (json_int_t)(share < least ? least : share > most ? most : share);
}

static json_t *bandwidth(const struct rate *r)
{
    json_t *o = json_object();
    const uint64_t rates[] = { r->in, r->out };
    static const char *const keys[][2] = { { "ingressRate", "ingressBurst" }, { "egressRate", "egressBurst" } };
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
        if (rates[i]) {
            (void)json_object_set_new(o, keys[i][0], json_integer((json_int_t)rates[i]));
            (void)json_object_set_new(o, keys[i][1], json_integer(burst(rates[i])));
        }
    return o;
}

static json_t *runtime_config(const struct cni_wish *w)
{
    json_t *o = json_object(), *ips = json_array(), *aliases = json_array();
    char text[IP_TEXT];
    for (size_t i = 0; i < ARRAY_SIZE(w->ips); i++)
        if (ip_is_set(&w->ips[i]))
            (void)json_array_append_new(ips, json_string(ip_text(&w->ips[i], text)));
    for (size_t i = 0; w->aliases && i < w->aliases->n; i++)
        (void)json_array_append_new(aliases, json_string(w->aliases->items[i]));
    if (w->ports_n)
        (void)json_object_set_new(o, "portMappings", port_mappings(w));
    if (json_array_size(ips))
        (void)json_object_set(o, "ips", ips);
    if (w->mac)
        (void)json_object_set_new(o, "mac", json_string(w->mac));
    if (json_array_size(aliases))
        (void)json_object_set(o, "aliases", aliases);
    if (w->rate.in || w->rate.out)
        (void)json_object_set_new(o, "bandwidth", bandwidth(&w->rate));
    json_decref(ips);
    json_decref(aliases);
    return o;
}

static fallible check_capable(const struct cni_wish *w, json_t *runtime)
{
    static const struct {
        const char *capability, *what, *plugin;
    } known[] = {
        { "portMappings", "published ports", "add 'portmap' to it" },
        { "bandwidth", "a rate", "add 'bandwidth' to it" },
        { "ips", "an address", "set it where the plugin's address management has it" },
        { "mac", "a hardware address", "set it where the plugin has it" },
        { "aliases", "names", "add one that does, or use a network of husk's" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (json_object_get(runtime, known[i].capability) && !takes(w->list, known[i].capability))
            return err_new(ERR_UNSUPPORTED, "CNI network '%s': none of its plugins takes %s (capability %s): %s",
                           text_of(w->list, "name"), known[i].what, known[i].capability, known[i].plugin);
    return NULL;
}

fallible cni_plan(const struct cni_wish *w, json_t **ret_plan)
{
    own_json json_t *runtime = runtime_config(w);
    size_t i;
    json_t *plugin;
    json_array_foreach (json_object_get(w->list, "plugins"), i, plugin) {
        own_mem char *file = NULL;
        TRY(find_plugin(w->path, text_of(plugin, "type"), &file));
    }
    TRY(check_capable(w, runtime));
    *ret_plan = json_pack("{s:s, s:s, s:O}", "id", w->id, "path", w->path, "list", w->list);
    if (json_object_size(runtime))
        (void)json_object_set(*ret_plan, "runtimeConfig", runtime);
    return NULL;
}

static fallible write_file(int state_fd, const json_t *plan)
{
    own_mem char *text = json_text(plan, BIND_COMPACT);
    return fs_replace_at(state_fd, CNI_FILE, text, strlen(text), 0600, FS_SYNC_NONE);
}

/* *ret NULL: there is none. */
static fallible read_file(int state_fd, json_t **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    *ret = NULL;
    err *e = fs_read_at(state_fd, CNI_FILE, CONFIG_MAX + RESULT_MAX, &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    return json_parse(CNI_FILE, text, len, ret);
}

static fallible add_each(const json_t *plan, pid_t pid, json_t **ret_result)
{
    own_json json_t *result = NULL;
    size_t i;
    json_t *plugin;
    json_array_foreach (json_object_get(json_object_get(plan, "list"), "plugins"), i, plugin) {
        json_t *answer = NULL;
        TRY(run_plugin(plan, "ADD", pid, plugin, result, &answer));
        json_decref(result);
        result = answer;
        fault_here(FAULT_CNI_PLUGIN);
    }
    if (!json_is_object(result))
        return err_new(ERR_UNAVAILABLE, "CNI network '%s': its last plugin gave no result",
                       text_of(json_object_get(plan, "list"), "name"));
    *ret_result = take(result);
    return NULL;
}

fallible cni_add(const json_t *plan, pid_t pid, int state_fd)
{
    own_json json_t *result = NULL, *whole = json_copy((json_t *)(uintptr_t)plan);
    (void)json_object_del(whole, "result");
    (void)json_object_del(whole, "failed");
    TRY(write_file(state_fd, whole));
    err *e = add_each(whole, pid, &result);
    if (!e) {
        (void)json_object_set(whole, "result", result);
        e = write_file(state_fd, whole);
    }
    if (e)
        err_ignore(cni_end(state_fd), "the first error says what went wrong");
    return e;
}

fallible cni_check(int state_fd, pid_t pid)
{
    own_json json_t *plan = NULL;
    size_t i;
    json_t *plugin;
    TRY(read_file(state_fd, &plan));
    const json_t *list = json_object_get(plan, "list");
    if (!plan || json_is_true(json_object_get(list, "disableCheck")) ||
        strcmp(text_of(list, "cniVersion"), "0.4.0") < 0)
        return NULL; /* earlier versions have no CHECK */
    json_array_foreach (json_object_get(list, "plugins"), i, plugin) {
        json_t *answer = NULL;
        TRY(run_plugin(plan, "CHECK", pid, plugin, json_object_get(plan, "result"), &answer));
        json_decref(answer);
    }
    return NULL;
}

/* In the order in which a list is taken down: from the last. All are tried; the first failure is told. */
static fallible delete_each(const json_t *plan, pid_t pid)
{
    json_t *plugins = json_object_get(json_object_get(plan, "list"), "plugins");
    const json_t *result = json_object_get(plan, "result");
    err *first = NULL;
    for (size_t i = json_array_size(plugins); i-- > 0;) {
        json_t *answer = NULL;
        err *e = run_plugin(plan, "DEL", pid, json_array_get(plugins, i), result, &answer);
        json_decref(answer);
        fault_here(FAULT_CNI_PLUGIN);
        if (first)
            err_ignore(e, "the first says what went wrong");
        else
            first = e;
    }
    return first;
}

fallible cni_end(int state_fd)
{
    own_json json_t *plan = NULL;
    TRY(read_file(state_fd, &plan));
    if (!plan)
        return NULL;
    err *e = delete_each(plan, 0);
    if (e && !json_is_true(json_object_get(plan, "failed"))) {
        (void)json_object_set_new(plan, "failed", json_true());
        err_ignore(write_file(state_fd, plan), "then it is tried twice more");
        return e;
    }
    if (e)
        log_warn("container '%.12s' may have left something on its network: %s", text_of(plan, "id"), err_text(e));
    err_free(e);
    if (unlinkat(state_fd, CNI_FILE, 0) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", CNI_FILE);
    return NULL;
}

fallible cni_again(int state_fd, pid_t pid)
{
    own_json json_t *plan = NULL;
    TRY(read_file(state_fd, &plan));
    if (!plan)
        return NULL;
    err_ignore(delete_each(plan, pid), "it is made anew all the same");
    return cni_add(plan, pid, state_fd);
}

void cni_addresses(int state_fd, struct strv *ret)
{
    own_json json_t *plan = NULL;
    size_t i;
    json_t *ip;
    err *e = read_file(state_fd, &plan);
    err_ignore(e, "then none is known");
    json_array_foreach (json_object_get(json_object_get(plan, "result"), "ips"), i, ip)
        if (*text_of(ip, "address"))
            strv_add(ret, text_of(ip, "address"));
}
