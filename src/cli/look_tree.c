/*
 * husk image tree: layers as a tree, so that it is seen which images stand on the same ones; as text, SVG or JSON.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/look_common.h"
#include "image/ref.h"
#include "layers/layer.h"

struct tree_opts {
    bool svg, no_trunc, whatrequires;
    const char *format;
};

static const char *const formats[] = { "text", "json", NULL };

#define T struct tree_opts
static const struct opt tree_options[] = {
    OPT_FLAG(0, "svg", T, svg, "As a picture (SVG) on standard output"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole layer digests and instructions"),
    OPT_STR(0, "format", T, format, "WORD", "text (default) or json", .words = formats),
    OPT_FLAG(0, "whatrequires", T, whatrequires, "What stands on IMAGE: the layers and images above its topmost one"),
    OPT_END,
};
#undef T

enum { LAYERS_MAX = 1000 }; /* twice what overlayfs takes */

/* A layer on top of the ones above it in the tree: the same layer on another base is another node. */
struct node {
    char *diff_id, *instruction;
    struct strv names; /* of the images whose top it is */
    int64_t bytes;     /* of its tar; -1: not unpacked here */
    size_t images;     /* that have it below them or as their top */
    struct node **children;
    size_t children_n;
};

static void node_free(struct node *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->children_n; i++)
        node_free(n->children[i]);
    free(n->children);
    free(n->diff_id);
    free(n->instruction);
    strv_free(&n->names);
    free(n);
}
OWN_TYPE(node, struct node *, node_free)

static struct node *child_of(struct node *parent, struct layout *l, const struct oci_image_config *c, size_t layer)
{
    const char *id = c->rootfs->diff_ids.items[layer];
    for (size_t i = 0; i < parent->children_n; i++)
        if (strcmp(parent->children[i]->diff_id, id) == 0)
            return parent->children[i];
    struct node *n = mem_zalloc(sizeof *n);
    n->diff_id = mem_strdup(id);
    n->instruction = look_instruction(look_history(c, layer));
    n->bytes = -1;
    err_ignore(layer_size(l, id, &n->bytes), "shown as not unpacked");
    parent->children = mem_array(parent->children, parent->children_n + 1, sizeof(struct node *));
    parent->children[parent->children_n++] = n;
    return n;
}

static char *shown_name(const struct image *image)
{
    own(ref) struct ref *r = NULL;
    err *e = image->name ? ref_parse(image->name, &r) : NULL;
    err_ignore(e, "shown by its ID");
    return r ? ref_familiar(r) : mem_printf("%.12s", digest_hex(image->id));
}

static void add_image(struct node *root, struct layout *l, const struct image *image)
{
    const struct oci_image_config *c = image->config;
    struct node *at = root;
    own_mem char *name = shown_name(image);
    if (c->rootfs->diff_ids.n > LAYERS_MAX) {
        log_warn("image '%s' has %zu layers, which nothing can run: it is not shown", name, c->rootfs->diff_ids.n);
        return;
    }
    for (size_t i = 0; i < c->rootfs->diff_ids.n; i++) {
        at = child_of(at, l, c, i);
        at->images++;
    }
    if (!strv_has(&at->names, name))
        strv_add(&at->names, name);
}

/* ---- text ---- */

static void print_node(const struct node *n, const char *prefix, const char *turn, size_t number, bool whole)
{
    char size[32];
    own_str struct str names = { 0 };
    own_mem char *by = mem_strdup(n->instruction);
    if (!whole)
        look_shorten(by, 60);
    for (size_t i = 0; i < n->names.n; i++)
        str_printf(&names, "%s%s", i ? ", " : "  [", n->names.items[i]);
    if (n->names.n)
        str_add_char(&names, ']');
    printf("%s%s%2zu %.*s %8s  %s%s\n", prefix, turn, number, whole ? 200 : 12,
           whole ? n->diff_id : digest_hex(n->diff_id), n->bytes < 0 ? "?" : format_bytes((uint64_t)n->bytes, size), by,
           names.text ? names.text : "");
}

/* Layers one on the other keep their column; only where images part is there a branch. */
static void print_below(const struct node *n, const char *prefix, size_t number, bool whole)
{
    for (; n->children_n == 1; n = n->children[0], number++)
        print_node(n->children[0], prefix, "", number, whole);
    for (size_t i = 0; i < n->children_n; i++) {
        bool last = i + 1 == n->children_n;
        own_mem char *deeper = mem_printf("%s%s", prefix, last ? "   " : "\xe2\x94\x82  ");
        print_node(n->children[i], prefix, last ? "\xe2\x94\x94\xe2\x94\x80 " : "\xe2\x94\x9c\xe2\x94\x80 ", number,
                   whole);
        print_below(n->children[i], deeper, number + 1, whole);
    }
}

static void sums(const struct node *n, uint64_t *all, uint64_t *shared, size_t *layers)
{
    for (size_t i = 0; i < n->children_n; i++) {
        uint64_t bytes = n->children[i]->bytes > 0 ? (uint64_t)n->children[i]->bytes : 0;
        *all += bytes;
        *layers += 1;
        if (n->children[i]->images > 1)
            *shared += bytes;
        sums(n->children[i], all, shared, layers);
    }
}

