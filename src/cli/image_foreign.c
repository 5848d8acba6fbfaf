/*
 * husk import --from podman|docker: lists the images of another engine's store, and takes them over.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_foreign.h"

#include <errno.h>
#include <fcntl.h>

#include "cli/image_common.h"
#include "cli/image_linker.h"
#include "cli/table.h"
#include "codec/bind.h"
#include "codec/toml.h"
#include "image/ref.h"
#include "image/trusted.h"
#include "layers/foreign.h"
#include "layers/import.h"
#include "os/fs.h"
#include "os/landlock.h"

enum { CONFIG_MAX = 1 << 20 };

const char *const import_engines[] = { "podman", "docker", NULL };

/* ---- where its store is ---- */

static fallible read_config(const char *path, bool toml, json_t **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    err *e = fs_read_at(AT_FDCWD, path, CONFIG_MAX, &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "the default counts then");
        return NULL;
    }
    TRY(e);
    TRY_AS(toml ? toml_parse(text, len, ret) : json_parse("configuration", text, len, ret), "'%s'", path);
    return NULL;
}

static fallible podman_root(char **ret)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    bool root = geteuid() == 0;
    own_json json_t *doc = NULL;
    own_mem char *mine = config && *config == '/' ? mem_printf("%s/containers/storage.conf", config)
                                                  : mem_printf("%s/.config/containers/storage.conf", home ? home : "");
    TRY(read_config(root ? "/etc/containers/storage.conf" : mine, true, &doc));
    const char *set = json_string_value(json_object_get(json_object_get(doc, "storage"), "graphroot"));
    *ret = set && *set == '/'     ? mem_strdup(set)
           : root                 ? mem_strdup("/var/lib/containers/storage")
           : data && *data == '/' ? mem_printf("%s/containers/storage", data)
                                  : mem_printf("%s/.local/share/containers/storage", home ? home : "");
    return NULL;
}

static fallible docker_root(char **ret)
{
    own_json json_t *doc = NULL;
    TRY(read_config("/etc/docker/daemon.json", false, &doc));
    const char *set = json_string_value(json_object_get(doc, "data-root"));
    *ret = mem_strdup(set ? set : "/var/lib/docker");
    return NULL;
}

static fallible find_root(const struct foreign_wish *wish, char **ret_path)
{
    if (wish->root)
        *ret_path = mem_strdup(wish->root);
    else
        TRY(str_eq(wish->from, "podman") ? podman_root(ret_path) : docker_root(ret_path));
    return NULL;
}

static fallible open_root(const struct foreign_wish *wish, const char *path, int *ret_fd)
{
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return err_sys(errno, "open %s's store '%s'", wish->from, path);
    return NULL;
}

/* ---- what is there ---- */

static fallible print_list(const struct foreign *f)
{
    static const struct table_column columns[] = { { "IMAGE ID", "ID" }, { "NAME", "Name" }, { NULL, NULL } };
    own_json json_t *rows = json_array();
    for (size_t i = 0; i < f->n; i++) {
        const struct strv *names = &f->images[i].names;
        own_mem char *id = mem_printf("%.12s", f->images[i].id);
        for (size_t j = 0; j < (names->n ? names->n : 1); j++)
            (void)json_array_append_new(
                rows, json_pack("{s:s,s:s}", "ID", id, "Name", names->n ? names->items[j] : "<none>"));
    }
    return table_print(columns, rows, NULL);
}

/* ---- taking over ---- */

static err *no_signature(void *ctx, const struct policy_rule *rule, const char *image)
{
    return err_new(ERR_DENIED, "it is to be signed, and that store keeps no signatures: pull it from its registry");
}

static fallible ask_policy(const struct foreign_wish *wish, struct policy *policy)
{
    const char *transport = str_eq(wish->from, "podman") ? "containers-storage" : "docker-daemon";
    return policy ? trusted_ask(policy, transport, "", NULL, no_signature, NULL) : NULL;
}

static fallible set_names(const struct image_session *s, const struct foreign_image *image,
                          const struct oci_descriptor *target)
{
    struct layout *l = s->store;
    own_mem char *id = mem_printf("sha256:%s", image->id);
    size_t named = 0;
    for (size_t i = 0; i < image->names.n; i++) {
        own(ref) struct ref *ref = NULL;
        err_ignore(ref_parse(image->names.items[i], &ref), "a name that is none of ours");
        if (!ref || ref->digest)
            continue;
        own_mem char *full = ref_full(ref);
        TRY(layout_set_name(l, full, target));
        image_say(s, "import", id, full);
        printf("%s\n", full);
        named++;
    }
    if (named)
        return NULL;
    printf("%s\n", id);
    TRY(layout_add_unnamed(l, target));
    image_say(s, "import", id, id);
    return NULL;
}

static void report(const struct foreign_image *image, const struct untar_origin *o)
{
    fprintf(stderr,
            "%.12s: files of its layers: %llu hard links, %llu clones (reflink), %llu copies; %llu layers were here\n",
            image->id, (unsigned long long)o->linked, (unsigned long long)o->cloned, (unsigned long long)o->copied,
            (unsigned long long)o->layers_here);
}

static fallible take_one(struct image_session *s, const struct foreign *f, const struct foreign_image *image,
                         bool packed, struct linker *linker)
{
    own(import_target) struct oci_descriptor *target = NULL;
    struct untar_origin origin = { .fd = -1, .link = linker_link, .ctx = linker };
    TRY(foreign_take(f, image, s->store, packed, &origin, &target));
    report(image, &origin);
    return set_names(s, image, target);
}

static fallible take_images(const struct foreign_wish *wish, struct args names, struct image_session *s,
                            const struct foreign *f, struct linker *linker)
{
    for (size_t i = 0; wish->all && i < f->n; i++)
        TRY(take_one(s, f, &f->images[i], wish->packed, linker));
    for (int i = 0; i < names.n; i++) {
        const struct foreign_image *image = NULL;
        TRY(foreign_find(f, names.v[i], &image));
        TRY(take_one(s, f, image, wish->packed, linker));
    }
    return NULL;
}

fallible import_foreign(const struct foreign_wish *wish, struct args names)
{
    own(image_session) struct image_session *s = NULL;
    own(policy) struct policy *policy = NULL;
    own(foreign) struct foreign *f = NULL;
    own(linker) struct linker *linker = NULL;
    own_mem char *path = NULL;
    own_fd int root_fd = -1;
    enum foreign_engine engine = str_eq(wish->from, "podman") ? FOREIGN_PODMAN : FOREIGN_DOCKER;
    if (wish->all && names.n)
        return err_new(ERR_INVALID, "--all and '%s' exclude each other", names.v[0]);
    TRY(find_root(wish, &path)); /* while we are the user */
    TRY(policy_load(wish->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY(image_session_open(&s));
    TRY(open_root(wish, path, &root_fd)); /* in the mount namespace in which our store is: links join no two */
    TRY(linker_start(&linker));
    struct landlock_path theirs = { root_fd, path, LANDLOCK_READ };
    TRY(image_confine_paths(s->store, &theirs, 1));
    TRY_AS(foreign_open(engine, take_fd(&root_fd), &f), "%s's store '%s'", wish->from, path);
    if (!wish->all && !names.n)
        return print_list(f);
    TRY(ask_policy(wish, policy));
    err *e = take_images(wish, names, s, f, linker);
    return image_session_failed(s, ATTEMPT_WHOLE, e ? err_wrap(e, "%s's store '%s'", wish->from, path) : NULL);
}
