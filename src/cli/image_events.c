// SPDX-License-Identifier: GPL-2.0-or-later
/* What husk-image does is said in the event log, which is opened before the program confines itself: a stranger's bytes
 * may write lines there then, and nothing else of the run-time folder. */
#include "base/log.h"
#include "cli/image_common.h"
#include "engine/paths.h"
#include "image/ref.h"
#include "monitor/events.h"

static fallible open_log(int *ret)
{
    own_mem char *run = NULL;
    own_fd int dir = -1;
    TRY(paths_run(&run));
    TRY(paths_open_run(run, &dir));
    *ret = event_log_open(run);
    return NULL;
}

void image_session_events(struct image_session *s)
{
    err *e = open_log(&s->events);
    if (e)
        log_debug("no events: %s", err_text(e));
    err_ignore(e, "what is done is done, whether it can be told or not");
}

void image_say(const struct image_session *s, const char *action, const char *id, const char *name)
{
    own(ref) struct ref *ref = NULL;
    err_ignore(ref_parse(name, &ref), "an ID is said as it is");
    own_mem char *familiar = ref ? ref_familiar(ref) : NULL;
    struct event_attribute attributes[] = { { "name", familiar ? familiar : name } };
    event_log_append(s->events, &(struct event){ .type = "image",
                                                 .action = action,
                                                 .id = id,
                                                 .attributes = attributes,
                                                 .attributes_n = ARRAY_SIZE(attributes) });
}

void image_say_sent(const struct image_session *s, const char *action, const struct ref *ref, const char *digest)
{
    const struct ref bare = { .registry = ref->registry, .repository = ref->repository };
    own_mem char *id = ref_familiar(ref), *name = ref_familiar(&bare);
    struct event_attribute attributes[] = { { "name", name }, { "digest", digest } };
    event_log_append(s->events, &(struct event){ .type = "image",
                                                 .action = action,
                                                 .id = id,
                                                 .attributes = attributes,
                                                 .attributes_n = ARRAY_SIZE(attributes) });
}