static void print_text(const struct node *root, bool whole)
{
    char all_text[32], shared_text[32];
    uint64_t all = 0, shared = 0;
    size_t layers = 0;
    for (size_t i = 0; i < root->children_n; i++) {
        struct node *tops[] = { root->children[i] };
        struct node one = { .children = tops, .children_n = 1 };
        print_below(&one, "", 1, whole);
    }
    sums(root, &all, &shared, &layers);
    printf("%s%zu layer%s, %s; %s of it in layers that several images share\n", root->children_n ? "\n" : "", layers,
           layers == 1 ? "" : "s", format_bytes(all, all_text), format_bytes(shared, shared_text));
}

/* One image: its layers, and who else has each. */
static void users_of(const struct node *n, const char *but, struct strv *ret)
{
    for (size_t i = 0; i < n->names.n; i++)
        if (!str_eq(n->names.items[i], but))
            strv_add(ret, n->names.items[i]);
    for (size_t i = 0; i < n->children_n; i++)
        users_of(n->children[i], but, ret);
}

static const struct node *step(const struct node *n, const char *diff_id)
{
    for (size_t i = 0; i < n->children_n; i++)
        if (strcmp(n->children[i]->diff_id, diff_id) == 0)
            return n->children[i];
    return NULL;
}

static void print_image(const struct node *root, const struct image *image, bool whole)
{
    char all_text[32], own_text[32];
    uint64_t all = 0, alone = 0;
    const struct strv *ids = &image->config->rootfs->diff_ids;
    own_mem char *name = shown_name(image);
    const struct node *n = root;
    printf("%s\n", name);
    for (size_t i = 0; i < ids->n && (n = step(n, ids->items[i])); i++) {
        own_strv struct strv others = { 0 };
        users_of(n, name, &others);
        struct node shown = *n;
        shown.names = (struct strv){ 0 };
        print_node(&shown, "", "", i + 1, whole);
        for (size_t k = 0; k < others.n; k++)
            printf("%s%s%s", k ? ", " : "   shared with ", others.items[k], k + 1 == others.n ? "\n" : "");
        all += n->bytes > 0 ? (uint64_t)n->bytes : 0;
        alone += n->bytes > 0 && !others.n ? (uint64_t)n->bytes : 0;
    }
    printf("\n%zu layer%s, %s; %s of it is in no other image\n", ids->n, ids->n == 1 ? "" : "s",
           format_bytes(all, all_text), format_bytes(alone, own_text));
}

static void print_above(const struct node *root, const struct image *image, bool whole)
{
    const struct strv *ids = &image->config->rootfs->diff_ids;
    own_mem char *name = shown_name(image);
    own_strv struct strv same = { 0 };
    const struct node *n = root;
    for (size_t i = 0; i < ids->n && n; i++)
        n = step(n, ids->items[i]);
    if (!n)
        return;
    printf("%s\n", name);
    for (size_t i = 0; i < n->names.n; i++)
        if (!str_eq(n->names.items[i], name))
            printf("   the same layers: %s\n", n->names.items[i]);
    print_below(n, "", ids->n + 1, whole);
    users_of(n, name, &same);
    printf("\n%zu image%s stand%s on it\n", same.n, same.n == 1 ? "" : "s", same.n == 1 ? "s" : "");
}

/* ---- JSON ---- */

static json_t *json_node(const struct node *n)
{
    json_t *names = json_array(), *children = json_array();
    for (size_t i = 0; i < n->names.n; i++)
        (void)json_array_append_new(names, json_string(n->names.items[i]));
    for (size_t i = 0; i < n->children_n; i++)
        (void)json_array_append_new(children, json_node(n->children[i]));
    json_t *o = json_pack("{s:s, s:I, s:I, s:o, s:o}", "Layer", n->diff_id, "Bytes", (json_int_t)n->bytes, "Images",
                          (json_int_t)n->images, "Names", names, "Children", children);
    (void)json_object_set_new(o, "CreatedBy", look_json(n->instruction));
    return o;
}

static void print_json(const struct node *root)
{
    own_json json_t *all = json_array();
    for (size_t i = 0; i < root->children_n; i++)
        (void)json_array_append_new(all, json_node(root->children[i]));
    own_mem char *text = json_dumps(all, JSON_INDENT(2));
    printf("%s\n", text ? text : "[]");
}

/* ---- SVG ---- */

enum { ROW = 22, STEP = 26, LEFT = 16, TEXT_AT = 12, BAR_MAX = 160, WIDTH = 1120 };

static void add_escaped(struct str *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            str_add(out, "&lt;");
            break;
        case '>':
            str_add(out, "&gt;");
            break;
        case '&':
            str_add(out, "&amp;");
            break;
        case '"':
            str_add(out, "&quot;");
            break;
        default:
            str_add_char(out, *text);
        }
}

struct svg {
    struct str body;
    size_t row;
    uint64_t largest;
};

