/*
 * husk image diff: what is different between two images: their files, their configurations, their packages.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "cli/look_common.h"
#include "layers/packages_view.h"
#include "os/fs.h"

struct diff_opts {
    struct strv only;
    const char *format;
};

static const char *const parts[] = { "files", "config", "packages", NULL };
static const char *const formats[] = { "text", "json", NULL };

#define T struct diff_opts
static const struct opt diff_options[] = {
    OPT_STRS(0, "only", T, only, "WORD", "Compare only files, config or packages; may be given more than once",
             .words = parts),
    OPT_STR(0, "format", T, format, "WORD", "text (default) or json", .words = formats),
    OPT_END,
};
#undef T

struct diff {
    struct seen *a, *b;
    const char *below;                 /* only files there; or NULL */
    bool one;                          /* a is b without its topmost layer */
    json_t *files, *config, *packages; /* NULL: not asked for */
};

static void put(json_t *o, const char *key, json_t *take_value)
{
    (void)json_object_set_new(o, key, take_value);
}

/* ---- two files ---- */

static fallible same_contents(const char *name, const struct view_version *a, const struct view_version *b, bool *ret)
{
    static char buf_a[1 << 16], buf_b[1 << 16];
    own_fd int fa = -1;
    own_fd int fb = -1;
    *ret = a->st.st_size == b->st.st_size;
    if (!*ret || a->st.st_size == 0)
        return NULL;
    TRY(view_open_file(name, a, &fa));
    TRY(view_open_file(name, b, &fb));
    for (off_t at = 0; *ret && at < a->st.st_size;) {
        ssize_t na = pread(fa, buf_a, sizeof buf_a, at), nb = pread(fb, buf_b, sizeof buf_b, at);
        if (na <= 0 || nb <= 0)
            return err_sys(na < 0 || nb < 0 ? errno : EIO, "read '%s'", name);
        size_t n = (size_t)(na < nb ? na : nb);
        *ret = memcmp(buf_a, buf_b, n) == 0;
        at += (off_t)n;
    }
    return NULL;
}

/* All attributes but overlayfs's own, as one text: names sorted by the file system do not come in one order. */
static json_t *attributes(const char *name, const struct view_version *v)
{
    char names[4096], value[4096];
    json_t *all = json_object();
    own_mem char *path = mem_printf("/proc/self/fd/%d/%s", v->dir_fd, name);
    ssize_t n = llistxattr(path, names, sizeof names);
    for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
        if (str_starts(p, "trusted.overlay.") || str_starts(p, "user.overlay."))
            continue;
        ssize_t len = lgetxattr(path, p, value, sizeof value);
        own_str struct str hex = { 0 };
        for (ssize_t i = 0; i < len; i++)
            str_printf(&hex, "%02x", (unsigned char)value[i]);
        put(all, p, json_string(hex.text ? hex.text : ""));
    }
    return all;
}

static fallible compare_kinds(const char *name, const struct view_version *a, const struct view_version *b,
                              json_t *ret_what)
{
    mode_t type = a->st.st_mode & S_IFMT;
    if (type != (b->st.st_mode & S_IFMT)) {
        (void)json_array_append_new(ret_what, json_string("type"));
        return NULL;
    }
    if (type == S_IFREG) {
        bool same = true;
        TRY(same_contents(name, a, b, &same));
        if (!same)
            (void)json_array_append_new(ret_what, json_string("contents"));
    } else if (type == S_IFLNK) {
        own_mem char *to_a = NULL, *to_b = NULL;
        TRY(view_read_link(name, a, &to_a));
        TRY(view_read_link(name, b, &to_b));
        if (strcmp(to_a, to_b) != 0)
            (void)json_array_append_new(ret_what, json_string("target"));
    } else if ((type == S_IFCHR || type == S_IFBLK) && a->st.st_rdev != b->st.st_rdev) {
        (void)json_array_append_new(ret_what, json_string("device"));
    }
    return NULL;
}

