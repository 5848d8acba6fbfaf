// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/stages.h"

#include <ctype.h>
#include <string.h>

#include "base/opt.h"
#include "base/parse.h"
#include "build/mount.h"

void stages_free(struct stages *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        free(s->items[i].name);
        free(s->items[i].image);
        free(s->items[i].platform);
        free(s->items[i].needs);
    }
    free(s->items);
    strv_free(&s->globals);
    free(s);
}

static bool is_context(const struct stages *s, const char *word)
{
    for (size_t i = 0; s->contexts && i < s->contexts->n; i++)
        if (strcasecmp(s->contexts->items[i], word) == 0)
            return true;
    return false;
}

int stages_find(const struct stages *s, const char *word, size_t before)
{
    int64_t number = 0;
    if (is_context(s, word))
        return STAGE_NONE;
    for (size_t i = before; i-- > 0;)
        if (s->items[i].name && strcasecmp(s->items[i].name, word) == 0)
            return (int)i;
    own(err) err *e = parse_i64(word, 0, (int64_t)before - 1, &number);
    return e || !isdigit((unsigned char)*word) ? STAGE_NONE : (int)number;
}

const char *stage_title(const struct stages *s, size_t i, char buf[64])
{
    if (s->items[i].name)
        snprintf(buf, 64, "%.63s", s->items[i].name);
    else
        snprintf(buf, 64, "stage-%zu", i);
    return buf;
}

static fallible at_place(const char *name, struct df_place place, err *e)
{
    return e ? err_wrap(e, "%s:%d:%d", name, place.line, place.column) : NULL;
}

/* "NAME" or "NAME=VALUE" of an ARG before FROM. */
static fallible add_global(struct stages *s, const struct stages_input *in, const struct df_instruction *i)
{
    for (size_t k = 0; k < i->args.n; k++) {
        const char *word = i->args.items[k];
        own_mem char *name = mem_strndup(word, strcspn(word, "="));
        const char *given = strv_getenv(in->build_args, name);
        struct expand e = { .env = { &s->globals, in->platform_args }, .escape = s->file->escape };
        own_mem char *value = NULL;
        if (!given && strchr(word, '='))
            TRY(at_place(s->file->name, i->places[k], expand_word(&e, strchr(word, '=') + 1, &value)));
        if (!given && !value)
            given = strv_getenv(in->platform_args, name);
        if (given || value) {
            own_mem char *pair = mem_printf("%s=%s", name, given ? given : value);
            strv_setenv(&s->globals, pair);
        }
    }
    return NULL;
}

static fallible read_from(struct stages *s, const struct stages_input *in, struct stage *stage, size_t index)
{
    const struct df_instruction *from = stage->from;
    const struct df_flag *platform = df_flag(from, "platform");
    struct expand e = { .env = { &s->globals, in->platform_args }, .escape = s->file->escape };
    own_mem char *image = NULL;
    if (index == 0 && in->from)
        image = mem_strdup(in->from);
    else
        TRY(at_place(s->file->name, from->places[0], expand_word(&e, from->args.items[0], &image)));
    if (!*image)
        return df_error(s->file->name, from->places[0],
                        "FROM %s: the name is empty: expected an image, a stage or "
                        "scratch",
                        from->args.items[0]);
    if (platform)
        TRY(at_place(s->file->name, platform->place, expand_word(&e, platform->value, &stage->platform)));
    if (from->args.n == 3) {
        stage->name = mem_strdup(from->args.items[2]);
        for (size_t i = 0; i < index; i++)
            if (s->items[i].name && strcasecmp(s->items[i].name, stage->name) == 0)
                return df_error(s->file->name, from->places[2], "FROM: a stage '%s' is there already", stage->name);
    }
    int base = isdigit((unsigned char)*image) ? STAGE_NONE : stages_find(s, image, index);
    stage->base = base;
    stage->base_kind = base != STAGE_NONE ? BASE_STAGE : strcmp(image, "scratch") == 0 ? BASE_SCRATCH : BASE_IMAGE;
    if (stage->base_kind == BASE_IMAGE)
        stage->image = take(image);
    return NULL;
}

