// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "build/build_parts.h"
#include "build/run_mounts.h"
#include "engine/storage.h"
#include "os/fs.h"
#include "os/proc.h"

/* ---- the command ---- */

static bool is_single_heredoc(const struct df_instruction *i)
{
    own_mem char *name = i->heredocs_n == 1 && i->args.n == 1 ? df_heredoc_name(i->args.items[0]) : NULL;
    return name != NULL;
}

/* A here-document alone is the script; others are handed to the shell with the line that names them. */
static void command(struct build_step *s, struct strv *ret)
{
    const struct df_instruction *i = s->i;
    if (i->json) {
        strv_copy(ret, i->args.items, i->args.n);
        return;
    }
    if (is_single_heredoc(i)) {
        const char *text = i->heredocs[0].text;
        if (str_starts(text, "#!")) { /* a file of its own, by the program that it names */
            strv_add(&s->texts, i->heredocs[0].name);
            strv_add(&s->texts, text);
            strv_add_printf(ret, "/dev/pipes/%s", i->heredocs[0].name);
            return;
        }
        instruct_shell(s->run->state, text, ret);
        return;
    }
    own_str struct str all = { 0 };
    str_add(&all, i->args.items[0]);
    for (size_t k = 0; k < i->heredocs_n; k++)
        str_printf(&all, "\n%s%s", i->heredocs[k].text, i->heredocs[k].name);
    instruct_shell(s->run->state, all.text, ret);
}

static const char *const proxies[] = { "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
                                       "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy" };

/* Arguments in scope, then the image's environment over them. Proxies are there without an ARG too, and then no part of
 * the step; with one they are arguments as others. */
static void environment(struct build_step *s, struct step_parts *parts)
{
    const struct build_state *state = s->run->state;
    struct strv *env = &s->exec.env;
    for (size_t i = 0; i < ARRAY_SIZE(proxies); i++) {
        const char *value = strv_getenv(&s->b->build_args, proxies[i]);
        if (value)
            strv_add_printf(env, "%s=%s", proxies[i], value);
    }
    for (size_t i = 0; i < state->args.n; i++) {
        own_mem char *name = mem_strndup(state->args.items[i], strcspn(state->args.items[i], "="));
        if (strv_getenv(&state->config->config->env, name))
            continue;
        strv_setenv(env, state->args.items[i]);
        step_part(parts, "argument", "%s", state->args.items[i]);
    }
    for (size_t i = 0; i < state->config->config->env.n; i++) {
        strv_setenv(env, state->config->config->env.items[i]);
        step_part(parts, "environment", "%s", state->config->config->env.items[i]);
    }
}

/* "|2 A=1 B=2 " of the arguments, as BuildKit writes them. */
static void history(struct build_step *s, char **ret)
{
    const struct build_state *state = s->run->state;
    own_str struct str args = { 0 }, text = { 0 };
    size_t n = 0;
    for (size_t i = 0; i < state->args.n; i++) {
        own_mem char *name = mem_strndup(state->args.items[i], strcspn(state->args.items[i], "="));
        if (strv_getenv(&state->config->config->env, name))
            continue;
        str_printf(&args, " %s", state->args.items[i]);
        n++;
    }
    str_add(&text, "RUN ");
    if (n)
        str_printf(&text, "|%zu%s ", n, args.text);
    for (size_t i = 0; i < s->exec.argv.n; i++)
        str_printf(&text, "%s%s", i ? " " : "", s->exec.argv.items[i]);
    *ret = str_take(&text);
}

/* ---- mounts ---- */

static const struct build_secret *find_secret(const struct build *b, const char *id)
{
    for (size_t i = 0; i < b->secrets_n; i++)
        if (strcmp(b->secrets[i].id, id) == 0)
            return &b->secrets[i];
    return NULL;
}

static fallible mount_tree(struct build_step *s, struct run_mount *to, struct build_context *tree,
                           struct step_parts *parts)
{
    own_strv struct strv pattern = { 0 };
    own_mem char *digest = NULL;
    int64_t newest = 0;
    const char *source = to->mount.source;
    to->context = true;
    to->tree = tree->path;
    to->ignore = tree->ignore;
    strv_add(&pattern, source && *source ? source : ".");
    struct stat store;
    bool known = fstat(s->b->layout->fd, &store) == 0;
    struct sources sources = { .root_fd = tree->fd,
                               .ignore = tree->ignore,
                               .patterns = &pattern,
                               .what = "the context",
                               .without = known ? &store : NULL };
    TRY_AS(sources_digest(&sources, tree->hashes, &digest, &newest, NULL), "--mount");
    step_part(parts, "mounted-files", "%s", digest);
    if (newest > s->newest_s)
        s->newest_s = newest;
    return NULL;
}

