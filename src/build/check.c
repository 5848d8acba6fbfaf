// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/check.h"

#include <ctype.h>
#include <string.h>

#include "base/parse.h"
#include "image/ref.h"

struct checking {
    struct build *b;
    bool error;
    struct strv experimental; /* rules that are told only when they are asked for; "all" */
    struct strv declared;     /* ARG before FROM: names, and with their defaults alone */
    struct strv defaults;
};

void build_warn(struct build *b, struct df_place place, const char *rule, const char *format, ...)
{
    va_list ap;
    if (strv_has(&b->skip_checks, "all") || strv_has(&b->skip_checks, rule))
        return;
    va_start(ap, format);
    own_mem char *text = mem_vprintf(format, ap);
    va_end(ap);
    own_mem char *line = mem_printf("warning: %s:%d:%d: %s: %s", b->file->name, place.line, place.column, rule, text);
    progress_note(b->progress, line);
    b->warned++;
}

#define say(c, place, rule, ...) build_warn((c)->b, (place), (rule), __VA_ARGS__)

/* given: it is the build argument's; NULL: the file's. */
static fallible bad_check(const struct checking *c, const char *given, const char *word, const char *expected)
{
    const struct dockerfile *f = c->b->file;
    if (given)
        return err_new(ERR_INVALID, "--build-arg BUILDKIT_DOCKERFILE_CHECK: '%s': expected %s", word, expected);
    return df_error(f->name, f->check_place, "check=%s: expected %s", word, expected);
}

/* Names are in their own spelling (the reference, "check"): one in another skips nothing. Those that no rule here has
 * may be another builder's. */
static void check_skipped(struct build *b)
{
    static const char *const rules[] = { "StageNameCasing",
                                         "FromAsCasing",
                                         "NoEmptyContinuation",
                                         "ConsistentInstructionCasing",
                                         "DuplicateStageName",
                                         "ReservedStageName",
                                         "JSONArgsRecommended",
                                         "MaintainerDeprecated",
                                         "UndefinedArgInFrom",
                                         "WorkdirRelativePath",
                                         "UndefinedVar",
                                         "MultipleInstructionsDisallowed",
                                         "LegacyKeyValueFormat",
                                         "RedundantTargetPlatform",
                                         "SecretsUsedInArgOrEnv",
                                         "InvalidDefaultArgInFrom",
                                         "FromPlatformFlagConstDisallowed",
                                         "CopyIgnoredFile",
                                         "InvalidDefinitionDescription",
                                         "ExposeProtoCasing",
                                         "ExposeInvalidFormat",
                                         "InvalidBaseImagePlatform",
                                         "all" };
    for (size_t i = 0; i < b->skip_checks.n; i++)
        for (size_t k = 0; k < ARRAY_SIZE(rules); k++) {
            const char *name = b->skip_checks.items[i];
            if (strcasecmp(name, rules[k]) != 0 || strcmp(name, rules[k]) == 0)
                continue;
            own_mem char *line = mem_printf("warning: check=skip=%s skips nothing: expected %s", name, rules[k]);
            progress_note(b->progress, line);
        }
}

/* "skip=A,B;error=true" */
static fallible read_directive(struct checking *c)
{
    own_strv struct strv parts = { 0 };
    const char *given = builtin_arg(c->b, "BUILDKIT_DOCKERFILE_CHECK"), *check = given ? given : c->b->file->check;
    if (!check)
        return NULL;
    strv_split(&parts, check, ';');
    for (size_t i = 0; i < parts.n; i++) {
        const char *p = parts.items[i] + strspn(parts.items[i], " ");
        if (str_starts(p, "skip=")) {
            strv_split(&c->b->skip_checks, p + 5, ',');
        } else if (str_starts(p, "experimental=")) {
            strv_split(&c->experimental, p + 13, ',');
        } else if (str_starts(p, "error=")) {
            err *e = parse_bool(p + 6, &c->error);
            if (e) {
                err_free(e);
                return bad_check(c, given, p, "error=true or error=false");
            }
        } else {
            return bad_check(c, given, p, "skip=NAMES, experimental=NAMES or error=true");
        }
    }
    check_skipped(c->b);
    return NULL;
}

static bool has_upper(const char *s)
{
    for (; *s; s++)
        if (isupper((unsigned char)*s))
            return true;
    return false;
}

static bool has_lower(const char *s)
{
    for (; *s; s++)
        if (islower((unsigned char)*s))
            return true;
    return false;
}

