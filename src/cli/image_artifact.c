/*
 * husk artifact: OCI artifacts, which are any files under an image's name.
 * Compatible with: podman artifact.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/image_common.h"
#include "cli/image_remote.h"
#include "cli/table.h"
#include "layers/artifact.h"
#include "layers/push.h"
#include "os/fs.h"
#include "transport/trust.h"

struct artifact_opts {
    const char *type, *file_type, *format, *title, *digest, *policy;
    struct strv annotations;
    bool quiet, append, replace, no_trunc, noheading, all, ignore;
    const char *digestfile;
    struct remote_opts remote;
};
enum { FILES_MAX = 200 };

#define T struct artifact_opts
static const struct opt add_options[] = {
    OPT_STRS(0, "annotation", T, annotations, "KEY=VALUE", "Set an annotation of the manifest"),
    OPT_FLAG('a', "append", T, append, "Add the files to the artifact that is there", .exclusive = "place"),
    OPT_STR(0, "file-type", T, file_type, "TYPE", "The files' media type (default application/octet-stream)"),
    OPT_FLAG(0, "replace", T, replace, "In the place of the artifact that has the name", .exclusive = "place"),
    OPT_STR(0, "type", T, type, "TYPE", "The artifact's type (default application/vnd.unknown.artifact.v1)"),
    OPT_END,
};
static const struct opt pull_options[] = {
    POLICY_OPTION(T),
    OPT_FLAG('q', "quiet", T, quiet, "Print only the digest"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
static const struct opt transfer_options[] = {
    OPT_STR(0, "digestfile", T, digestfile, "FILE", "Write the digest of what was pushed to this file"),
    OPT_FLAG('q', "quiet", T, quiet, "Print only the digest"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
static const struct opt ls_options[] = {
    OPT_STR(0, "format", T, format, "json|TEMPLATE", "Print this for each"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole digests"),
    OPT_FLAG('n', "noheading", T, noheading, "Without the line above the table"),
    OPT_END,
};
static const struct opt inspect_options[] = {
    OPT_STR('f', "format", T, format, "TEMPLATE", "Print this of it: its fields are Manifest, Name and Digest"),
    OPT_END,
};
static const struct opt rm_options[] = {
    OPT_FLAG('a', "all", T, all, "All artifacts"),
    OPT_FLAG('i', "ignore", T, ignore, "A name that nobody has is no error"),
    OPT_END,
};
static const struct opt extract_options[] = {
    OPT_STR(0, "digest", T, digest, "DIGEST", "Only the file with this digest"),
    OPT_STR(0, "title", T, title, "TITLE", "Only the file with this title"),
    OPT_END,
};
#undef T

/* ---- add ---- */

struct file_list {
    struct artifact_file items[FILES_MAX];
    size_t n;
};
static inline void own_drop_file_list(struct file_list *f)
{
    while (f->n)
        close_now(&f->items[--f->n].fd);
}

static fallible open_files(const struct artifact_opts *o, char **paths, int n, struct file_list *ret)
{
    if (n > FILES_MAX)
        return err_new(ERR_EXHAUSTED, "more than %d files", FILES_MAX);
    for (int i = 0; i < n; i++) {
        struct stat st;
        const char *slash = strrchr(paths[i], '/'), *title = slash ? slash + 1 : paths[i];
        own_fd int fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
            return err_sys(errno, "open '%s'", paths[i]);
        if (!S_ISREG(st.st_mode))
            return err_new(ERR_INVALID, "'%s' is no regular file", paths[i]);
        for (size_t j = 0; j < ret->n; j++)
            if (strcmp(ret->items[j].title, title) == 0)
                return err_new(ERR_INVALID, "two files have the name '%s'", title);
        ret->items[ret->n++] = (struct artifact_file){
            .fd = take_fd(&fd),
            .title = title,
            .media_type = o->file_type ? o->file_type : "application/octet-stream",
        };
    }
    return NULL;
}

static fallible add_run(const void *opts_, struct args args)
{
    const struct artifact_opts *o = opts_;
    own(ref) struct ref *ref = NULL;
    own(file_list) struct file_list files = { .n = 0 };
    own(image_session) struct image_session *s = NULL;
    own_mem char *digest = NULL;
    if (o->append && o->type)
        return err_new(ERR_INVALID, "--append leaves the artifact's type as it is: leave out --type");
    TRY(ref_parse(args.v[0], &ref));
    TRY(open_files(o, args.v + 1, args.n - 1, &files)); /* as the user that we still are */
    TRY(image_session_open(&s));
    struct artifact_wish wish = { .type = o->type, .annotations = &o->annotations };
    enum artifact_how how = o->append ? ARTIFACT_APPEND : o->replace ? ARTIFACT_REPLACE : ARTIFACT_NEW;
    err *e = artifact_add(s->store, ref, how, &wish, files.items, files.n, &digest);
    TRY(image_session_failed(s, ATTEMPT_WHOLE, e));
    printf("%s\n", digest);
    return NULL;
}