/* Of the mounts before the last one. */
static bool has_agent(const struct build_step *s)
{
    for (size_t i = 0; i + 1 < s->exec.mounts_n; i++)
        if (s->exec.mounts[i].socket)
            return true;
    return false;
}

static fallible add_mount(struct build_step *s, const struct df_flag *flag, struct step_parts *parts)
{
    struct build *b = s->b;
    struct expand e = build_expand(b, s->run);
    struct build_mount m;
    TRY(build_mount_parse(flag->value, &e, &m));
    s->exec.mounts = mem_array(s->exec.mounts, s->exec.mounts_n + 1, sizeof *s->exec.mounts);
    struct run_mount *to = &s->exec.mounts[s->exec.mounts_n++];
    *to = (struct run_mount){ .mount = m };
    step_part(parts, "mount", "%d %s %s %s %d", (int)m.type, m.target ? m.target : "", m.source ? m.source : "",
              m.id ? m.id : "", m.read_only);
    if (m.type == BUILD_MOUNT_SECRET) {
        to->secret = find_secret(b, m.id);
        if (!to->secret && m.required)
            return err_new(ERR_NOT_FOUND, "--mount: secret '%s' is required: give it with --secret id=%s,src=FILE",
                           m.id, m.id);
        if (to->secret && m.env) {
            own_mem char *value = mem_strndup(to->secret->bytes, to->secret->n);
            own_mem char *pair = mem_printf("%s=%s", m.env, value);
            strv_setenv(&s->exec.env, pair);
        }
    }
    if (m.type == BUILD_MOUNT_SSH) {
        to->socket = strv_getenv(&b->ssh, m.id);
        if (!to->socket && m.required)
            return err_new(ERR_NOT_FOUND, "--mount: ssh agent '%s' is required: give it with --ssh %s", m.id, m.id);
        if (to->socket) {
            own_mem char *path =
                m.target ? mem_strdup(m.target) : run_mounts_ssh_path(s->exec.mounts, s->exec.mounts_n - 1);
            own_mem char *pair = mem_printf("SSH_AUTH_SOCK=%s", path);
            if (!has_agent(s)) /* the first is who is asked */
                strv_setenv(&s->exec.env, pair);
        }
    }
    if (m.type != BUILD_MOUNT_BIND && !(m.type == BUILD_MOUNT_CACHE && m.from))
        return NULL;
    struct build_context *tree = &b->context;
    if (m.from) {
        TRY(step_from(s, m.from, &to->lowers, &tree));
        for (size_t i = 0; i < to->lowers.n && m.type == BUILD_MOUNT_BIND; i++)
            step_part(parts, "mounted-layer", "%s", to->lowers.items[i]);
    }
    return tree ? mount_tree(s, to, tree, parts) : NULL;
}

/* VOLUME of old: what RUN writes there is thrown away. */
static void compat_volume(struct build_step *s, const char *path, struct step_parts *parts)
{
    const struct strv *ids = &s->run->state->config->rootfs->diff_ids;
    s->exec.mounts = mem_array(s->exec.mounts, s->exec.mounts_n + 1, sizeof *s->exec.mounts);
    struct run_mount *to = &s->exec.mounts[s->exec.mounts_n++];
    *to = (struct run_mount){ .mount = { .type = BUILD_MOUNT_BIND,
                                         .from = mem_strdup("this stage"),
                                         .source = mem_strdup(path),
                                         .target = mem_strdup(path),
                                         .mode = -1 },
                              .may_be_missing = true };
    strv_copy(&to->lowers, ids->items, ids->n);
    step_part(parts, "compat-volume", "%s", path);
}

/* What the options make of the step's world, where they are given: limits and proxies do not count. */
static void world(struct build_step *s, struct step_parts *parts)
{
    const struct create_options *c = &s->b->o->create;
    const struct {
        const char *name;
        const struct strv *list;
    } lists[] = { { "host", &c->add_host }, { "group", &c->group_add } };
    const struct {
        const char *name, *word;
    } words[] = { { "ipc", c->ipc }, { "pid", c->pid }, { "uts", c->uts }, { "cgroupns", c->cgroupns } };
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (size_t k = 0; k < lists[i].list->n; k++)
            step_part(parts, lists[i].name, "%s", lists[i].list->items[k]);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_eq(words[i].word, "host"))
            step_part(parts, words[i].name, "host");
    if (c->no_hosts)
        step_part(parts, "no-hosts", "1");
    if (c->no_hostname)
        step_part(parts, "no-hostname", "1");
    const struct strv *volumes = &s->run->state->config->config->volumes;
    for (size_t i = 0; s->b->o->how.compat_volumes && i < volumes->n; i++)
        compat_volume(s, volumes->items[i], parts);
}

