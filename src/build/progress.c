// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/progress.h"

#include <jansson.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/mem.h"
#include "base/parse.h"
#include "codec/digest.h"
#include "image/auth.h"

enum { TAIL_MAX = 8 << 10, LINE_MAX_SHOWN = 16 << 10 };
enum form { FORM_PLAIN, FORM_TTY, FORM_JSON, FORM_QUIET };

struct shown {
    char *title, *vertex; /* vertex: what rawjson calls it */
    struct timespec begun;
    int64_t begun_ns; /* CLOCK_REALTIME */
    struct str line;  /* begun and not ended */
    struct str tail;
    bool working;
};
struct progress_out {
    enum form form;
    struct shown *items; /* by number */
    size_t n;
    int drawn; /* lines below the cursor's home */
};

fallible progress_out_new(const char *kind, struct progress_out **ret)
{
    static const struct {
        const char *word;
        enum form form;
    } forms[] = { { "plain", FORM_PLAIN }, { "tty", FORM_TTY }, { "rawjson", FORM_JSON }, { "quiet", FORM_QUIET } };
    own(progress_out) struct progress_out *p = mem_zalloc(sizeof *p);
    bool found = false;
    if (!kind) /* as docker, which has no other way to say it to a compose or a make */
        kind = getenv("BUILDKIT_PROGRESS");
    if (!kind || strcmp(kind, "auto") == 0)
        kind = isatty(STDERR_FILENO) ? "tty" : "plain";
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
        if (strcmp(kind, forms[i].word) == 0) {
            p->form = forms[i].form;
            found = true;
        }
    if (!found)
        return err_new(ERR_INVALID, "--progress: '%s': expected auto, plain, tty, rawjson or quiet", kind);
    *ret = take(p);
    return NULL;
}

static double seconds_since(const struct timespec *t)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - t->tv_sec) + (double)(now.tv_nsec - t->tv_nsec) / 1e9;
}

static void erase(struct progress_out *p)
{
    for (; p->drawn > 0; p->drawn--)
        fputs("\033[A\033[2K", stderr);
}

static int columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 10 ? w.ws_col : 80;
}

static void draw_line(struct progress_out *p, const char *text, size_t n, int width)
{
    if ((int)n > width - 1)
        n = (size_t)(width - 1);
    for (size_t i = 0; i < n; i++)
        fputc((unsigned char)text[i] < ' ' || text[i] == 127 ? ' ' : text[i], stderr);
    fputc('\n', stderr);
    p->drawn++;
}

static void draw(struct progress_out *p)
{
    int width = columns();
    for (size_t i = 0; i < p->n; i++) {
        const struct shown *s = &p->items[i];
        if (!s->working)
            continue;
        own_mem char *line = mem_printf(" => %s %.1fs", s->title, seconds_since(&s->begun));
        draw_line(p, line, strlen(line), width);
        size_t end = s->tail.len, start;
        while (end && strchr("\r\n", s->tail.text[end - 1])) /* a bar that is drawn anew is a line */
            end--;
        for (start = end; start && !strchr("\r\n", s->tail.text[start - 1]); start--)
            ;
        if (end > start) {
            own_mem char *last = mem_printf("    %.*s", (int)(end - start), s->tail.text + start);
            draw_line(p, last, strlen(last), width);
        }
    }
    (void)fflush(stderr);
}

/* ---- rawjson: what a client of BuildKit reads, a SolveStatus a line ---- */

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static json_t *time_json(int64_t ns)
{
    char buf[40];
    return json_string(format_time_ns(ns, buf));
}

/* A string, which is no error when it is no UTF-8. */
static json_t *text_json(const char *text)
{
    json_t *o = json_string(text);
    return o ? o : json_string("?");
}

static json_t *bytes_json(const char *bytes, size_t n)
{
    own_mem char *text = base64_encode(bytes, n);
    return json_string(text);
}

/* {"vertexes":[o]} and the like. Takes o. */
static void say_json(const char *list, json_t *o)
{
    json_t *status = json_pack("{s:[o]}", list, o);
    char *line = json_dumps(status, JSON_COMPACT);
    fprintf(stderr, "%s\n", line ? line : "{}");
    free(line);
    json_decref(status);
}

/* A step has no digest before it is done, and the vertex only has to be another than the others. */
static char *vertex_of(int number, const char *title)
{
    own_mem char *text = mem_printf("%d %s", number, title);
    return digest_of(text, strlen(text));
}

static json_t *vertex_json(const struct shown *s)
{
    return json_pack("{s:s, s:o, s:o}", "digest", s->vertex, "name", text_json(s->title), "started",
                     time_json(s->begun_ns));
}

static void say_json_end(const struct shown *s, enum progress_end how, const char *note)
{
    json_t *o = vertex_json(s);
    (void)json_object_set_new(o, "completed", time_json(now_ns()));
    if (how == PROGRESS_CACHED)
        (void)json_object_set_new(o, "cached", json_true());
    if (how == PROGRESS_FAILED)
        (void)json_object_set_new(o, "error", text_json(note ? note : "it failed"));
    say_json("vertexes", o);
}

