/*
 * husk info, husk version, husk system: this husk and this host.
 * Compatible with: docker info, docker version, docker system df.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "cli/cli.h"
#include "cli/elsewhere.h"
#include "cli/format.h"
#include "cli/info_docs.h"
#include "cli/table.h"
#include "engine/check.h"
#include "engine/storage.h"
#include "layers/merged.h"

struct info_opts {
    const char *format;
    bool repair, quick, force;
    const char *max;
};

#define T struct info_opts
static const struct opt format_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.Root}}'"),
    OPT_END,
};
static const struct opt check_options[] = {
    OPT_FLAG('r', "repair", T, repair, "Repair what is found"),
    OPT_GROUP("Refused"),
    OPT_FLAG('q', "quick", T, quick, "Refused: no file's bytes are read anyway"),
    OPT_FLAG('f', "force", T, force, "Refused: no container is removed"),
    OPT_STR('m', "max", T, max, "DURATION", "Refused: see `husk image prune`"),
    OPT_END,
};
#undef T

static void put(json_t *o, const char *key, json_t *take_value)
{
    (void)json_object_set_new(o, key, take_value);
}

/* "Key: value" lines, or what --format asks for. */
static fallible print_doc(const json_t *doc, const char *format)
{
    own_str struct str out = { 0 };
    const char *key;
    json_t *value;
    if (format) {
        TRY(format_render(strcmp(format, "json") == 0 ? "{{json .}}" : format, doc, &out));
        printf("%s\n", out.text ? out.text : "");
        return NULL;
    }
    json_object_foreach ((json_t *)doc, key, value) {
        own_str struct str path = { 0 };
        str_printf(&path, "{{.%s}}", key);
        TRY(format_render(path.text, doc, &out));
        printf("%-18s %s\n", key, out.text ? out.text : "");
        str_free(&out);
    }
    return NULL;
}

static fallible count_containers(struct engine *e, json_t *doc)
{
    struct container_list list;
    size_t by_status[CONTAINER_EXITED + 1] = { 0 };
    TRY(container_list(e, &(struct list_options){ .all = true }, &list));
    for (size_t i = 0; i < list.n; i++)
        by_status[list.states[i].status]++;
    put(doc, "Containers", json_integer((json_int_t)list.n));
    put(doc, "ContainersRunning",
        json_integer((json_int_t)(by_status[CONTAINER_RUNNING] + by_status[CONTAINER_RESTARTING])));
    put(doc, "ContainersPaused", json_integer((json_int_t)by_status[CONTAINER_PAUSED]));
    put(doc, "ContainersStopped",
        json_integer((json_int_t)(by_status[CONTAINER_EXITED] + by_status[CONTAINER_CREATED])));
    container_list_clear(&list);
    return NULL;
}

static fallible count_images(struct engine *e, json_t *doc)
{
    own(oci_index) struct oci_index *index = NULL;
    struct layout *layout;
    TRY(engine_layout(e, &layout));
    TRY(layout_read_index(layout, &index));
    put(doc, "Images", json_integer((json_int_t)index->manifests_n));
    return NULL;
}

static void describe_cgroups(json_t *doc)
{
    own(cgroup_host) struct cgroup_host *host = NULL;
    const char *why = NULL;
    err *e = cgroup_host_open(&host);
    if (e) {
        put(doc, "Cgroups", json_string("none"));
        put(doc, "CgroupsWhy", json_string(err_text(e)));
        err_free(e);
        return;
    }
    bool usable = cgroup_host_usable(host, &why);
    put(doc, "Cgroups", json_string(cgroup_host_mode(host)));
    put(doc, "CgroupsUsable", json_boolean(usable));
    if (!usable && why)
        put(doc, "CgroupsWhy", json_string(why));
}

/* What new layers are: files, or one EROFS file each where husk.conf asks for that and it can be mounted. */
static fallible describe_layers(struct engine *e, json_t *doc)
{
    struct layout *l;
    TRY(engine_layout(e, &l));
    own(err) err *failed = layer_form_choose(l);
    if (failed && !err_is(failed, ERR_UNSUPPORTED))
        return take(failed);
    put(doc, "Layers", json_string(failed ? "" : l->erofs ? "erofs" : "files"));
    if (failed)
        put(doc, "LayersWhy", json_string(err_text(failed)));
    return NULL;
}

static fallible describe_storage(struct engine *e, json_t *doc)
{
    enum settings_driver driver;
    own_mem char *why = NULL;
    own(err) err *failed = storage_driver(e, &driver, &why);
    if (err_is(failed, ERR_INVALID) || err_is(failed, ERR_INTERNAL))
        return take(failed);
    put(doc, "Storage", json_string(failed ? "" : settings_driver_words[driver]));
    if (failed) /* on a full disk, in a store that cannot be written: who asks wants to know why nothing works */
        why = mem_strdup(err_text(failed));
    if (why)
        put(doc, "StorageWhy", json_string(why));
    return NULL;
}