static void check_casing(struct checking *c)
{
    const struct dockerfile *f = c->b->file;
    size_t upper = 0, lower = 0;
    for (size_t i = 0; i < f->n; i++) {
        upper += !has_lower(f->items[i].word);
        lower += !has_upper(f->items[i].word);
    }
    for (size_t i = 0; i < f->n; i++) {
        const char *word = f->items[i].word;
        bool want_upper = upper >= lower;
        if (want_upper ? has_lower(word) : has_upper(word))
            say(c, f->items[i].place, "ConsistentInstructionCasing",
                "'%s' should be in %s case, as most instructions are", word, want_upper ? "upper" : "lower");
    }
}

/* "AS build_arm64": a stage for one platform, of which another FROM takes the one that it wants. */
static bool names_platform(const struct df_instruction *i, const char *platform)
{
    own_strv struct strv parts = { 0 };
    strv_split(&parts, platform, '/');
    for (size_t k = 0; i->args.n == 3 && k < parts.n; k++)
        if (*parts.items[k] && strstr(i->args.items[2], parts.items[k]))
            return true;
    return false;
}

static void check_from(struct checking *c, const struct df_instruction *i, struct strv *names)
{
    const struct df_flag *platform = df_flag(i, "platform");
    if (platform && (str_eq(platform->value, "$TARGETPLATFORM") || str_eq(platform->value, "${TARGETPLATFORM}")))
        say(c, platform->place, "RedundantTargetPlatform", "--platform=%s is the default", platform->value);
    if (platform && !strchr(platform->value, '$') && !names_platform(i, platform->value))
        say(c, platform->place, "FromPlatformFlagConstDisallowed", "--platform=%s is a constant: %s", platform->value,
            "the stage is built for it whatever was asked for");
    if (i->args.n != 3)
        return;
    const char *name = i->args.items[2], *as = i->args.items[1];
    if (has_upper(name))
        say(c, i->places[2], "StageNameCasing", "stage name '%s' should be in lower case", name);
    if (strcmp(name, "scratch") == 0 || strcmp(name, "context") == 0)
        say(c, i->places[2], "ReservedStageName", "'%s' has a meaning of its own: give the stage another name", name);
    if (has_lower(i->word) != has_lower(as))
        say(c, i->places[1], "FromAsCasing", "'%s' and '%s' should be in the same case", i->word, as);
    for (size_t k = 0; k < names->n; k++)
        if (strcasecmp(names->items[k], name) == 0)
            say(c, i->places[2], "DuplicateStageName", "stage '%s' is there already", name);
    strv_add(names, name);
}

/* CMD, ENTRYPOINT, HEALTHCHECK: the last one counts. */
static void check_repeated(struct checking *c)
{
    static const enum df_kind kinds[] = { DF_CMD, DF_ENTRYPOINT, DF_HEALTHCHECK };
    const struct dockerfile *f = c->b->file;
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        const struct df_instruction *last = NULL;
        for (size_t i = 0; i < f->n; i++) {
            if (f->items[i].kind == DF_FROM)
                last = NULL;
            if (f->items[i].kind != kinds[k])
                continue;
            if (last)
                say(c, last->place, "MultipleInstructionsDisallowed",
                    "%s is given again in line %d, which counts alone", last->word, f->items[i].place.line);
            last = &f->items[i];
        }
    }
}

static bool secret_word(const char *name)
{
    static const char *const words[] = { "apikey",   "auth",  "credential", "credentials", "key",
                                         "password", "pword", "passwd",     "secret",      "token" };
    own_strv struct strv parts = { 0 };
    own_mem char *lower = mem_strdup(name);
    for (char *x = lower; *x; x++)
        *x = (char)tolower((unsigned char)*x);
    strv_split(&parts, lower, '_');
    for (size_t i = 0; i < parts.n && !strstr(lower, "public"); i++)
        for (size_t k = 0; k < ARRAY_SIZE(words); k++)
            if (strcmp(parts.items[i], words[k]) == 0)
                return true;
    return false;
}

static void check_names(struct checking *c, const struct df_instruction *i)
{
    for (size_t k = 0; k < i->args.n; k += i->kind == DF_ENV ? 2 : 1) {
        own_mem char *name = mem_strndup(i->args.items[k], strcspn(i->args.items[k], "="));
        if (secret_word(name))
            say(c, i->places[k], "SecretsUsedInArgOrEnv", "%s %s: a secret in the image's config can be read by all",
                df_kind_name(i->kind), name);
    }
}

