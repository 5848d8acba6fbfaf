// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/container_parts.h"
#include "engine/image_remove.h"
#include "engine/storage.h"
#include "engine/userns.h"
#include "os/fs.h"

enum { CONFIG_MAX = 1 << 20 };

static void fill_run(const struct container_config *k, bool volumes, struct oci_image_run *run)
{
    strv_copy(&run->env, k->env.items, k->env.n);
    strv_copy(&run->entrypoint, k->entrypoint.items, k->entrypoint.n);
    strv_copy(&run->cmd, k->cmd.items, k->cmd.n);
    for (size_t i = 0; i < k->labels.n; i++)
        strmap_set(&run->labels, k->labels.items[i].key, k->labels.items[i].value);
    for (size_t i = 0; i < k->mounts_n; i++)
        if (k->mounts[i].from_image || (volumes && str_eq(k->mounts[i].type, "volume")))
            strv_add(&run->volumes, k->mounts[i].target);
    strv_copy(&run->exposed_ports, k->exposed.items, k->exposed.n);
    run->user = mem_strdup(k->user);
    run->working_dir = mem_strdup(k->workdir);
    run->stop_signal = mem_strdup(k->stop_signal);
}

/* Variables by their names, since a list of them that replaced the other would lose $PATH. */
static void merge_env(json_t *env, const json_t *said)
{
    for (size_t i = 0; i < json_array_size(said); i++) {
        const char *text = json_string_value(json_array_get(said, i));
        size_t n = text ? strcspn(text, "=") : 0, at = 0;
        while (text && at < json_array_size(env)) {
            const char *had = json_string_value(json_array_get(env, at));
            if (had && strncmp(had, text, n) == 0 && (had[n] == '=' || !had[n]))
                break;
            at++;
        }
        if (at < json_array_size(env))
            (void)json_array_set(env, at, json_array_get(said, i));
        else
            (void)json_array_append(env, json_array_get(said, i));
    }
}

/* --config: maps (Labels, Volumes, ExposedPorts) grow, all else that is named is as it says. Source: podman-commit(1).
 */
static fallible merge_config(const char *text, size_t len, struct oci_image_run **run)
{
    void *checked = NULL, *merged = NULL;
    json_error_t e;
    TRY(bind_read(&oci_image_run_type, text, len, &checked)); /* says what is of the wrong kind, and where */
    bind_free(&oci_image_run_type, checked);
    own_json json_t *said = json_loadb(text, len, 0, &e);
    own_json json_t *doc = bind_write_json(&oci_image_run_type, *run);
    if (!said)
        return err_new(ERR_INVALID, "%s", e.text);
    json_t *env = json_object_get(said, "Env");
    if (json_is_array(env) && json_object_get(doc, "Env")) {
        merge_env(json_object_get(doc, "Env"), env);
        (void)json_object_del(said, "Env");
    }
    (void)json_object_update_recursive(doc, said);
    TRY(bind_read_json(&oci_image_run_type, doc, &merged));
    bind_free(&oci_image_run_type, *run);
    *run = merged;
    return NULL;
}

static fallible read_config(const char *path, struct oci_image_run **run)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(str_eq(path, "-") ? fs_read_fd(STDIN_FILENO, "standard input", CONFIG_MAX, &text, &len)
                          : fs_read_at(AT_FDCWD, path, CONFIG_MAX, &text, &len));
    return merge_config(text, len, run);
}

static char *command_text(const struct container_config *k)
{
    own_str struct str s = { 0 };
    const struct strv *lists[] = { &k->entrypoint, &k->cmd };
    for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
        for (size_t i = 0; i < lists[l]->n; i++)
            str_printf(&s, "%s%s", s.len ? " " : "", lists[l]->items[i]);
    return str_take(&s);
}