/* A stage that is named by COPY --from or a mount. */
static fallible need(struct stages *s, size_t index, const char *name, const char *word, struct df_place place)
{
    int other = stages_find(s, word, index);
    if (other != STAGE_NONE)
        s->items[index].needs[other] = true;
    if (other != STAGE_NONE || is_context(s, word))
        return NULL;
    if (s->items[index].name && strcasecmp(s->items[index].name, word) == 0)
        return df_error(name, place, "'%s' is this stage itself: expected an earlier one", word);
    for (size_t i = index + 1; i < s->n; i++)
        if (s->items[i].name && strcasecmp(s->items[i].name, word) == 0)
            return df_error(name, place, "stage '%s' comes later: expected an earlier one", word);
    if (*word && strspn(word, "0123456789") == strlen(word))
        return df_error(name, place, "there is no stage %s before this one", word);
    return NULL;
}

static fallible needs_of(struct stages *s, size_t index, const char *name, const struct df_instruction *i)
{
    if (i->kind == DF_ONBUILD)
        return NULL; /* it is another build's */
    for (size_t f = 0; f < i->flags_n; f++) {
        const struct df_flag *flag = &i->flags[f];
        if (i->kind == DF_COPY && strcmp(flag->name, "from") == 0)
            TRY(need(s, index, name, flag->value, flag->place));
        if (i->kind != DF_RUN || strcmp(flag->name, "mount") != 0)
            continue;
        own(build_mount) struct build_mount m = { 0 };
        TRY(at_place(name, flag->place, build_mount_parse(flag->value, NULL, &m)));
        if (m.from)
            TRY(need(s, index, name, m.from, flag->place));
    }
    return NULL;
}

static void mark_used(struct stages *s, size_t index)
{
    if (s->items[index].used)
        return;
    s->items[index].used = true;
    for (size_t i = 0; i < s->n; i++)
        if (s->items[index].needs[i])
            mark_used(s, i);
}

fallible stages_add_needs(struct stages *s, size_t index, const char *name, const struct df_instruction *i)
{
    TRY(needs_of(s, index, name, i));
    for (size_t k = 0; k < s->n; k++)
        if (s->items[index].needs[k])
            mark_used(s, k);
    return NULL;
}

static fallible find_target(struct stages *s, const char *word)
{
    s->target = s->n - 1;
    if (!word)
        return NULL;
    int found = stages_find(s, word, s->n);
    if (found != STAGE_NONE) {
        s->target = (size_t)found;
        return NULL;
    }
    own_str struct str names = { 0 };
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].name)
            str_printf(&names, "%s%s", names.len ? ", " : "", s->items[i].name);
    return err_new(ERR_NOT_FOUND, "--target: %s has no stage '%s': expected %s", s->file->name, word,
                   names.len ? names.text : "a stage's number: none has a name");
}

fallible stages_of(const struct dockerfile *f, const struct stages_input *in, struct stages **ret)
{
    own(stages) struct stages *s = mem_zalloc(sizeof *s);
    s->file = f;
    s->contexts = in->contexts;
    for (size_t i = 0; i < f->n; i++)
        s->n += f->items[i].kind == DF_FROM;
    size_t n = s->n;
    s->items = mem_zalloc(n * sizeof *s->items);
    s->n = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (f->items[i].kind == DF_FROM) {
            struct stage *stage = &s->items[s->n++];
            *stage = (struct stage){ .from = &f->items[i], .first = i + 1, .end = i + 1, .base = STAGE_NONE };
            stage->needs = mem_zalloc(n * sizeof *stage->needs);
            TRY(read_from(s, in, stage, s->n - 1));
            if (stage->base_kind == BASE_STAGE)
                stage->needs[stage->base] = true;
        } else if (s->n == 0) {
            TRY(add_global(s, in, &f->items[i]));
        } else {
            s->items[s->n - 1].end = i + 1;
        }
    }
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = s->items[i].first; k < s->items[i].end; k++)
            TRY(needs_of(s, i, f->name, &f->items[k]));
    TRY(find_target(s, in->target));
    for (size_t i = 0; in->all && i < s->n; i++)
        mark_used(s, i);
    mark_used(s, s->target);
    *ret = take(s);
    return NULL;
}