fallible step_run_plan(struct build_step *s, struct step_parts *parts, char **ret_created_by)
{
    const struct df_instruction *i = s->i;
    const struct oci_image_run *run = s->run->state->config->config;
    const struct df_flag *network = df_flag(i, "network"), *security = df_flag(i, "security");
    struct expand e = build_expand(s->b, s->run);
    own_mem char *net = NULL;
    if (df_flag(i, "device"))
        return err_new(ERR_UNSUPPORTED, "RUN --device: husk build has no CDI devices: use `husk build --device`");
    command(s, &s->exec.argv);
    for (size_t k = 0; k < s->exec.argv.n; k++)
        step_part(parts, "command", "%s", s->exec.argv.items[k]);
    for (size_t k = 0; k < s->texts.n; k++)
        step_part(parts, "script", "%s", s->texts.items[k]);
    environment(s, parts);
    history(s, ret_created_by);
    if (network)
        TRY(expand_word(&e, network->value, &net));
    if (net && strcmp(net, "default") != 0 && strcmp(net, "none") != 0 && strcmp(net, "host") != 0)
        return err_new(ERR_INVALID, "RUN --network=%s: expected default, none or host", net);
    if (!net || strcmp(net, "default") == 0) {
        free(net);
        net = mem_strdup(s->b->o->network);
    }
    s->exec.ordinary = s->b->ordinary;
    s->network = net && strcmp(net, "default") != 0 ? take(net)
                 : s->b->no_netns                   ? mem_strdup("host")
                                                    : mem_strdup("bridge");
    s->exec.network = s->network;
    if (security && strcmp(security->value, "insecure") != 0 && strcmp(security->value, "sandbox") != 0)
        return err_new(ERR_INVALID, "RUN --security=%s: expected sandbox or insecure", security->value);
    s->exec.insecure = security && strcmp(security->value, "insecure") == 0;
    if (s->exec.insecure && !strv_has(&s->b->o->how.allow, "security.insecure"))
        return err_new(ERR_DENIED, "RUN --security=insecure: the Dockerfile may not decide that: give --allow "
                                   "security.insecure");
    s->exec.user = run->user;
    s->exec.workdir = run->working_dir && *run->working_dir ? run->working_dir : "/";
    step_part(parts, "user", "%s", run->user ? run->user : "");
    step_part(parts, "workdir", "%s", s->exec.workdir);
    step_part(parts, "network", "%s", s->exec.network);
    step_part(parts, "security", "%d", s->exec.insecure);
    s->exec.hostname = builtin_arg(s->b, "BUILDKIT_SANDBOX_HOSTNAME");
    s->exec.cache_ns = builtin_arg(s->b, "BUILDKIT_CACHE_MOUNT_NS");
    if (s->exec.hostname)
        step_part(parts, "hostname", "%s", s->exec.hostname);
    world(s, parts);
    for (size_t k = 0; k < i->flags_n; k++)
        if (strcmp(i->flags[k].name, "mount") == 0)
            TRY(add_mount(s, &i->flags[k], parts));
    return NULL;
}

/* ---- the work ---- */

/* The script of a here-document: bound to where its command is. */
static fallible put_script(struct build_step *s, const char *dir)
{
    if (s->texts.n < 2)
        return NULL;
    own_mem char *path = mem_printf("%s/script", dir);
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (fd < 0 || fchmod(fd, 0755) < 0)
        return err_sys(errno, "write '%s'", path);
    TRY(fs_write_fd(fd, s->texts.items[1], strlen(s->texts.items[1]), path));
    s->exec.script = mem_strdup(path);
    s->exec.script_target = mem_strdup(s->exec.argv.items[0]);
    return NULL;
}

fallible step_run_work(struct build_step *s, const char *dir)
{
    int code = 0;
    s->exec.engine = s->b->engine;
    s->exec.dir = dir;
    s->exec.layers = &s->run->state->config->rootfs->diff_ids;
    s->exec.options = &s->b->o->create;
    s->exec.stdin_too = s->b->o->how.stdin_too;
    TRY(storage_driver(s->b->engine, &s->exec.storage, NULL));
    TRY(put_script(s, dir));
    err *e = container_inside_another(build_run(&s->exec, &code));
    if (err_is(e, ERR_EXEC_MISSING) || err_is(e, ERR_EXEC_DENIED)) { /* the step failed: it is not our own command */
        own(err) err *cause = e;
        return err_new(ERR_CONFLICT, "%s", err_text(cause));
    }
    TRY(e);
    if (code == 0)
        return NULL;
    own_str struct str text = { 0 };
    for (size_t i = 0; i < s->exec.argv.n; i++)
        str_printf(&text, "%s%s", i ? " " : "", s->exec.argv.items[i]);
    if (code > 128 && code < 128 + 65)
        return err_new(ERR_CONFLICT, "'%s' was ended by %s", text.text, signal_name(code - 128));
    return err_new(ERR_CONFLICT, "'%s' exited with %d", text.text, code);
}
