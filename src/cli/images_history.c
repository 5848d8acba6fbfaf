// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/images_history.h"

#include <string.h>

#include "engine/events.h"
#include "image/ref.h"

static void drop(json_t *names, const char *name)
{
    for (size_t i = json_array_size(names); i-- > 0;)
        if (str_eq(json_string_value(json_array_get(names, i)), name))
            (void)json_array_remove(names, i);
}

static err *note(void *ctx, const json_t *doc)
{
    json_t *history = ctx;
    const json_t *actor = json_object_get(doc, "Actor");
    const char *id = json_string_value(json_object_get(actor, "ID"));
    const char *name = json_string_value(json_object_get(json_object_get(actor, "Attributes"), "name"));
    own(ref) struct ref *ref = NULL;
    err_ignore(name ? ref_parse(name, &ref) : NULL, "an image that was called by its ID");
    if (!id || !ref || ref->digest)
        return NULL;
    own_mem char *full = ref_full(ref);
    if (!json_object_get(history, id))
        (void)json_object_set_new(history, id, json_array());
    drop(json_object_get(history, id), full);
    (void)json_array_insert_new(json_object_get(history, id), 0, json_string(full));
    return NULL;
}

fallible images_history(struct engine *e, json_t **ret)
{
    own_strv struct strv filters = { 0 };
    own_json json_t *history = json_object();
    static const char *const wanted[] = { "type=image", "event=tag", "event=untag", "event=undo" };
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        strv_add(&filters, wanted[i]);
    TRY(engine_events(e, &(struct events_wish){ .since_ns = 1, .so_far = true, .reader_fd = -1, .filters = &filters },
                      note, history));
    *ret = json_incref(history);
    return NULL;
}

char *images_history_of(const json_t *history, const struct image_rows *all, const struct image_row *image)
{
    own_strv struct strv names = { 0 };
    own_str struct str text = { 0 };
    const json_t *had = json_object_get(history, image->id);
    if (image->name)
        strv_add(&names, image->name);
    for (size_t i = 0; i < all->n; i++)
        if (all->rows[i].name && str_eq(all->rows[i].id, image->id) && !strv_has(&names, all->rows[i].name))
            strv_add(&names, all->rows[i].name);
    for (size_t i = 0; i < json_array_size(had); i++)
        if (!strv_has(&names, json_string_value(json_array_get(had, i))))
            strv_add(&names, json_string_value(json_array_get(had, i)));
    for (size_t i = 0; i < names.n; i++)
        str_printf(&text, "%s%s", i ? ", " : "", names.items[i]);
    return str_take(&text);
}