/* ---- push and pull ---- */

static fallible pull_run(const void *opts_, struct args args)
{
    const struct artifact_opts *o = opts_;
    own(ref) struct ref *ref = NULL;
    own(remote) struct remote *remote = NULL;
    own(image_session) struct image_session *s = NULL;
    own(policy) struct policy *policy = NULL;
    own(progress_view) struct progress_view *view = progress_view_new(o->quiet);
    own_strv struct strv names = { 0 };
    own_mem char *digest = NULL;
    TRY(remote_resolve(args.v[0], &names));
    TRY(ref_parse(names.items[0], &ref));
    TRY(remote_prepare(&o->remote, ref, REGISTRY_PULL, &remote));
    TRY(policy_load(o->policy, &policy));
    if (policy)
        policy_read_all_keys(policy);
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    struct trust_pull admitting = { { policy, s->store }, ref, &remote->options };
    struct pull_options options = {
        .registry = remote->options,
        .progress = progress_of_view(view),
        .admit = policy ? trust_admit_pull : NULL,
        .admit_ctx = &admitting,
    };
    TRY(image_session_failed(s, ATTEMPT_RESUMED, artifact_pull(s->store, ref, &options, &digest)));
    printf("%s\n", digest);
    return NULL;
}

static fallible push_run(const void *opts_, struct args args)
{
    const struct artifact_opts *o = opts_;
    own(ref) struct ref *from = NULL;
    own(ref) struct ref *to = NULL;
    own(remote) struct remote *remote = NULL;
    own(image_session) struct image_session *s = NULL;
    own(artifact) struct artifact *a = NULL;
    own(push_result) struct push_result *result = NULL;
    own(progress_view) struct progress_view *view = progress_view_new(o->quiet);
    own_fd int digest_fd = -1;
    TRY(ref_parse(args.v[0], &from));
    TRY(ref_parse(args.n > 1 ? args.v[1] : args.v[0], &to));
    TRY(remote_prepare(&o->remote, to, REGISTRY_PUSH, &remote));
    TRY(digestfile_open(o->digestfile, &digest_fd));
    TRY(image_session_open(&s));
    TRY(image_confine(s, -1));
    TRY(artifact_find(s->store, from, &a));
    struct push_options options = { .registry = remote->options, .progress = progress_of_view(view) };
    TRY(push_image(s->store, a->name, to, &options, &result));
    printf("%s\n", result->digest);
    return digest_fd >= 0 ? fs_write_fd(digest_fd, result->digest, strlen(result->digest), o->digestfile) : NULL;
}

/* ---- looking ---- */

static const char *type_of(const struct oci_manifest *m)
{
    return m->artifact_type && *m->artifact_type ? m->artifact_type : m->config->media_type;
}

static const struct table_column columns[] = {
    { "REPOSITORY", "Repository" },
    { "TAG", "Tag" },
    { "DIGEST", "ShortDigest" },
    { "TYPE", "Type" },
    { "SIZE", "Size" },
    { NULL, NULL },
};

static json_t *row_of(const struct artifact *a, bool whole)
{
    own(ref) struct ref *ref = NULL;
    char size[32];
    err_ignore(ref_parse(a->name, &ref), "another tool's name is shown as it is");
    own_mem char *repository = ref ? mem_printf("%s/%s", ref->registry, ref->repository) : mem_strdup(a->name);
    return json_pack("{s:s, s:s, s:s, s:s%, s:s, s:s}", "Repository", repository, "Tag",
                     ref && ref->tag ? ref->tag : "<none>", "Digest", a->digest, "ShortDigest", digest_hex(a->digest),
                     whole ? strlen(digest_hex(a->digest)) : (size_t)12, "Type", type_of(a->manifest), "Size",
                     format_bytes((uint64_t)a->size, size));
}

static fallible ls_run(const void *opts_, struct args args)
{
    const struct artifact_opts *o = opts_;
    own(image_session) struct image_session *s = NULL;
    own_json json_t *rows = json_array();
    struct artifact **list = NULL;
    size_t n = 0;
    TRY(image_session_open(&s));
    TRY(artifact_list(s->store, &list, &n));
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(rows, row_of(list[i], o->no_trunc));
        artifact_free(list[i]);
    }
    free(list);
    return o->noheading ? table_print_bare(columns, rows, o->format) : table_print(columns, rows, o->format);
}

static fallible inspect_run(const void *opts_, struct args args)
{
    const struct artifact_opts *o = opts_;
    own(image_session) struct image_session *s = NULL;
    own(artifact) struct artifact *a = NULL;
    own(ref) struct ref *ref = NULL;
    own_json json_t *manifest = NULL;
    TRY(ref_parse(args.v[0], &ref));
    TRY(image_session_open(&s));
    TRY(artifact_find(s->store, ref, &a));
    TRY(json_parse("manifest", a->text, strlen(a->text), &manifest));
    own_json json_t *doc = json_pack("{s:O, s:s, s:s}", "Manifest", manifest, "Name", a->name, "Digest", a->digest);
    if (o->format) {
        own_json json_t *one = json_pack("[O]", doc);
        return table_print(columns, one, o->format);
    }
    own_mem char *text = json_text(doc, BIND_INDENTED);
    printf("%s\n", text);
    return NULL;
}