static void largest(const struct node *n, uint64_t *ret)
{
    if (n->bytes > 0 && (uint64_t)n->bytes > *ret)
        *ret = (uint64_t)n->bytes;
    for (size_t i = 0; i < n->children_n; i++)
        largest(n->children[i], ret);
}

/* A row: the box, coloured when images share it, as long as its layer is large; from_row: the one it stands on. */
static void svg_node(struct svg *s, const struct node *n, int column, long from_row, int from_column)
{
    char size[32];
    int x = LEFT + column * STEP, y = (int)s->row * ROW + 40;
    int bar = s->largest ? (int)(BAR_MAX * (n->bytes > 0 ? (double)n->bytes / (double)s->largest : 0)) : 0;
    if (from_row >= 0) {
        int fy = (int)from_row * ROW + 40 + 6, fx = LEFT + from_column * STEP + 4;
        str_printf(&s->body, "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#999\"/>\n", fx, fy + 6, y + 6,
                   x > fx ? x : fx);
    }
    str_printf(&s->body,
               "<g><title>%s</title><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"12\" rx=\"2\" fill=\"%s\"/>",
               n->diff_id, x, y, 8 + bar, n->images > 1 ? "#3b7dd8" : "#9bbf85");
    str_printf(&s->body, "<text x=\"%d\" y=\"%d\">%.12s  %s  ", x + 8 + bar + TEXT_AT, y + 10, digest_hex(n->diff_id),
               n->bytes < 0 ? "?" : format_bytes((uint64_t)n->bytes, size));
    own_mem char *by = mem_strdup(n->instruction);
    look_shorten(by, 70);
    add_escaped(&s->body, by);
    for (size_t i = 0; i < n->names.n; i++) {
        str_add(&s->body, i ? ", " : "  <tspan font-weight=\"bold\">");
        add_escaped(&s->body, n->names.items[i]);
    }
    str_printf(&s->body, "%s</text></g>\n", n->names.n ? "</tspan>" : "");
}

static void svg_below(struct svg *s, const struct node *n, int column, long from_row, int from_column)
{
    for (size_t i = 0; i < n->children_n; i++) {
        int here = column + (n->children_n > 1 && from_row >= 0);
        long row = (long)s->row;
        svg_node(s, n->children[i], here, from_row, from_column);
        s->row++;
        svg_below(s, n->children[i], here, row, here);
    }
}

static void print_svg(const struct node *root)
{
    struct svg s = { 0 };
    largest(root, &s.largest);
    svg_below(&s, root, 0, -1, 0);
    printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"monospace\" "
           "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
           "<text x=\"%d\" y=\"22\">Layers: blue ones are shared by several images</text>\n",
           WIDTH, (int)s.row * ROW + 60, LEFT);
    printf("%s</svg>\n", s.body.text ? s.body.text : "");
    str_free(&s.body);
}

static fallible fill(struct node *root, struct layout *l, const struct image *only)
{
    struct image **images = NULL;
    size_t n = 0;
    TRY(image_list(l, &images, &n));
    for (size_t i = 0; i < n; i++) {
        const struct strv *ids = &images[i]->config->rootfs->diff_ids;
        if (!only || (ids->n && str_eq(ids->items[0], only->config->rootfs->diff_ids.items[0])))
            add_image(root, l, images[i]);
        image_free(images[i]);
    }
    free(images);
    return NULL;
}

static fallible tree_run(const void *opts_, struct args args)
{
    const struct tree_opts *o = opts_;
    own(look) struct look *look = NULL;
    own(image) struct image *only = NULL;
    own(node) struct node *root = mem_zalloc(sizeof *root);
    if (o->svg && o->format)
        return err_new(ERR_INVALID, "--svg and --format exclude each other");
    if (o->whatrequires && (!args.n || o->svg || o->format))
        return err_new(ERR_INVALID, "--whatrequires needs an IMAGE, and is text alone");
    TRY(look_open(&look));
    TRY(look_confine(look, NULL, NULL));
    if (args.n)
        TRY(image_find(look->store, args.v[0], NULL, &only));
    if (only && !only->config->rootfs->diff_ids.n)
        return err_new(ERR_INVALID, "image '%s' has no layers", args.v[0]);
    TRY(fill(root, look->store, only));
    if (o->svg)
        print_svg(root);
    else if (o->format && str_eq(o->format, "json"))
        print_json(root);
    else if (o->whatrequires)
        print_above(root, only, o->no_trunc);
    else if (only)
        print_image(root, only, o->no_trunc);
    else
        print_text(root, o->no_trunc);
    return NULL;
}

const struct command cmd_image_tree = {
    .name = "tree",
    .args = "[IMAGE]",
    .summary = "Show the layers of images, their sizes and who shares them",
    .detail =
        "Without IMAGE: all images' layers as a tree, in which each image's name stands at its topmost layer. With\n"
        "IMAGE: its layers from the lowest up, each with the images that share it. Sizes are of the unpacked tar.",
    .opts = tree_options,
    .opts_size = sizeof(struct tree_opts),
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = tree_run,
};
