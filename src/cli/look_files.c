/*
 * husk image files, husk image cat: an image's files, without a container and without a mount.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "cli/look_common.h"
#include "os/fs.h"

struct files_opts {
    bool all, recursive;
    const char *format;
};

static const char *const formats[] = { "text", "json", NULL };

#define T struct files_opts
static const struct opt files_options[] = {
    OPT_FLAG('l', "long", T, all, "With mode, owner, size, time and layer"),
    OPT_FLAG('R', "recursive", T, recursive, "All that is below, too"),
    OPT_STR(0, "format", T, format, "WORD", "text (default), or json: one object a line", .words = formats),
    OPT_END,
};
#undef T

struct list {
    const struct files_opts *o;
    struct seen *seen;
    bool json, whole_paths;
};

static const char *type_word(mode_t mode)
{
    return S_ISDIR(mode)    ? "directory"
           : S_ISLNK(mode)  ? "link"
           : S_ISREG(mode)  ? "file"
           : S_ISCHR(mode)  ? "char-device"
           : S_ISBLK(mode)  ? "block-device"
           : S_ISFIFO(mode) ? "fifo"
                            : "socket";
}

static void print_json(const struct list *l, const char *path, const struct view_version *v, const char *target)
{
    char when[40], mode[8];
    const struct stat *st = &v->st;
    snprintf(mode, sizeof mode, "%04o", (unsigned)(st->st_mode & 07777));
    own_json json_t *o = json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "Path", look_json(path), "Type",
                                   type_word(st->st_mode), "Mode", mode, "Uid", (json_int_t)st->st_uid, "Gid",
                                   (json_int_t)st->st_gid, "Size", (json_int_t)st->st_size, "ModTime",
                                   format_time_ns(st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec, when),
                                   "Layer", view_diff_id(l->seen->view, v->layer));
    if (target)
        (void)json_object_set_new(o, "Link", look_json(target));
    own_mem char *text = json_dumps(o, JSON_COMPACT);
    printf("%s\n", text ? text : "{}");
}

static void print_long(const struct list *l, const char *shown, const struct view_version *v, const char *target)
{
    char mode[12], when[40], size[40];
    const struct stat *st = &v->st;
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        snprintf(size, sizeof size, "%u, %u", major(st->st_rdev), minor(st->st_rdev));
    else
        snprintf(size, sizeof size, "%lld", (long long)st->st_size);
    format_time_ns(st->st_mtim.tv_sec * 1000000000LL, when);
    when[16] = '\0';
    when[10] = ' ';
    own_mem char *arrow = target ? look_quote(target) : NULL;
    printf("%s %5u %5u %11s %s %3zu %s%s%s\n", look_mode(st->st_mode, mode), st->st_uid, st->st_gid, size, when,
           v->layer + 1, shown, arrow ? " -> " : "", arrow ? arrow : "");
}

static err *print_one(void *ctx, const char *path, const char *name, const struct view_versions *versions)
{
    const struct list *l = ctx;
    const struct view_version *v = view_visible(versions);
    own_mem char *target = NULL;
    own_mem char *shown = look_quote(l->whole_paths ? path : name);
    if (S_ISLNK(v->st.st_mode))
        TRY(view_read_link(name, v, &target));
    if (l->json)
        print_json(l, path, v, target);
    else if (l->o->all)
        print_long(l, shown, v, target);
    else
        printf("%s\n", shown);
    return NULL;
}

static fallible list_dir(struct list *l, const struct view_place *at)
{
    own(view_dir) struct view_dir dir = { 0 };
    own_strv struct strv names = { 0 };
    const char *base = str_eq(at->path, "/") ? "" : at->path;
    TRY(view_enter(at->name, &at->versions, &dir));
    if (l->o->recursive)
        return view_walk(&dir, base, print_one, l);
    TRY(view_names(&dir, &names));
    for (size_t i = 0; i < names.n; i++) {
        own(view_versions) struct view_versions found = { 0 };
        own_mem char *path = mem_printf("%s/%s", base, names.items[i]);
        TRY(view_look(&dir, names.items[i], VIEW_VISIBLE, &found));
        if (view_visible(&found))
            TRY(print_one(l, path, names.items[i], &found));
    }
    return NULL;
}

static fallible files_run(const void *opts_, struct args args)
{
    const struct files_opts *o = opts_;
    own(look) struct look *look = NULL;
    own(seen) struct seen *seen = NULL;
    own(view_place) struct view_place at = { 0 };
    TRY(look_open(&look));
    TRY(look_at(look, args.v[0], &seen));
    TRY(look_confine(look, seen, NULL));
    TRY(view_find(seen->view, args.n > 1 ? args.v[1] : "/", VIEW_NO_FOLLOW, VIEW_VISIBLE, &at));
    bool is_dir = view_visible(&at.versions)->kind == VIEW_DIR;
    struct list l = { o, seen, o->format && str_eq(o->format, "json"), !is_dir || o->recursive };
    return is_dir ? list_dir(&l, &at) : print_one(&l, at.path, at.name, &at.versions);
}

/* ---- cat ---- */

static fallible copy_out(int fd, const char *path)
{
    static char buf[1 << 16];
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read '%s'", path);
        if (n == 0)
            return NULL;
        TRY(fs_write_fd(STDOUT_FILENO, buf, (size_t)n, "standard output"));
    }
}

static fallible cat_one(struct seen *seen, const char *path)
{
    own(view_place) struct view_place at = { 0 };
    own_fd int fd = -1;
    TRY(view_find(seen->view, path, VIEW_FOLLOW, VIEW_VISIBLE, &at));
    const struct view_version *v = view_visible(&at.versions);
    if (v->kind == VIEW_DIR)
        return err_new(ERR_INVALID, "'%s' is a directory: husk image files lists it", path);
    TRY(view_open_file(at.name, v, &fd));
    return copy_out(fd, path);
}

static fallible cat_run(const void *opts_, struct args args)
{
    own(look) struct look *look = NULL;
    own(seen) struct seen *seen = NULL;
    TRY(look_open(&look));
    TRY(look_at(look, args.v[0], &seen));
    TRY(look_confine(look, seen, NULL));
    for (int i = 1; i < args.n; i++)
        TRY(cat_one(seen, args.v[i]));
    return NULL;
}

const struct command cmd_image_files = {
    .name = "files",
    .args = "IMAGE [PATH]",
    .summary = "List the files of an image",
    .detail =
        "'husk image ls IMAGE PATH' is the same. The layer's number in a long list counts from the lowest, 1, as in\n"
        "'husk image tree'; what it names is the layer that the file is seen from.",
    .opts = files_options,
    .opts_size = sizeof(struct files_opts),
    .min_args = 1,
    .max_args = 2,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = files_run,
};

const struct command cmd_image_cat = {
    .name = "cat",
    .args = "IMAGE PATH...",
    .summary = "Print files of an image",
    .min_args = 2,
    .max_args = -1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = cat_run,
};