static fallible compare(const char *name, const struct view_version *a, const struct view_version *b, json_t *ret_what)
{
    own_json json_t *attr_a = attributes(name, a), *attr_b = attributes(name, b);
    TRY(compare_kinds(name, a, b, ret_what));
    if ((a->st.st_mode & 07777) != (b->st.st_mode & 07777))
        (void)json_array_append_new(ret_what, json_string("mode"));
    if (a->st.st_uid != b->st.st_uid || a->st.st_gid != b->st.st_gid)
        (void)json_array_append_new(ret_what, json_string("owner"));
    if (!json_equal(attr_a, attr_b))
        (void)json_array_append_new(ret_what, json_string("attributes"));
    return NULL;
}

/* ---- two trees ---- */

static json_t *size_of(const struct view_version *v)
{
    return v ? json_integer(S_ISREG(v->st.st_mode) ? v->st.st_size : 0) : json_null();
}

static void add_file(struct diff *d, const char *path, const char *change, const struct view_version *a,
                     const struct view_version *b, json_t *take_what)
{
    size_t n = d->below ? strlen(d->below) : 0;
    own_json json_t *gone = take_what;
    if (n && (strncmp(path, d->below, n) != 0 || (path[n] && path[n] != '/')))
        return;
    json_t *o = json_object();
    put(o, "Path", look_json(path));
    put(o, "Change", json_string(change));
    put(o, "What", json_incref(gone));
    put(o, "SizeA", size_of(a));
    put(o, "SizeB", size_of(b));
    (void)json_array_append_new(d->files, o);
}

struct one_sided {
    struct diff *d;
    const char *change;
};
static err *add_below(void *ctx, const char *path, const char *name, const struct view_versions *versions)
{
    const struct one_sided *s = ctx;
    const struct view_version *v = view_visible(versions);
    bool added = s->change[0] == 'a';
    add_file(s->d, path, s->change, added ? NULL : v, added ? v : NULL, json_array());
    return NULL;
}

static fallible add_tree(struct diff *d, const char *path, const char *name, const struct view_versions *versions,
                         const char *change)
{
    struct one_sided side = { d, change };
    own(view_dir) struct view_dir dir = { 0 };
    TRY(add_below(&side, path, name, versions));
    if (view_visible(versions)->kind != VIEW_DIR)
        return NULL;
    TRY(view_enter(name, versions, &dir));
    return view_walk(&dir, path, add_below, &side);
}

static const char *id_of(const struct seen *s, size_t layer)
{
    return view_diff_id(s->view, layer);
}

/* Of the same layers in the same order: the same all the way down, and need not be read. */
static bool same_layers(const struct diff *d, const struct view_dir *a, const struct view_dir *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(id_of(d->a, a->at[i].layer), id_of(d->b, b->at[i].layer)) != 0)
            return false;
    return true;
}

static fallible diff_dirs(struct diff *d, const char *path, const struct view_dir *a, const struct view_dir *b,
                          int depth);

static fallible diff_entry(struct diff *d, const char *path, const char *name, const struct view_dir *a,
                           const struct view_dir *b, int depth)
{
    own(view_versions) struct view_versions va = { 0 };
    own(view_versions) struct view_versions vb = { 0 };
    own(view_dir) struct view_dir da = { 0 };
    own(view_dir) struct view_dir db = { 0 };
    TRY(view_look(a, name, VIEW_VISIBLE, &va));
    TRY(view_look(b, name, VIEW_VISIBLE, &vb));
    const struct view_version *xa = view_visible(&va), *xb = view_visible(&vb);
    if (!xa && !xb)
        return NULL;
    if (!xb)
        return add_tree(d, path, name, &va, "removed");
    if (!xa)
        return add_tree(d, path, name, &vb, "added");
    if (strcmp(id_of(d->a, xa->layer), id_of(d->b, xb->layer)) != 0) {
        own_json json_t *what = json_array();
        TRY(compare(name, xa, xb, what));
        if (json_array_size(what))
            add_file(d, path, "changed", xa, xb, json_incref(what));
    }
    if (xa->kind != VIEW_DIR && xb->kind != VIEW_DIR)
        return NULL;
    TRY(view_enter(name, xa->kind == VIEW_DIR ? &va : &(struct view_versions){ 0 }, &da));
    TRY(view_enter(name, xb->kind == VIEW_DIR ? &vb : &(struct view_versions){ 0 }, &db));
    return diff_dirs(d, path, &da, &db, depth + 1);
}

