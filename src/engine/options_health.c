// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/health.h"
#include "engine/options.h"
#include "os/fs.h"

#define SECOND_NS      1000000000ll
#define MILLISECOND_NS 1000000ll
#define LONGEST_NS     (400ll * 86400 * SECOND_NS)
enum { RETRIES_MAX = 1000000, LIST_MAX = 1000 };

/* A JSON list is a program and its arguments, as podman has it; anything else is the shell's. */
static fallible parse_cmd(const char *option, const char *text, struct strv *test)
{
    own_json json_t *list = text[0] == '[' ? json_loads(text, 0, NULL) : NULL;
    if (!list) {
        strv_add(test, "CMD-SHELL");
        strv_add(test, text);
        return NULL;
    }
    if (json_array_size(list) == 0 || json_array_size(list) > LIST_MAX)
        return err_new(ERR_INVALID, "%s: the list is empty, or too long", option);
    const char *first = json_string_value(json_array_get(list, 0));
    if (!str_eq(first, "CMD") && !str_eq(first, "CMD-SHELL"))
        strv_add(test, "CMD");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        if (!word)
            return err_new(ERR_INVALID, "%s: the list's part %zu is no string", option, i + 1);
        strv_add(test, word);
    }
    return test->n > 1 ? NULL : err_new(ERR_INVALID, "%s: no command follows '%s'", option, test->items[0]);
}

static fallible set_duration(int64_t *slot, const char *option, struct opt_u64 wish)
{
    if (!wish.set)
        return NULL;
    if (wish.v > (uint64_t)LONGEST_NS || (wish.v && wish.v < (uint64_t)MILLISECOND_NS))
        return err_new(ERR_INVALID, "%s: it is from 1ms to 400 days", option);
    *slot = (int64_t)wish.v;
    return NULL;
}

static fallible set_interval(int64_t *slot, const char *option, const char *text)
{
    struct opt_u64 wish = { .set = text != NULL };
    if (str_eq(text, "disable")) {
        *slot = 0;
        return NULL;
    }
    if (text)
        TRY_AS(parse_duration_ns(text, &wish.v), "%s", option);
    return set_duration(slot, option, (struct opt_u64){ wish.set && wish.v, wish.v });
}

static fallible set_count(int64_t *slot, const char *option, struct opt_i64 wish, int64_t most)
{
    if (wish.set && (wish.v < 0 || wish.v > most))
        return err_new(ERR_INVALID, "%s: it is from 0 to %lld", option, (long long)most);
    if (wish.set)
        *slot = wish.v;
    return NULL;
}

static fallible set_times(const struct health_options *o, struct container_health *h)
{
    TRY(set_interval(&h->interval_ns, "--health-interval", o->interval));
    TRY(set_duration(&h->timeout_ns, "--health-timeout",
                     (struct opt_u64){ o->timeout.set && o->timeout.v, o->timeout.v }));
    TRY(set_duration(&h->start_period_ns, "--health-start-period", o->start_period));
    TRY(set_duration(&h->start_interval_ns, "--health-start-interval",
                     (struct opt_u64){ o->start_interval.set && o->start_interval.v, o->start_interval.v }));
    if (o->retries.set && (o->retries.v < 0 || o->retries.v > RETRIES_MAX))
        return err_new(ERR_INVALID, "--health-retries: it is from 1 to %d", RETRIES_MAX);
    if (o->retries.set && o->retries.v)
        h->retries = o->retries.v;
    return NULL;
}

static bool says_startup_times(const struct health_options *o)
{
    return o->startup_interval || o->startup_timeout.set || o->startup_retries.set || o->startup_success.set;
}

static bool says_anything(const struct health_options *o)
{
    return o->cmd || o->interval || o->timeout.set || o->start_period.set || o->start_interval.set || o->retries.set ||
           o->startup_cmd || says_startup_times(o) || o->log_destination || o->log_count.set || o->log_size.set;
}

bool options_says_health(const struct health_options *o)
{
    return says_anything(o) || o->none || o->on_unhealthy || o->on_failure;
}

static fallible set_startup(const struct health_options *o, const struct container_health *before,
                            struct container_health *h)
{
    if (before && !o->startup_cmd) {
        strv_copy(&h->startup_test, before->startup_test.items, before->startup_test.n);
        h->startup_interval_ns = before->startup_interval_ns;
        h->startup_timeout_ns = before->startup_timeout_ns;
        h->startup_retries = before->startup_retries;
        h->startup_success = before->startup_success;
    }
    if (o->startup_cmd && strcmp(o->startup_cmd, "none") != 0) {
        TRY(parse_cmd("--health-startup-cmd", o->startup_cmd, &h->startup_test));
        h->startup_interval_ns = h->startup_timeout_ns = 30 * SECOND_NS;
    }
    if (!h->startup_test.n)
        return says_startup_times(o) ? err_new(ERR_INVALID, "there is no startup check: give --health-startup-cmd")
                                     : NULL;
    TRY(set_interval(&h->startup_interval_ns, "--health-startup-interval", o->startup_interval));
    TRY(set_duration(&h->startup_timeout_ns, "--health-startup-timeout", o->startup_timeout));
    TRY(set_count(&h->startup_retries, "--health-startup-retries", o->startup_retries, RETRIES_MAX));
    return set_count(&h->startup_success, "--health-startup-success", o->startup_success, RETRIES_MAX);
}