static void check_expose(struct checking *c, const struct df_instruction *i)
{
    for (size_t k = 0; k < i->args.n; k++) {
        const char *port = i->args.items[k];
        size_t colon = strcspn(port, ":");
        if (port[colon] && !strchr(port, '$'))
            say(c, i->places[k], "ExposeInvalidFormat", "'%s': EXPOSE takes no address and no port of the host", port);
        const char *slash = strchr(port, '/');
        if (slash && has_upper(slash))
            say(c, i->places[k], "ExposeProtoCasing", "'%s': the protocol should be in lower case", port);
    }
}

/* What a stage said before. */
struct seen {
    bool workdir, shell;
};

static void check_instruction(struct checking *c, const struct df_instruction *i, struct seen *seen)
{
    switch (i->kind) {
    case DF_MAINTAINER:
        say(c, i->place, "MaintainerDeprecated", "use LABEL org.opencontainers.image.authors=%s",
            i->args.n ? i->args.items[0] : "");
        break;
    case DF_ENV:
    case DF_LABEL:
        if (i->old_pair)
            say(c, i->place, "LegacyKeyValueFormat", "'%s KEY=VALUE' should be used, not '%s KEY VALUE'", i->word,
                i->word);
        if (i->kind == DF_ENV)
            check_names(c, i);
        break;
    case DF_ARG:
        check_names(c, i);
        break;
    case DF_CMD:
    case DF_ENTRYPOINT:
        if (!i->json && i->args.n && !seen->shell) /* a shell that was chosen is wanted */
            say(c, i->place, "JSONArgsRecommended", "the JSON form passes signals on to the program: %s [\"...\"]",
                i->word);
        break;
    case DF_WORKDIR:
        if (i->args.n && i->args.items[0][0] != '/' && i->args.items[0][0] != '$' && !seen->workdir)
            say(c, i->place, "WorkdirRelativePath", "'%s' is relative to what the base image has", i->args.items[0]);
        seen->workdir = true;
        break;
    case DF_EXPOSE:
        check_expose(c, i);
        break;
    case DF_COPY:
    case DF_ADD:
        for (size_t k = 0; k + 1 < i->args.n && !df_flag(i, "from"); k++)
            if (!strpbrk(i->args.items[k], "$*?[<") && !strstr(i->args.items[k], "://") &&
                ignore_matches(c->b->context.ignore, i->args.items[k]) &&
                !ignore_may_enter(c->b->context.ignore, i->args.items[k]))
                say(c, i->places[k], "CopyIgnoredFile", "'%s' is kept out by .dockerignore", i->args.items[k]);
        break;
    case DF_SHELL:
        seen->shell = true;
        break;
    case DF_FROM:
    case DF_HEALTHCHECK:
    case DF_ONBUILD:
    case DF_RUN:
    case DF_STOPSIGNAL:
    case DF_USER:
    case DF_VOLUME:
    case DF_KINDS:
        break;
    }
}

/* "# NAME description" right above an ARG or a stage with a name. */
static void check_description(struct checking *c, const struct df_instruction *i)
{
    const char *name = i->kind == DF_FROM && i->args.n == 3  ? i->args.items[2]
                       : i->kind == DF_ARG && i->args.n == 1 ? i->args.items[0]
                                                             : NULL;
    if (!name || !i->comment ||
        (!strv_has(&c->experimental, "all") && !strv_has(&c->experimental, "InvalidDefinitionDescription")))
        return;
    own_mem char *bare = mem_strndup(name, strcspn(name, "="));
    own_mem char *lines = mem_strndup(i->comment, strlen(i->comment) - str_ends(i->comment, "\n"));
    const char *last = strrchr(lines, '\n') ? strrchr(lines, '\n') + 1 : lines;
    last += strspn(last, "# \t");
    if (strncmp(last, bare, strlen(bare)) != 0 || (last[strlen(bare)] != ' ' && last[strlen(bare)] != '\0'))
        say(c, i->place, "InvalidDefinitionDescription",
            "the comment above should be '# %s DESCRIPTION', or an empty line should be between them", bare);
}

static void add_default(struct checking *c, const struct df_instruction *i)
{
    for (size_t k = 0; k < i->args.n; k++) {
        const char *word = i->args.items[k], *equals = strchr(word, '=');
        own_mem char *name = mem_strndup(word, strcspn(word, "=")), *value = NULL;
        struct expand e = { .env = { &c->defaults, &c->b->platform_args }, .escape = c->b->file->escape };
        strv_add(&c->declared, name);
        err *bad = equals ? expand_word(&e, equals + 1, &value) : NULL;
        err_ignore(bad, "the build says so");
        if (value) {
            own_mem char *pair = mem_printf("%s=%s", name, value);
            strv_setenv(&c->defaults, pair);
        }
    }
}