static fallible diff_dirs(struct diff *d, const char *path, const struct view_dir *a, const struct view_dir *b,
                          int depth)
{
    own_strv struct strv in_a = { 0 };
    own_strv struct strv in_b = { 0 };
    if (same_layers(d, a, b))
        return NULL;
    if (depth > 2048)
        return err_new(ERR_INVALID, "'%.200s ...': too deep", path);
    TRY(view_names(a, &in_a));
    TRY(view_names(b, &in_b));
    for (size_t i = 0, k = 0; i < in_a.n || k < in_b.n;) {
        int order = i == in_a.n ? 1 : k == in_b.n ? -1 : strcmp(in_a.items[i], in_b.items[k]);
        const char *name = order <= 0 ? in_a.items[i] : in_b.items[k];
        own_mem char *child = mem_printf("%s/%s", path, name);
        TRY(diff_entry(d, child, name, a, b, depth));
        i += order <= 0;
        k += order >= 0;
    }
    return NULL;
}

static fallible root_of(const struct seen *s, struct view_dir *ret)
{
    own(view_dir) struct view_dir top = { 0 };
    own(view_versions) struct view_versions root = { 0 };
    TRY(view_top(s->view, &top));
    TRY(view_look(&top, ".", VIEW_VISIBLE, &root));
    return view_enter(".", &root, ret);
}

static fallible diff_files(struct diff *d)
{
    own(view_dir) struct view_dir a = { 0 };
    own(view_dir) struct view_dir b = { 0 };
    TRY(root_of(d->a, &a));
    TRY(root_of(d->b, &b));
    return diff_dirs(d, "", &a, &b, 0);
}

/* ---- two configurations ---- */

static void add_value(struct diff *d, const char *field, const json_t *a, const json_t *b)
{
    if (a == b || (a && b && json_equal(a, b)))
        return;
    json_t *o = json_object();
    put(o, "Field", json_string(field));
    put(o, "A", a ? json_deep_copy(a) : json_null());
    put(o, "B", b ? json_deep_copy(b) : json_null());
    (void)json_array_append_new(d->config, o);
}

/* ["A=1"] as {"A": "1"}: an environment is compared by variable. */
static json_t *by_variable(const json_t *list)
{
    json_t *map = json_object();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        size_t n = text ? strcspn(text, "=") : 0;
        own_mem char *key = text ? mem_strndup(text, n) : NULL;
        if (text)
            put(map, key, json_string(text[n] ? text + n + 1 : ""));
    }
    return map;
}

static void diff_maps(struct diff *d, const char *field, const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)a, key, value) {
        own_mem char *name = mem_printf("%s.%s", field, key);
        add_value(d, name, value, json_object_get(b, key));
    }
    json_object_foreach ((json_t *)b, key, value) {
        own_mem char *name = mem_printf("%s.%s", field, key);
        if (!json_object_get(a, key))
            add_value(d, name, NULL, value);
    }
}

static void diff_run(struct diff *d, const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    own_json json_t *keys = json_object();
    (void)json_object_update(keys, (json_t *)a);
    (void)json_object_update(keys, (json_t *)b);
    json_object_foreach (keys, key, value) {
        const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
        if (str_eq(key, "Env")) {
            own_json json_t *env_a = by_variable(x), *env_b = by_variable(y);
            diff_maps(d, key, env_a, env_b);
        } else if (str_eq(key, "Labels")) {
            diff_maps(d, key, json_is_object(x) ? x : NULL, json_is_object(y) ? y : NULL);
        } else {
            add_value(d, key, json_is_null(x) ? NULL : x, json_is_null(y) ? NULL : y);
        }
    }
}

static fallible diff_config(struct diff *d)
{
    static const char *const top[] = { "architecture", "os", "variant", "os.version", "author" };
    own_json json_t *a = NULL, *b = NULL;
    const char *text_a = d->a->image->config_text, *text_b = d->b->image->config_text;
    TRY(json_parse("image config", text_a, strlen(text_a), &a));
    TRY(json_parse("image config", text_b, strlen(text_b), &b));
    for (size_t i = 0; i < ARRAY_SIZE(top); i++)
        add_value(d, top[i], json_object_get(a, top[i]), json_object_get(b, top[i]));
    diff_run(d, json_object_get(a, "config"), json_object_get(b, "config"));
    return NULL;
}

