// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Base images that are not here, or that are to be looked for again: each is fetched by a child, beside others and
 * beside the steps of stages that have theirs. The child answers with one of ANSWER_*.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "build/build_parts.h"

enum { ANSWER_DONE = 'D', ANSWER_ERROR = 'E', ANSWER_SILENT = 'S' };

/* One that the stage waits for, by name and platform. */
static char *key_of(const struct build *b, const struct stage *s, const char *name)
{
    const char *platform = s->platform ? s->platform : build_wanted_platform(b);
    return mem_printf("%s\n%s", name, platform ? platform : "");
}

bool base_is_fetched(const struct build *b, const char *name, const char *platform)
{
    own_mem char *key = mem_printf("%s\n%s", name, platform ? platform : "");
    return strv_has(&b->fetched, key);
}

static bool is_being_fetched(const struct build *b, const char *key)
{
    for (size_t p = 0; p < b->plans_n; p++)
        for (size_t i = 0; i < b->plans[p].stages->n; i++) {
            const char *fetching = b->plans[p].runs[i].fetching;
            if (fetching && str_eq(fetching, key))
                return true;
        }
    return false;
}

/* With one stage there is nothing to be done meanwhile. */
static bool is_alone(const struct build *b)
{
    size_t used = 0;
    for (size_t p = 0; p < b->plans_n; p++)
        for (size_t i = 0; i < b->plans[p].stages->n; i++)
            used += b->plans[p].stages->items[i].used;
    return used < 2;
}

static bool must_be_fetched(struct build *b, const struct image_wish *wish)
{
    own(image) struct image *image = NULL;
    if (str_eq(wish->pull, "never") || str_eq(wish->pull, "newer"))
        return false; /* newer: what comes of it depends on the registry's answer, so it is asked in its turn */
    if (!str_eq(wish->pull, "missing"))
        return true;
    err *e = image_find(b->layout, wish->name, wish->platform, &image);
    bool missing = err_is(e, ERR_NOT_FOUND);
    err_ignore(e, "whoever uses it says so");
    return missing;
}

static void child(struct build *b, const struct image_wish *wish, int answer_fd) __attribute__((noreturn));
static void child(struct build *b, const struct image_wish *wish, int answer_fd)
{
    own(image) struct image *image = NULL;
    own_fd int lock = -1;
    char text[1 + ERR_ENCODED_MAX];
    sigset_t none;
    (void)setpgid(0, 0); /* so that base_fetch_stop() ends whom we start, too */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    err *e = image_for_container(b->engine, wish, &image, &lock);
    size_t n = 1;
    text[0] = ANSWER_DONE;
    if (e && !*err_text(e)) { /* whom we started said it already */
        text[0] = ANSWER_SILENT;
        text[n++] = (char)err_exit_status(e, 125);
    } else if (e) {
        text[0] = ANSWER_ERROR;
        n += err_encode(e, text + 1, sizeof text - 1);
    }
    if (write(answer_fd, text, n) != (ssize_t)n)
        log_debug("build: nobody hears the answer");
    _exit(e ? 1 : 0);
}

static fallible start(struct build *b, struct stage_run *r, const struct image_wish *wish)
{
    int answer[2];
    if (pipe2(answer, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int answer_read = answer[0], answer_write = answer[1];
    (void)fflush(NULL);
    r->pid = fork();
    if (r->pid < 0) {
        r->pid = 0;
        return err_sys(errno, "fork");
    }
    if (r->pid == 0)
        child(b, wish, answer_write);
    (void)setpgid(r->pid, r->pid);
    r->result_fd = take_fd(&answer_read);
    return NULL;
}

fallible base_fetch_begin(struct build *b, size_t stage, bool *ret_waits)
{
    const struct stage *s = &b->stages->items[stage];
    struct stage_run *r = &b->runs[stage];
    struct build_context *tree = NULL;
    const char *name = s->image;
    *ret_waits = false;
    if (s->base_kind != BASE_IMAGE || is_alone(b))
        return NULL;
    TRY(context_named(b, s->image, &tree));
    if (tree)
        return NULL;
    TRY(context_image(b, s->image, &name));
    own_mem char *key = key_of(b, s, name);
    if (strv_has(&b->fetched, key))
        return NULL;
    *ret_waits = true;
    if (is_being_fetched(b, key))
        return NULL;
    struct image_wish wish = build_image_wish(b, name, s->platform);
    *ret_waits = must_be_fetched(b, &wish);
    if (!*ret_waits)
        return NULL;
    TRY(start(b, r, &wish));
    r->fetching = take(key);
    r->status = STAGE_WORKS;
    b->working++;
    b->fetches++;
    return NULL;
}

fallible base_fetch_end(struct build *b, size_t stage)
{
    struct stage_run *r = &b->runs[stage];
    const char *answer = r->result.text;
    err *e = NULL;
    b->fetches--;
    if (r->result.len == 0)
        e = err_new(ERR_UNAVAILABLE, "image '%s': who fetched it ended without a word", b->stages->items[stage].image);
    else if (answer[0] == ANSWER_SILENT)
        e = err_exit((unsigned char)answer[1]);
    else if (answer[0] == ANSWER_ERROR)
        e = err_decode(answer + 1, r->result.len - 1);
    str_free(&r->result);
    strv_add(&b->fetched, r->fetching);
    free(r->fetching);
    r->fetching = NULL;
    r->status = STAGE_WAITS;
    return build_at(b, b->stages->items[stage].from, e);
}

void base_fetch_stop(const struct stage_run *r)
{
    if (r->fetching)
        (void)kill(-r->pid, SIGTERM);
}