static fallible info_run(const void *opts_, struct args args)
{
    const struct info_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *doc = json_object();
    struct utsname u;
    if (uname(&u) < 0)
        return err_sys(errno, "ask the kernel its name");
    TRY(engine_open_to_look(&engine));
    put(doc, "Version", json_string(HUSK_VERSION));
    put(doc, "Root", json_string(engine->root));
    put(doc, "Run", json_string(engine->run));
    put(doc, "Rootless", json_boolean(engine_is_rootless()));
    put(doc, "Kernel", json_string(u.release));
    put(doc, "Architecture", json_string(u.machine));
    put(doc, "Processors", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    put(doc, "Memory", json_integer((json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE)));
    TRY(describe_storage(engine, doc));
    TRY(describe_layers(engine, doc));
    describe_cgroups(doc);
    TRY(count_containers(engine, doc));
    TRY(count_images(engine, doc));
    if (o->format) /* the list for people has husk's own words */
        info_add_their_names(doc, &u);
    return print_doc(doc, o->format);
}

static fallible version_run(const void *opts_, struct args args)
{
    const struct info_opts *o = opts_;
    own_json json_t *doc = json_object();
    put(doc, "Version", json_string(HUSK_VERSION));
    put(doc, "Platform", json_string(platform_of_host()));
    put(doc, "OCIRuntimeSpec", json_string(OCI_RUNTIME_VERSION));
    if (o->format) { /* what scripts ask of docker and podman: here both are this program */
        static const char *const sides[] = { "Client", "Server" };
        const char *platform = platform_of_host(), *arch = strchr(platform, '/');
        for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
            put(doc, sides[i],
                json_pack("{s:s, s:s, s:s, s:s}", "Version", HUSK_VERSION, "Os", "linux", "Arch", arch ? arch + 1 : "",
                          "OsArch", platform));
    }
    return print_doc(doc, o->format);
}

static fallible check_cmd_run(const void *opts_, struct args args)
{
    const struct info_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct check_result r;
    size_t left = 0;
    if (o->quick)
        return err_new(ERR_UNSUPPORTED, "--quick: the check reads no file's bytes as it is, which `husk verify` does: "
                                        "leave it out");
    if (o->force)
        return err_new(ERR_UNSUPPORTED, "--force: a repair removes no container that somebody made: `husk rm` does");
    if (o->max)
        return err_new(ERR_UNSUPPORTED, "--max: layers that no image needs are no damage: `husk image prune` removes "
                                        "them");
    TRY(engine_open(&engine));
    TRY(check_run(engine, o->repair ? CHECK_REPAIR : CHECK_LOOK, &r));
    for (size_t i = 0; i < r.n; i++) {
        const struct check_problem *p = &r.items[i];
        printf("%s%s%s\n", p->text,
               p->repaired  ? ": repaired"
               : p->failure ? ": not repaired: "
                            : "",
               p->failure ? p->failure : "");
        left += !p->repaired;
    }
    if (!r.n)
        printf("no problems\n");
    check_result_clear(&r);
    if (!left)
        return NULL;
    return o->repair ? err_new(ERR_CONFLICT, "%zu could not be repaired", left) : err_exit(1);
}

const struct command cmd_info = {
    .name = "info",
    .summary = "Show this host as husk sees it",
    .opts = format_options,
    .opts_size = sizeof(struct info_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = info_run,
};

const struct command cmd_version = {
    .name = "version",
    .summary = "Show husk's version",
    .opts = format_options,
    .opts_size = sizeof(struct info_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = version_run,
};

static const struct command system_check = {
    .name = "check",
    .summary = "Look for what a killed husk left behind",
    .detail = "Exit status 1 when something was found and not repaired.",
    .opts = check_options,
    .opts_size = sizeof(struct info_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = check_cmd_run,
};

static const struct command *const system_commands[] = { &system_check,
                                                         &cmd_system_df,
                                                         &cmd_events,
                                                         &cmd_system_prune,
                                                         &cmd_info,
                                                         &cmd_system_reset,
                                                         &elsewhere_connection,
                                                         &elsewhere_migrate,
                                                         &elsewhere_renumber,
                                                         &elsewhere_system_service,
                                                         NULL };

const struct command cmd_system = {
    .name = "system",
    .args = "COMMAND",
    .summary = "Manage husk itself",
    .sub = system_commands,
};