static fallible set_log(const struct health_options *o, const struct container_health *before,
                        struct container_health *h)
{
    const char *where = o->log_destination;
    if (before) {
        h->log_count = before->log_count;
        h->log_size = before->log_size;
    }
    if (before && !where) {
        h->log_dir = mem_strdup(before->log_dir);
        h->log_events = before->log_events;
    }
    TRY(set_count(&h->log_count, "--health-max-log-count", o->log_count, HEALTH_LOG_MOST));
    TRY(set_count(&h->log_size, "--health-max-log-size", o->log_size, HEALTH_OUTPUT_MOST));
    if (o->log_count.set && !o->log_count.v)
        h->log_count = -1;
    if (o->log_size.set && !o->log_size.v)
        h->log_size = -1;
    h->log_events |= str_eq(where, "events_logger");
    if (!where || !*where || h->log_events || strcmp(where, "local") == 0)
        return NULL;
    if (where[0] != '/')
        return err_new(ERR_INVALID,
                       "--health-log-destination: '%s' is neither local, events_logger nor the absolute "
                       "path of a directory",
                       where);
    own_fd int fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "--health-log-destination: open '%s'", where);
    h->log_dir = mem_strdup(where);
    return NULL;
}

/* An image's numbers are strangers': what makes no sense is the default. */
static int64_t sane(int64_t image, int64_t otherwise)
{
    return image >= MILLISECOND_NS && image <= LONGEST_NS ? image : otherwise;
}

static void take_image(const struct oci_image_run *image, struct container_health *h)
{
    const struct oci_healthcheck *from = image ? image->healthcheck : NULL;
    if (!from)
        return;
    h->interval_ns = sane(from->interval, h->interval_ns);
    h->timeout_ns = sane(from->timeout, h->timeout_ns);
    h->start_period_ns = sane(from->start_period, 0);
    h->start_interval_ns = sane(from->start_interval, h->start_interval_ns);
    if (from->retries > 0 && from->retries <= RETRIES_MAX)
        h->retries = from->retries;
    if (from->test.n > 1 && (str_eq(from->test.items[0], "CMD") || str_eq(from->test.items[0], "CMD-SHELL")))
        strv_copy(&h->test, from->test.items, from->test.n);
}

static fallible fill(const struct health_options *o, const struct oci_image_run *image,
                     const struct container_health *before, struct container_health *h)
{
    const char *action = o->on_unhealthy ? o->on_unhealthy : o->on_failure;
    take_image(image, h);
    if (o->cmd) {
        strv_free(&h->test);
        TRY(parse_cmd("--health-cmd", o->cmd, &h->test));
    }
    TRY(set_times(o, h));
    TRY(set_startup(o, before, h));
    TRY(set_log(o, before, h));
    if (image)
        strv_copy(&h->shell, image->shell.items, image->shell.n);
    h->on_unhealthy = mem_strdup(str_eq(action, "none") ? NULL : action);
    if (h->test.n)
        return NULL;
    if (says_anything(o) || h->on_unhealthy)
        return err_new(ERR_INVALID, "there is no health check: the image has none, so give --health-cmd");
    return NULL;
}

fallible options_merge_health(const struct health_options *o, const struct oci_image_run *image,
                              const struct container_health *before, struct container_health **ret)
{
    if (o->none && says_anything(o))
        return err_new(ERR_INVALID, "--no-healthcheck and the --health options exclude each other");
    if (o->on_unhealthy && o->on_failure && strcmp(o->on_unhealthy, o->on_failure) != 0)
        return err_new(ERR_INVALID, "--on-unhealthy and --health-on-failure say different things");
    if (o->none || str_eq(o->cmd, "none") ||
        (!says_anything(o) && !o->on_unhealthy && !o->on_failure && !(image && image->healthcheck)))
        return NULL;
    struct container_health *h = mem_zalloc(sizeof *h);
    *h = (struct container_health){
        .interval_ns = 30 * SECOND_NS, .timeout_ns = 30 * SECOND_NS, .start_interval_ns = 5 * SECOND_NS, .retries = 3
    };
    err *e = fill(o, image, before, h);
    if (e || !h->test.n) { /* the image's NONE */
        container_health_free(h);
        return e;
    }
    *ret = h;
    return NULL;
}