static bool is_image_name(const char *name)
{
    own(ref) struct ref *ref = NULL;
    own(err) err *e = ref_parse(name, &ref);
    return !e;
}

/* What FROM names, as a build without --build-arg sees it. */
static void check_from_name(struct checking *c, const struct df_instruction *i)
{
    own_strv struct strv unset = { 0 };
    own_mem char *name = NULL;
    struct expand e = { .env = { &c->defaults, &c->b->platform_args },
                        .escape = c->b->file->escape,
                        .ret_unset = &unset };
    err *bad = expand_word(&e, i->args.items[0], &name);
    if (bad) {
        err_ignore(bad, "the build says so");
        return;
    }
    bool undefined = false;
    for (size_t k = 0; k < unset.n; k++) {
        if (strv_has(&c->declared, unset.items[k]))
            continue;
        undefined = true;
        say(c, i->places[0], "UndefinedArgInFrom", "no ARG before the first FROM is named '%s'", unset.items[k]);
    }
    if (!undefined && strchr(i->args.items[0], '$') && !is_image_name(name))
        say(c, i->places[0], "InvalidDefaultArgInFrom",
            "with the defaults of ARG alone '%s' is '%s', which is no image's name", i->args.items[0], name);
}

/* What needs values is seen in the build: UndefinedVar, InvalidBaseImagePlatform. */
static void check_all(struct checking *c)
{
    const struct dockerfile *f = c->b->file;
    own_strv struct strv names = { 0 };
    struct seen seen = { 0 };
    check_casing(c);
    check_repeated(c);
    for (size_t i = 0; i < f->empty_continuations_n; i++)
        say(c, f->empty_continuations[i], "NoEmptyContinuation", "an empty line inside a continued one");
    bool from = false;
    for (size_t i = 0; i < f->n; i++) {
        check_description(c, &f->items[i]);
        if (f->items[i].kind == DF_ARG && !from)
            add_default(c, &f->items[i]);
        if (f->items[i].kind == DF_FROM) {
            from = true;
            check_from_name(c, &f->items[i]);
            check_from(c, &f->items[i], &names);
            seen = (struct seen){ 0 };
        }
        check_instruction(c, &f->items[i], &seen);
    }
}

/* "docker/dockerfile:1.7-labs" and its like are the language that is read here. */
static fallible check_syntax(const struct build *b)
{
    static const char *const known[] = { "docker/dockerfile", "docker.io/docker/dockerfile",
                                         "docker/dockerfile-upstream", "docker.io/docker/dockerfile-upstream" };
    const char *given = builtin_arg(b, "BUILDKIT_SYNTAX"), *syntax = given ? given : b->file->syntax;
    if (!syntax || (given && strcmp(given, "dockerfile.v0") == 0)) /* that is: whatever is built in */
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        size_t n = strlen(known[i]);
        if (strncmp(syntax, known[i], n) == 0 && (!syntax[n] || syntax[n] == '@'))
            return NULL;
        if (strncmp(syntax, known[i], n) == 0 && syntax[n] == ':' &&
            (syntax[n + 1] == '1' || isalpha((unsigned char)syntax[n + 1])))
            return NULL;
    }
    if (given)
        return err_new(ERR_INVALID,
                       "--build-arg BUILDKIT_SYNTAX=%s: husk reads docker/dockerfile:1 and runs no frontend from an "
                       "image: expected that, or dockerfile.v0",
                       given);
    return df_error(
        b->file->name, b->file->syntax_place,
        "syntax=%s: husk reads docker/dockerfile:1 and runs no frontend from an image: expected that, or no "
        "syntax line",
        syntax);
}

fallible check_file(struct build *b, bool *ret_stop)
{
    struct checking c = { .b = b };
    *ret_stop = b->o->check;
    err *e = check_syntax(b);
    if (!e)
        e = read_directive(&c);
    if (!e)
        check_all(&c);
    strv_free(&c.experimental);
    strv_free(&c.declared);
    strv_free(&c.defaults);
    TRY(e);
    if (b->warned && (c.error || b->o->check))
        return err_new(ERR_INVALID, "%s: %zu warning%s of checks", b->file->name, b->warned, b->warned == 1 ? "" : "s");
    return NULL;
}
