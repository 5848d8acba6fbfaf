// SPDX-License-Identifier: GPL-2.0-or-later
/* What happens to containers is said in docker's words: image, name and labels are attributes of each event. */
#include <stdarg.h>
#include <string.h>

#include "engine/container_parts.h"
#include "monitor/events.h"

enum { ATTRIBUTES_MAX = 64 };

void container_say(const struct container *c, const char *action, ...)
{
    struct event_attribute attributes[ATTRIBUTES_MAX] = { { "image", c->row.image }, { "name", c->row.name } };
    struct event event = { .type = "container", .action = action, .id = c->row.id, .attributes = attributes };
    size_t n = 2;
    va_list ap;
    va_start(ap, action);
    for (const char *key; n < ATTRIBUTES_MAX && (key = va_arg(ap, const char *));)
        attributes[n++] = (struct event_attribute){ key, va_arg(ap, const char *) };
    va_end(ap);
    own(container_config) struct container_config *parsed = NULL;
    const struct container_config *config = c->config;
    if (!config && c->row.config) {
        err_ignore(bind_read(&container_config_type, c->row.config, strlen(c->row.config), (void **)&parsed),
                   "then without labels");
        config = parsed;
    }
    for (size_t i = 0; config && i < config->labels.n && n < ATTRIBUTES_MAX; i++)
        attributes[n++] = (struct event_attribute){ config->labels.items[i].key, config->labels.items[i].value };
    event.attributes_n = n;
    event_append(c->engine->run, &event);
}
