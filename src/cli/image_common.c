// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_common.h"

#include "base/log.h"
#include "image/room.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "os/landlock.h"
#include "os/userns.h"

/* A partial download is worth keeping this long. */
static const uint64_t keep_blobs_seconds = 24 * 3600;

fallible image_session_open(struct image_session **ret)
{
    own(image_session) struct image_session *s = mem_zalloc(sizeof *s);
    own_mem char *path = layout_default_path(); /* before we are root of anything */
    s->adding_fd = s->lock = s->events = -1;
    TRY(settings_read(&s->settings));
    image_session_events(s); /* likewise */
    TRY(userns_enter());
    TRY(layout_open(path, true, &s->store));
    TRY(layer_form_choose(s->store));
    TRY_AS(layout_begin_adding(s->store, &s->adding, &s->adding_fd), "image store '%s'", path);
    TRY(layout_sweep_staging(s->store, keep_blobs_seconds));
    room_keep(s->store->fd);
    *ret = take(s);
    return NULL;
}

fallible image_session_open_reading(struct image_session **ret)
{
    own(image_session) struct image_session *s = mem_zalloc(sizeof *s);
    own_mem char *path = layout_default_path();
    s->adding_fd = s->lock = s->events = -1;
    TRY(layout_open(path, false, &s->store));
    TRY_AS(layout_lock(s->store, LAYOUT_ADDING, &s->lock), "image store '%s'", path);
    image_session_events(s);
    *ret = take(s);
    return NULL;
}

void image_session_close(struct image_session *s)
{
    if (!s)
        return;
    if (s->adding)
        layout_end_adding(s->store, s->adding, &s->adding_fd);
    free(s->adding);
    close_now(&s->lock);
    close_now(&s->events);
    layout_free(s->store);
    free(s);
}

/* ---- failures ---- */

static bool is_cut_off(const err *e)
{
    return err_is(e, ERR_UNAVAILABLE) || err_is(e, ERR_TIMEOUT) || err_is(e, ERR_CANCELLED) ||
           err_is(e, ERR_UNAUTHENTICATED);
}

fallible image_session_failed(struct image_session *s, enum image_attempt attempt, err *take_e)
{
    if (!take_e || (attempt == ATTEMPT_RESUMED && is_cut_off(take_e)))
        return take_e;
    if (s->adding)
        layout_end_adding(s->store, s->adding, &s->adding_fd);
    free(take(s->adding));
    err_ignore(layers_take_back(s->store), "a sweep will remove it; what failed is the error to report");
    err_ignore(layout_begin_adding(s->store, &s->adding, &s->adding_fd), "then this session is at its end");
    return room_say(s->store->path, take_e);
}

/* ---- confinement ---- */

enum { CONFINE_MORE_MAX = 12 };

fallible image_confine_paths(const struct layout *store, const struct landlock_path *more, size_t n)
{
    own_strv struct strv certificates = { 0 };
    const char *folders = getenv("SSL_CERT_DIR");
    /* What libcurl, OpenSSL and the C library's name look-up open while they work. */
    const struct landlock_path paths[] = {
        { store ? store->fd : -1, store ? store->path : NULL, LANDLOCK_READ_WRITE },
        { -1, "/etc", LANDLOCK_READ },
        { -1, "/usr", LANDLOCK_READ },
        { -1, "/lib", LANDLOCK_READ },
        { -1, "/lib64", LANDLOCK_READ },
        { -1, "/run", LANDLOCK_READ },
        { -1, "/proc/self", LANDLOCK_READ }, /* only: root could read any process's memory through /proc */
        { -1, "/proc/sys", LANDLOCK_READ },
        { -1, "/proc/meminfo", LANDLOCK_READ },
        { -1, "/proc/cpuinfo", LANDLOCK_READ },
        { -1, "/sys/devices/system/cpu", LANDLOCK_READ },
        { -1, "/dev/urandom", LANDLOCK_READ },
        { -1, "/dev/null", LANDLOCK_READ_WRITE },
        { -1, getenv("SSL_CERT_FILE"), LANDLOCK_READ },
    };
    bool done = false;
    struct landlock_path given[ARRAY_SIZE(paths) + CONFINE_MORE_MAX];
    size_t given_n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        if (paths[i].fd >= 0 || paths[i].path)
            given[given_n++] = paths[i];
    for (size_t i = 0; i < n && i < CONFINE_MORE_MAX / 2; i++)
        given[given_n++] = more[i];
    strv_split(&certificates, folders ? folders : "", ':');
    for (size_t i = 0; i < certificates.n && i < CONFINE_MORE_MAX / 2; i++)
        if (*certificates.items[i])
            given[given_n++] = (struct landlock_path){ -1, certificates.items[i], LANDLOCK_READ };
    TRY(landlock_confine(given, given_n, &done));
    if (!done)
        log_debug("this kernel has no Landlock that fits: going on unconfined");
    return NULL;
}

fallible image_confine(const struct image_session *s, int readable_fd)
{
    struct landlock_path readable = { readable_fd, NULL, LANDLOCK_READ };
    return image_confine_paths(s ? s->store : NULL, &readable, readable_fd >= 0 ? 1 : 0);
}