/* ---- packages ---- */

static fallible read_packages(struct seen *s, struct packages *p)
{
    TRY(packages_of_view(s->view, PACKAGES_DPKG, p));
    TRY(packages_of_view(s->view, PACKAGES_APK, p));
    err *e = packages_of_view(s->view, PACKAGES_RPM, p);
    if (e)
        log_warn("%s: its packages are not compared", err_text(e));
    err_ignore(e, "the rest can be compared");
    packages_sort(p);
    return NULL;
}

/* a or b may be NULL, not both. */
static void add_package(struct diff *d, const struct package *a, const struct package *b)
{
    const struct package *any = a ? a : b;
    if (!any)
        return;
    json_t *o = json_object();
    put(o, "Name", look_json(any->name));
    put(o, "Architecture", look_json(any->architecture));
    put(o, "Change", json_string(!a ? "added" : !b ? "removed" : "changed"));
    put(o, "A", a ? look_json(a->version) : json_null());
    put(o, "B", b ? look_json(b->version) : json_null());
    (void)json_array_append_new(d->packages, o);
}

static fallible diff_packages(struct diff *d)
{
    own(packages) struct packages a = { 0 };
    own(packages) struct packages b = { 0 };
    TRY(read_packages(d->a, &a));
    TRY(read_packages(d->b, &b));
    for (size_t i = 0, k = 0; i < a.n || k < b.n;) {
        int order = i == a.n ? 1 : k == b.n ? -1 : packages_compare(&a.items[i], &b.items[k]);
        if (order < 0)
            add_package(d, &a.items[i], NULL);
        else if (order > 0)
            add_package(d, NULL, &b.items[k]);
        else if (strcmp(a.items[i].version, b.items[k].version) != 0)
            add_package(d, &a.items[i], &b.items[k]);
        i += order <= 0;
        k += order >= 0;
    }
    return NULL;
}