/* ---- taking out and removing ---- */

/* A directory that is there gets the files by their titles; anything else is the file to write. */
static fallible open_target(const char *path, int *ret_fd, bool *ret_dir)
{
    own_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *ret_dir = dir >= 0;
    own_fd int fd = *ret_dir ? take_fd(&dir) : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(errno, "write '%s'", path);
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible extract_run(const void *opts_, struct args args)
{
    const struct artifact_opts *o = opts_;
    own(image_session) struct image_session *s = NULL;
    own(artifact) struct artifact *a = NULL;
    own(ref) struct ref *ref = NULL;
    own_fd int target = -1;
    size_t files = 0;
    bool dir = false;
    TRY(ref_parse(args.v[0], &ref));
    TRY(open_target(args.v[1], &target, &dir)); /* as the user that we still are */
    TRY(image_session_open(&s));
    TRY(artifact_find(s->store, ref, &a));
    TRY_AS(dir ? artifact_extract(s->store, a, o->title, o->digest, target, &files)
               : artifact_extract_one(s->store, a, o->title, o->digest, target),
           "artifact '%s'", a->name);
    return NULL;
}

struct removal {
    struct image_session *session;
    bool ignore;
};

static err *rm_one(const char *name, void *ctx)
{
    const struct removal *r = ctx;
    own(ref) struct ref *ref = NULL;
    own(artifact) struct artifact *a = NULL;
    TRY(ref_parse(name, &ref));
    err *e = artifact_find(r->session->store, ref, &a);
    if (r->ignore && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(layout_remove_name(r->session->store, a->name));
    printf("%s\n", a->digest);
    return NULL;
}

static fallible names_of_all(struct layout *l, struct strv *ret)
{
    struct artifact **list = NULL;
    size_t n = 0;
    TRY(artifact_list(l, &list, &n));
    for (size_t i = 0; i < n; i++) {
        strv_add(ret, list[i]->name);
        artifact_free(list[i]);
    }
    free(list);
    return NULL;
}

/* Its blobs go with the next removal of an image, or husk image prune: another name may need them. */
static fallible rm_run(const void *opts_, struct args args)
{
    const struct artifact_opts *o = opts_;
    own(image_session) struct image_session *s = NULL;
    own_strv struct strv all = { 0 };
    if (o->all == (args.n > 0))
        return err_new(ERR_INVALID, "needs one of NAME... and --all");
    TRY(image_session_open(&s));
    if (o->all) {
        TRY(names_of_all(s->store, &all));
        args = (struct args){ all.items, (int)all.n };
    }
    return command_each("husk artifact rm", args, rm_one, &(struct removal){ s, o->ignore });
}

#define ARTIFACT_COMMAND(id, word, arguments, what, options, min, max, function)                                       \
    static const struct command id = {                                                                                 \
        .name = word,                                                                                                  \
        .args = arguments,                                                                                             \
        .summary = what,                                                                                               \
        .opts = options,                                                                                               \
        .opts_size = sizeof(struct artifact_opts),                                                                     \
        .min_args = min,                                                                                               \
        .max_args = max,                                                                                               \
        .fail_exit = 1,                                                                                                \
        .run = function,                                                                                               \
    }
ARTIFACT_COMMAND(artifact_add_command, "add", "NAME FILE...", "Make an artifact of files", add_options, 2, -1, add_run);
ARTIFACT_COMMAND(artifact_extract_command, "extract", "NAME DIR|FILE", "Write an artifact's files", extract_options, 2,
                 2, extract_run);
ARTIFACT_COMMAND(artifact_inspect_command, "inspect", "NAME", "Show an artifact's manifest", inspect_options, 1, 1,
                 inspect_run);
ARTIFACT_COMMAND(artifact_ls_command, "ls", NULL, "List artifacts", ls_options, 0, 0, ls_run);
ARTIFACT_COMMAND(artifact_pull_command, "pull", "NAME", "Fetch an artifact from a registry", pull_options, 1, 1,
                 pull_run);
ARTIFACT_COMMAND(artifact_push_command, "push", "NAME [DESTINATION]", "Send an artifact to a registry",
                 transfer_options, 1, 2, push_run);
ARTIFACT_COMMAND(artifact_rm_command, "rm", "[NAME...]", "Remove artifacts", rm_options, 0, -1, rm_run);

static const struct command *const artifact_commands[] = {
    &artifact_add_command,  &artifact_extract_command, &artifact_inspect_command, &artifact_ls_command,
    &artifact_pull_command, &artifact_push_command,    &artifact_rm_command,      NULL,
};

const struct command cmd_artifact = {
    .name = "artifact",
    .args = "COMMAND",
    .summary = "Manage OCI artifacts: any files under an image's name",
    .sub = artifact_commands,
};
