/*
 * The layers' progress on stderr: on a terminal one line each, redrawn in place; otherwise one plain line per layer and
 * stage.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/parse.h"
#include "cli/image_common.h"

struct row {
    char *id;
    enum progress_state state;
    int64_t done, total;
};

struct progress_view {
    bool quiet, terminal;
    pthread_mutex_t mutex;
    struct row *rows;
    size_t n;
    size_t drawn; /* lines on the screen that are ours to redraw */
    uint64_t drawn_ns;
};

enum { BAR_WIDTH = 30, REDRAW_NS = 80000000 };

static const char *const words[] = {
    [PROGRESS_WAITING] = "Waiting",
    [PROGRESS_DOWNLOADING] = "Downloading",
    [PROGRESS_EXTRACTING] = "Extracting",
    [PROGRESS_DONE] = "Pull complete",
    [PROGRESS_EXISTS] = "Already exists",
    [PROGRESS_PUSHING] = "Pushing",
    [PROGRESS_PUSHED] = "Pushed",
    [PROGRESS_REMOTE] = "Layer already exists",
    [PROGRESS_MOUNTED] = "Mounted from another repository",
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static size_t screen_size(bool rows)
{
    struct winsize size = { 0 };
    if (ioctl(2, TIOCGWINSZ, &size) < 0)
        return rows ? 24 : 80;
    size_t n = rows ? size.ws_row : size.ws_col;
    return n ? n : rows ? 24 : 80;
}

static bool is_moving(enum progress_state s)
{
    return s == PROGRESS_DOWNLOADING || s == PROGRESS_EXTRACTING || s == PROGRESS_PUSHING;
}

static void add_bar(struct str *s, const struct row *r)
{
    char done[32], total[32];
    int64_t most = r->total > 0 ? r->total : 1;
    int64_t at = r->done < 0 ? 0 : r->done > most ? most : r->done;
    int full = (int)((double)at / (double)most * BAR_WIDTH);
    str_add(s, "  [");
    for (int i = 0; i < BAR_WIDTH; i++)
        str_add_char(s, i < full ? '=' : i == full ? '>' : ' ');
    str_printf(s, "]  %s/%s", format_bytes((uint64_t)at, done), format_bytes((uint64_t)r->total, total));
}

static void draw(struct progress_view *v)
{
    own_str struct str out = { 0 };
    size_t width = screen_size(false), height = screen_size(true);
    /* What has scrolled off the top can't be redrawn: only the last rows are, when there are more than the screen has.
     */
    size_t first = v->n + 1 > height ? v->n + 1 - height : 0;
    if (v->drawn)
        str_printf(&out, "\033[%zuA", v->drawn);
    for (size_t i = first; i < v->n; i++) {
        own_str struct str line = { 0 };
        str_printf(&line, "%s: %s", v->rows[i].id, words[v->rows[i].state]);
        if (is_moving(v->rows[i].state))
            add_bar(&line, &v->rows[i]);
        str_printf(&out, "\r\033[K%.*s\n", (int)width - 1, line.text);
    }
    v->drawn = v->n - first;
    v->drawn_ns = now_ns();
    fputs(out.text ? out.text : "", stderr);
    fflush(stderr);
}

static void on_begin(void *ctx, size_t layers, const char *const *ids)
{
    struct progress_view *v = ctx;
    pthread_mutex_lock(&v->mutex);
    for (size_t i = 0; i < v->n; i++)
        free(v->rows[i].id);
    free(v->rows);
    v->rows = mem_zalloc((layers + 1) * sizeof *v->rows);
    for (size_t i = 0; i < layers; i++)
        v->rows[i].id = mem_strdup(ids[i]);
    v->n = layers;
    v->drawn = 0;
    if (v->terminal)
        draw(v);
    pthread_mutex_unlock(&v->mutex);
}

static void on_layer(void *ctx, size_t layer, enum progress_state state, int64_t done, int64_t total)
{
    struct progress_view *v = ctx;
    pthread_mutex_lock(&v->mutex);
    if (layer < v->n) {
        struct row *r = &v->rows[layer];
        bool news = r->state != state;
        r->state = state;
        r->done = done;
        r->total = total;
        if (v->terminal && (news || now_ns() - v->drawn_ns > REDRAW_NS))
            draw(v);
        else if (!v->terminal && news)
            fprintf(stderr, "%s: %s\n", r->id, words[state]);
    }
    pthread_mutex_unlock(&v->mutex);
}

static void on_line(void *ctx, const char *text)
{
    struct progress_view *v = ctx;
    pthread_mutex_lock(&v->mutex);
    fprintf(stderr, "%s\n", text);
    v->drawn = 0;
    pthread_mutex_unlock(&v->mutex);
}

struct progress_view *progress_view_new(bool quiet)
{
    const char *term = getenv("TERM");
    struct progress_view *v = mem_zalloc(sizeof *v);
    v->quiet = quiet;
    v->terminal = isatty(2) && term && strcmp(term, "dumb") != 0;
    pthread_mutex_init(&v->mutex, NULL);
    return v;
}

struct progress progress_of_view(struct progress_view *v)
{
    if (v->quiet)
        return (struct progress){ 0 };
    return (struct progress){ .ctx = v, .begin = on_begin, .layer = on_layer, .line = on_line };
}

void progress_view_free(struct progress_view *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n; i++)
        free(v->rows[i].id);
    free(v->rows);
    pthread_mutex_destroy(&v->mutex);
    free(v);
}