/* ---- text ---- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static char *value_text(const json_t *value)
{
    char *text = value && !json_is_null(value) ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    return text ? text : mem_strdup("-");
}

static void print_packages(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *change = text_of(o, "Change"), *a = text_of(o, "A"), *b = text_of(o, "B");
        own_mem char *name = look_quote(text_of(o, "Name")), *va = look_quote(a), *vb = look_quote(b);
        printf("%c %s %s%s%s\n",
               change[0] == 'a'   ? '+'
               : change[0] == 'r' ? '-'
                                  : '~',
               name, va, change[0] == 'c' ? " -> " : "", vb);
    }
}

static void print_config(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        own_mem char *a = value_text(json_object_get(o, "A")), *b = value_text(json_object_get(o, "B"));
        own_mem char *field = look_quote(text_of(o, "Field"));
        printf("%s: %s -> %s\n", field, a, b);
    }
}

static void print_files(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i), *what = json_object_get(o, "What");
        char change = text_of(o, "Change")[0], a[32], b[32];
        own_mem char *path = look_quote(text_of(o, "Path"));
        uint64_t size_a = (uint64_t)json_integer_value(json_object_get(o, "SizeA"));
        uint64_t size_b = (uint64_t)json_integer_value(json_object_get(o, "SizeB"));
        printf("%c %s", change == 'a' ? 'A' : change == 'r' ? 'D' : 'C', path);
        for (size_t k = 0; k < json_array_size(what); k++)
            printf("%s%s", k ? ", " : " (", json_string_value(json_array_get(what, k)));
        if (json_array_size(what))
            putchar(')');
        if (change != 'c' && size_a + size_b)
            printf(" %s", format_bytes(size_a + size_b, a));
        else if (size_a != size_b)
            printf(" %s -> %s", format_bytes(size_a, a), format_bytes(size_b, b));
        putchar('\n');
    }
}

static void print_text(const struct diff *d)
{
    const struct {
        const char *title;
        const json_t *list;
        void (*print)(const json_t *list);
    } sections[] = { { "Configuration", d->config, print_config },
                     { "Packages", d->packages, print_packages },
                     { "Files", d->files, print_files } };
    bool first = true;
    for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
        size_t n = json_array_size(sections[i].list);
        if (!n)
            continue;
        printf("%s%s: %zu %s\n", first ? "" : "\n", sections[i].title, n, n == 1 ? "difference" : "differences");
        sections[i].print(sections[i].list);
        first = false;
    }
}

static fallible fill(struct diff *d, const struct diff_opts *o)
{
    bool all = o->only.n == 0;
    if ((all && !d->one) || strv_has(&o->only, "config")) {
        d->config = json_array();
        TRY(diff_config(d));
    }
    if ((all && !d->below) || strv_has(&o->only, "packages")) {
        d->packages = json_array();
        TRY(diff_packages(d));
    }
    if (all || strv_has(&o->only, "files")) {
        d->files = json_array();
        TRY(diff_files(d));
    }
    return NULL;
}

static void print_json(const struct diff *d)
{
    own_json json_t *doc = d->one ? json_pack("{s:s}", "Image", d->b->image->id)
                                  : json_pack("{s:s, s:s}", "A", d->a->image->id, "B", d->b->image->id);
    if (d->config)
        put(doc, "Config", json_incref(d->config));
    if (d->packages)
        put(doc, "Packages", json_incref(d->packages));
    if (d->files)
        put(doc, "Files", json_incref(d->files));
    own_mem char *text = json_dumps(doc, JSON_INDENT(2));
    printf("%s\n", text ? text : "{}");
}

static void own_drop_diff(struct diff *d)
{
    json_decref(d->files);
    json_decref(d->config);
    json_decref(d->packages);
    seen_free(d->a);
    seen_free(d->b);
}

/* What it would be without its topmost layer: of one layer, nothing. */
static fallible look_below_top(struct look *l, const char *what, struct seen **ret)
{
    own(seen) struct seen *s = mem_zalloc(sizeof *s);
    TRY(image_find(l->store, what, NULL, &s->image));
    struct strv *ids = &s->image->config->rootfs->diff_ids;
    if (!ids->n)
        return err_new(ERR_INVALID, "image '%s' has no layers", what);
    strv_pop(ids);
    TRY(view_open(l->store, s->image, &s->view));
    *ret = take(s);
    return NULL;
}

/* "/etc/" is "/etc", "/" is everything; caller frees. */
static char *path_below(const char *path)
{
    size_t n = strlen(path);
    while (n && path[n - 1] == '/')
        n--;
    return n ? mem_strndup(path, n) : NULL;
}

static fallible diff_run_command(const void *opts_, struct args args)
{
    const struct diff_opts *o = opts_;
    own(look) struct look *look = NULL;
    bool path = args.n == 2 && args.v[1][0] == '/';
    own_mem char *below = path ? path_below(args.v[1]) : NULL;
    own(diff) struct diff d = { .below = below, .one = path || args.n == 1 };
    if (d.one && strv_has(&o->only, "config"))
        return err_new(ERR_INVALID, "--only config compares two images: a layer has no configuration");
    TRY(look_open(&look));
    TRY(d.one ? look_below_top(look, args.v[0], &d.a) : look_at(look, args.v[0], &d.a));
    TRY(look_at(look, args.v[d.one ? 0 : 1], &d.b));
    TRY(look_confine(look, d.a, d.b));
    TRY(fill(&d, o));
    if (o->format && str_eq(o->format, "json"))
        print_json(&d);
    else
        print_text(&d);
    return NULL;
}

const struct command cmd_image_diff = {
    .name = "diff",
    .args = "IMAGE [IMAGE | PATH]",
    .summary = "Show what is different between two images, or what an image's topmost layer changed",
    .detail =
        "One IMAGE: what its topmost layer changed in those below it, with PATH (from /) only there. Two:\n"
        "Configuration, packages (as the databases of dpkg and apk in the images say) and files: A added, D removed,\n"
        "C changed, and in what: contents, type, target, device, mode, owner, attributes. Times are not compared.\n"
        "What both images have from the same layers is not read.",
    .opts = diff_options,
    .opts_size = sizeof(struct diff_opts),
    .min_args = 1,
    .max_args = 2,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = diff_run_command,
};
