// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/progress.h"

#include <jansson.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/mem.h"

enum { TAIL_MAX = 8 << 10, LINE_MAX_SHOWN = 16 << 10 };
enum form { FORM_PLAIN, FORM_TTY, FORM_JSON, FORM_QUIET };

struct shown {
    char *title;
    struct timespec begun;
    struct str line; /* begun and not ended */
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

static void say_json(int number, const char *key, const char *value, size_t n)
{
    own_mem char *text = mem_strndup(value, n);
    json_t *o = json_pack("{s:i,s:s}", "step", number, key, text);
    if (!o) /* no UTF-8 */
        o = json_pack("{s:i,s:s}", "step", number, key, "?");
    char *line = json_dumps(o, JSON_COMPACT);
    fprintf(stderr, "%s\n", line ? line : "{}");
    free(line);
    json_decref(o);
}

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
    if (p->form == FORM_JSON)
        say_json(number, "begin", title, strlen(title));
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
        say_json(number, "output", s->line.text ? s->line.text : "", s->line.len);
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
        say_json(number, "end", word, strlen(word));
    } else if (p->form == FORM_PLAIN) {
        if (how == PROGRESS_DONE)
            fprintf(stderr, "#%d DONE %.1fs%s%s\n", number, seconds_since(&s->begun), note ? " " : "",
                    note ? note : "");
        else
            fprintf(stderr, "#%d %s%s%s\n", number, word, note ? ": " : "", note ? note : "");
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
        say_json(0, "note", text, strlen(text));
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
        str_free(&p->items[i].line);
        str_free(&p->items[i].tail);
    }
    free(p->items);
    free(p);
}