static fallible make_plan(struct container *c, const struct commit_options *o, struct commit_plan **ret)
{
    const struct container_config *k;
    TRY(container_config(c, &k));
    if (k->rootfs || !c->row.manifest)
        return err_new(ERR_UNSUPPORTED,
                       "container '%s' has a directory as its root and no image to put a layer on: use `husk export` "
                       "and `husk import`",
                       c->row.name);
    if (!userns_is_shifted(k) && (k->uid_map.n > 1 || k->gid_map.n > 1 || (k->uid_map.n && engine_is_rootless())))
        return err_new(
            ERR_UNSUPPORTED,
            "container '%s' has a map of several ranges, and its files' owners cannot be told back: use `husk "
            "export` while it runs",
            c->row.name);
    own(commit_plan) struct commit_plan *p = mem_zalloc(sizeof *p);
    p->run = mem_zalloc(sizeof *p->run);
    p->manifest = mem_strdup(c->row.manifest);
    p->first_id = k->userns_first;
    p->author = mem_strdup(o->author);
    p->message = mem_strdup(o->message);
    p->created_by = command_text(k);
    p->name = mem_strdup(o->name);
    p->container = mem_strdup(c->row.id);
    container_diff_skip(k, &p->skip);
    strv_copy(&p->changes, o->changes->items, o->changes->n);
    fill_run(k, o->volumes, p->run);
    if (o->config)
        TRY_AS(read_config(o->config, &p->run), "--config '%s'", o->config);
    *ret = take(p);
    return NULL;
}

static fallible read_id(int fd, char **ret)
{
    char text[256];
    size_t n = 0;
    ssize_t got;
    while ((got = read(fd, text + n, sizeof text - 1 - n)) != 0) {
        if (got < 0 && errno != EINTR)
            return err_sys(errno, "read the image's ID");
        n += got > 0 ? (size_t)got : 0;
    }
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    *ret = mem_strdup(text);
    return NULL;
}

static fallible run_image_program(const struct commit_plan *plan, char **ret_id)
{
    own_mem char *program = NULL, *text = bind_write(&commit_plan_type, plan, BIND_COMPACT);
    own_fd int memory = -1, pidfd = -1;
    int ends[2], status = 0;
    TRY(self_find_program("husk-image", &program));
    TRY(fs_memfd("commit plan", &memory));
    TRY(fs_write_fd(memory, text, strlen(text), "the plan"));
    if (lseek(memory, 0, SEEK_SET) < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int from = ends[0], to = ends[1];
    char word[] = "commit";
    char *argv[] = { program, word, NULL };
    const struct spawn s = { .argv = argv, .stdin_fd = memory, .stdout_fd = to, .stderr_fd = -1 };
    TRY(spawn_start(&s, &pidfd));
    close_now(&to);
    err *e = read_id(from, ret_id);
    err *ended = spawn_end(&s, pidfd, &status);
    if (e || ended) {
        err_ignore(e ? ended : NULL, "the first error says what went wrong");
        return e ? e : ended;
    }
    return proc_exit_code(status) ? err_exit(proc_exit_code(status)) : NULL; /* it has said why */
}

/* Only what runs is paused, and what cannot be is read all the same unless the user asked for the pause. */
static fallible pause_it(struct container *c, bool asked, bool *ret_paused)
{
    struct container_state s = { 0 };
    TRY(container_state(c, &s));
    enum container_status status = s.waits ? CONTAINER_CREATED : s.status;
    container_state_clear(&s);
    if (!asked || status != CONTAINER_RUNNING)
        return NULL;
    err *e = container_pause(c);
    *ret_paused = !e;
    if (err_is(e, ERR_UNSUPPORTED) || err_is(e, ERR_DENIED)) {
        log_warn("commit: %s; it is read while it runs", err_text(e));
        err_free(e);
        return NULL;
    }
    return e;
}

static fallible write_iidfile(const char *path, const char *id)
{
    return path ? fs_write_out(AT_FDCWD, path, id, strlen(id)) : NULL;
}

fallible container_commit(struct container *c, const struct commit_options *o)
{
    own(commit_plan) struct commit_plan *plan = NULL;
    own_mem char *id = NULL;
    struct storage_hold hold = STORAGE_HOLD_NONE;
    bool paused = false;
    TRY(make_plan(c, o, &plan));
    TRY(pause_it(c, o->pause, &paused));
    err *e = storage_upper(c, &plan->upper, &hold);
    if (!e)
        e = run_image_program(plan, &id);
    storage_upper_end(plan->upper, &hold);
    if (paused)
        err_ignore(container_unpause(c), "it was killed meanwhile");
    if (e) /* on a full disk a layer without its image would be in somebody's way */
        err_ignore(image_sweep(c->engine, false, NULL), "the next one does it");
    TRY(e);
    TRY_AS(write_iidfile(o->iidfile, id), "--iidfile");
    if (!o->quiet || !o->iidfile)
        printf("%s\n", id);
    container_say(c, "commit", "imageID", id, "imageRef", o->name, NULL);
    return NULL;
}
