// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "engine/options.h"

#define SECOND_NS      1000000000ll
#define MILLISECOND_NS 1000000ll
#define LONGEST_NS     (400ll * 86400 * SECOND_NS)
enum { RETRIES_MAX = 1000000, LIST_MAX = 1000 };

/* A JSON list is a program and its arguments, as podman has it; anything else is the shell's. */
static fallible parse_cmd(const char *text, struct strv *test)
{
    own_json json_t *list = text[0] == '[' ? json_loads(text, 0, NULL) : NULL;
    if (!list) {
        strv_add(test, "CMD-SHELL");
        strv_add(test, text);
        return NULL;
    }
    if (json_array_size(list) == 0 || json_array_size(list) > LIST_MAX)
        return err_new(ERR_INVALID, "--health-cmd: the list is empty, or too long");
    const char *first = json_string_value(json_array_get(list, 0));
    if (!str_eq(first, "CMD") && !str_eq(first, "CMD-SHELL"))
        strv_add(test, "CMD");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        if (!word)
            return err_new(ERR_INVALID, "--health-cmd: the list's part %zu is no string", i + 1);
        strv_add(test, word);
    }
    return test->n > 1 ? NULL : err_new(ERR_INVALID, "--health-cmd: no command follows '%s'", test->items[0]);
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

static fallible set_interval(const struct health_options *o, struct container_health *h)
{
    struct opt_u64 wish = { .set = o->interval != NULL };
    if (str_eq(o->interval, "disable")) {
        h->interval_ns = 0;
        return NULL;
    }
    if (o->interval)
        TRY_AS(parse_duration_ns(o->interval, &wish.v), "--health-interval");
    return set_duration(&h->interval_ns, "--health-interval", (struct opt_u64){ wish.set && wish.v, wish.v });
}

static fallible set_times(const struct health_options *o, struct container_health *h)
{
    TRY(set_interval(o, h));
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

static bool says_anything(const struct health_options *o)
{
    return o->cmd || o->interval || o->timeout.set || o->start_period.set || o->start_interval.set || o->retries.set;
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

static fallible fill(const struct health_options *o, const struct oci_image_run *image, struct container_health *h)
{
    const char *action = o->on_unhealthy ? o->on_unhealthy : o->on_failure;
    take_image(image, h);
    if (o->cmd) {
        strv_free(&h->test);
        TRY(parse_cmd(o->cmd, &h->test));
    }
    TRY(set_times(o, h));
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
                              struct container_health **ret)
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
    err *e = fill(o, image, h);
    if (e || !h->test.n) { /* the image's NONE */
        container_health_free(h);
        return e;
    }
    *ret = h;
    return NULL;
}