static void say_json_output(const struct shown *s)
{
    own_mem char *line = mem_printf("%s\n", s->line.text ? s->line.text : "");
    say_json("logs", json_pack("{s:s, s:i, s:o, s:o}", "vertex", s->vertex, "stream", 1, "data",
                               bytes_json(line, strlen(line)), "timestamp", time_json(now_ns())));
}

/* What is said of the whole build is about no vertex. */
static void say_json_note(const char *text)
{
    if (str_starts(text, "warning: "))
        say_json("warnings", json_pack("{s:i, s:o}", "level", 1, "short",
                                       bytes_json(text + strlen("warning: "), strlen(text) - strlen("warning: "))));
    else
        say_json("statuses", json_pack("{s:o, s:o}", "id", text_json(text), "timestamp", time_json(now_ns())));
}

/* ---- steps ---- */

void progress_step(struct progress_out *p, int number, const char *title)
{
    if ((size_t)number >= p->n) {
        p->items = mem_array(p->items, (size_t)number + 1, sizeof *p->items);
        memset(p->items + p->n, 0, ((size_t)number + 1 - p->n) * sizeof *p->items);
        p->n = (size_t)number + 1;
    }
    struct shown *s = &p->items[number];
    s->title = mem_strdup(title);
    s->working = true;
    (void)clock_gettime(CLOCK_MONOTONIC, &s->begun);
    if (p->form == FORM_PLAIN)
        fprintf(stderr, "#%d %s\n", number, title);
    if (p->form == FORM_JSON) {
        s->begun_ns = now_ns();
        s->vertex = vertex_of(number, title);
        say_json("vertexes", vertex_json(s));
    }
    progress_tick(p);
}

static void keep_tail(struct shown *s, const char *bytes, size_t n)
{
    str_add_n(&s->tail, bytes, n);
    if (s->tail.len > 2 * TAIL_MAX) {
        size_t drop = s->tail.len - TAIL_MAX;
        memmove(s->tail.text, s->tail.text + drop, s->tail.len - drop + 1);
        s->tail.len -= drop;
    }
}

static void plain_line(struct progress_out *p, int number, struct shown *s)
{
    if (p->form == FORM_JSON)
        say_json_output(s);
    else if (p->form == FORM_PLAIN)
        fprintf(stderr, "#%d %.3f %s\n", number, seconds_since(&s->begun), s->line.text ? s->line.text : "");
    str_free(&s->line);
}

void progress_output(struct progress_out *p, int number, const char *bytes, size_t n)
{
    struct shown *s = &p->items[number];
    keep_tail(s, bytes, n);
    if (p->form == FORM_TTY || p->form == FORM_QUIET)
        return;
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\n' || s->line.len > LINE_MAX_SHOWN)
            plain_line(p, number, s);
        if (bytes[i] != '\n' && bytes[i] != '\r')
            str_add_char(&s->line, bytes[i]);
    }
}

void progress_end(struct progress_out *p, int number, enum progress_end how, const char *note)
{
    struct shown *s = &p->items[number];
    const char *word = how == PROGRESS_CACHED ? "CACHED" : how == PROGRESS_FAILED ? "ERROR" : "DONE";
    if (s->line.len)
        plain_line(p, number, s);
    s->working = false;
    if (p->form == FORM_JSON) {
        say_json_end(s, how, note);
    } else if (p->form == FORM_PLAIN) {
        if (how == PROGRESS_DONE)
            fprintf(stderr, "#%d DONE %.1fs%s%s\n", number, seconds_since(&s->begun), note ? " " : "",
                    note ? note : "");
        else
            fprintf(stderr, "#%d %s\n", number, word);
    } else if (p->form == FORM_TTY) {
        erase(p);
        if (how == PROGRESS_CACHED)
            fprintf(stderr, " => CACHED %s\n", s->title);
        else
            fprintf(stderr, " => %s%s %.1fs\n", how == PROGRESS_FAILED ? "ERROR " : "", s->title,
                    seconds_since(&s->begun));
        draw(p);
    }
}

void progress_note(struct progress_out *p, const char *text)
{
    if (p->form == FORM_QUIET)
        return;
    erase(p);
    if (p->form == FORM_JSON)
        say_json_note(text);
    else
        fprintf(stderr, "%s\n", text);
    if (p->form == FORM_TTY)
        draw(p);
}

void progress_tick(struct progress_out *p)
{
    if (p->form != FORM_TTY)
        return;
    erase(p);
    draw(p);
}

const char *progress_tail(const struct progress_out *p, int number)
{
    if (p->form == FORM_PLAIN || (size_t)number >= p->n || !p->items[number].tail.len)
        return NULL;
    return p->items[number].tail.text;
}

void progress_out_free(struct progress_out *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i].title);
        free(p->items[i].vertex);
        str_free(&p->items[i].line);
        str_free(&p->items[i].tail);
    }
    free(p->items);
    free(p);
}
