// SPDX-License-Identifier: GPL-2.0-or-later
/* What the options bring: arguments, platforms, secrets. */
#include <fcntl.h>
#include <string.h>

#include "base/parse.h"
#include "build/build_parts.h"
#include "image/ref.h"
#include "os/fs.h"

enum { SECRET_MAX = 500 << 10 };

#define SECONDS_MAX INT64_C(253402300799) /* the year 9999 */

static fallible check_seconds(const char *option, int64_t s)
{
    if (s < 0 || s > SECONDS_MAX)
        return err_new(ERR_INVALID, "%s: expected seconds since 1970, from 0 to %lld", option, (long long)SECONDS_MAX);
    return NULL;
}

static fallible add_build_arg(struct build *b, const char *option, const char *text)
{
    const char *equals = strchr(text, '='), *value = equals ? NULL : getenv(text);
    if (equals == text || !*text)
        return err_new(ERR_INVALID, "%s '%s': expected NAME=VALUE", option, text);
    own_mem char *pair = value ? mem_printf("%s=%s", text, value) : NULL;
    if (equals || pair)
        strv_setenv(&b->build_args, equals ? text : pair);
    return NULL;
}

/* A line each, as --build-arg takes it; empty ones and comments are none. */
static fallible read_arg_file(struct build *b, const char *path)
{
    own_mem char *text = NULL, *option = NULL;
    own_strv struct strv lines = { 0 };
    size_t len = 0;
    TRY_AS(fs_read_at(AT_FDCWD, path, DOCKERFILE_MAX, &text, &len), "--build-arg-file");
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        char *line = lines.items[i] + strspn(lines.items[i], " \t");
        size_t n = strlen(line);
        while (n && strchr(" \t\r", line[n - 1]))
            line[--n] = '\0';
        if (!n || *line == '#')
            continue;
        option = mem_printf("--build-arg-file '%s': line %zu:", path, i + 1);
        TRY(add_build_arg(b, option, line));
        free(take(option));
    }
    return NULL;
}

static fallible read_build_args(struct build *b)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    for (size_t i = 0; i < b->o->how.arg_files.n; i++)
        TRY(read_arg_file(b, b->o->how.arg_files.items[i]));
    for (size_t i = 0; i < b->o->build_args.n; i++)
        TRY(add_build_arg(b, "--build-arg", b->o->build_args.items[i]));
    const struct build_image_options *image = &b->o->image;
    if (image->epoch.set && image->timestamp.set)
        return err_new(ERR_INVALID, "--timestamp and --source-date-epoch exclude each other");
    if (image->epoch.set) {
        own_mem char *pair = mem_printf("SOURCE_DATE_EPOCH=%lld", (long long)image->epoch.v);
        strv_setenv(&b->build_args, pair);
    }
    if (strv_getenv(&b->build_args, "SOURCE_DATE_EPOCH"))
        epoch = strv_getenv(&b->build_args, "SOURCE_DATE_EPOCH");
    if (image->timestamp.set) {
        b->epoch = image->timestamp;
        return check_seconds("--timestamp", image->timestamp.v);
    }
    if (!epoch || !*epoch)
        return NULL;
    b->epoch.set = true;
    TRY_AS(parse_i64(epoch, 0, SECONDS_MAX, &b->epoch.v), "SOURCE_DATE_EPOCH");
    strv_add(&b->used_args, "SOURCE_DATE_EPOCH");
    return NULL;
}

static void add_platform(struct build *b, const char *prefix, const char *platform)
{
    own_strv struct strv parts = { 0 };
    strv_split(&parts, platform, '/');
    strv_add_printf(&b->platform_args, "%sPLATFORM=%s", prefix, platform);
    strv_add_printf(&b->platform_args, "%sOS=%s", prefix, parts.items[0]);
    strv_add_printf(&b->platform_args, "%sARCH=%s", prefix, parts.n > 1 ? parts.items[1] : "");
    strv_add_printf(&b->platform_args, "%sVARIANT=%s", prefix, parts.n > 2 ? parts.items[2] : "");
}

const char *build_wanted_platform(const struct build *b)
{
    return b->platforms.n ? b->platform : NULL;
}

void build_choose_platform(struct build *b, const char *platform)
{
    b->platform = platform;
    strv_free(&b->platform_args);
    add_platform(b, "TARGET", platform);
    add_platform(b, "BUILD", platform_of_host());
}

/* --os, --arch and --variant: what is not said is this machine's. */
static fallible read_arch(struct build *b)
{
    const struct build_image_options *i = &b->o->image;
    own_mem char *one = NULL;
    if (!i->os && !i->arch && !i->variant)
        return NULL;
    if (b->o->platforms.n)
        return err_new(ERR_INVALID, "--platform and %s exclude each other",
                       i->arch ? "--arch"
                       : i->os ? "--os"
                               : "--variant");
    own_strv struct strv host = { 0 };
    strv_split(&host, platform_of_host(), '/');
    own_mem char *text = mem_printf("%s/%s%s%s", i->os ? i->os : host.items[0], i->arch ? i->arch : host.items[1],
                                    i->variant ? "/" : "", i->variant ? i->variant : "");
    TRY_AS(platform_parse(text, &one), "--os, --arch and --variant");
    strv_add(&b->platforms, one);
    return NULL;
}

static fallible read_platforms(struct build *b)
{
    TRY(read_arch(b));
    for (size_t i = 0; i < b->o->platforms.n; i++) {
        own_strv struct strv words = { 0 };
        strv_split(&words, b->o->platforms.items[i], ',');
        for (size_t k = 0; k < words.n; k++) {
            own_mem char *one = NULL;
            TRY_AS(platform_parse(words.items[k], &one), "--platform");
            if (!strv_has(&b->platforms, one))
                strv_add(&b->platforms, one);
        }
    }
    build_choose_platform(b, b->platforms.n ? b->platforms.items[0] : platform_of_host());
    if (b->platforms.n > 1 && b->o->verify)
        return err_new(ERR_INVALID, "--verify compares one image: give one --platform");
    return NULL;
}

static void add_secret(struct build *b, const char *id, char *take_bytes, size_t n)
{
    b->secrets = mem_array(b->secrets, b->secrets_n + 1, sizeof *b->secrets);
    b->secrets[b->secrets_n++] = (struct build_secret){ mem_strdup(id), take_bytes, n };
}

/* "id=NAME[,src=FILE][,env=NAME][,type=file|env]" */
static fallible read_secret(struct build *b, const char *text)
{
    own_strv struct strv parts = { 0 };
    const char *id = NULL, *file = NULL, *env = NULL;
    char *bytes = NULL;
    size_t n = 0;
    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.n; i++) {
        const char *p = parts.items[i], *value = strchr(p, '=');
        if (!value)
            return err_new(ERR_INVALID, "--secret '%s': expected id=NAME,src=FILE or id=NAME,env=NAME", text);
        value++;
        if (str_starts(p, "id="))
            id = value;
        else if (str_starts(p, "src=") || str_starts(p, "source="))
            file = value;
        else if (str_starts(p, "env="))
            env = value;
        else if (!str_starts(p, "type="))
            return err_new(ERR_INVALID, "--secret '%s': unknown key '%s': expected id, src, env or type", text, p);
    }
    if (!id)
        id = file ? strrchr(file, '/') ? strrchr(file, '/') + 1 : file : env;
    if (!id || !*id)
        return err_new(ERR_INVALID, "--secret '%s': expected id=NAME", text);
    if (file && env)
        return err_new(ERR_INVALID, "--secret '%s': expected src or env, not both", text);
    if (!file) {
        const char *value = getenv(env ? env : id);
        if (!value && env)
            return err_new(ERR_NOT_FOUND, "--secret: there is no environment variable '%s'", env);
        if (value) {
            add_secret(b, id, mem_strdup(value), strlen(value));
            return NULL;
        }
        file = id;
    }
    TRY_AS(fs_read_at(AT_FDCWD, file, SECRET_MAX, &bytes, &n), "--secret '%s'", id);
    add_secret(b, id, bytes, n);
    return NULL;
}

static fallible check_names(const struct build_options *o)
{
    for (size_t i = 0; i < o->tags.n; i++) {
        own(ref) struct ref *ref = NULL;
        TRY_AS(ref_parse(o->tags.items[i], &ref), "--tag");
        if (ref->digest)
            return err_new(ERR_INVALID, "--tag: '%s': a new image's digest cannot be chosen", o->tags.items[i]);
    }
    return NULL;
}

fallible build_read_options(struct build *b)
{
    own_strv struct strv cache_to = { 0 };
    TRY(check_names(b->o));
    TRY(final_check(b->o));
    TRY(progress_out_new(b->o->quiet ? "quiet" : b->o->progress, &b->progress));
    TRY(read_build_args(b));
    TRY(read_platforms(b));
    TRY(how_check(b));
    TRY(contexts_read(b));
    TRY(attest_parse(b->o->provenance, b->o->sbom, &b->o->attests, &b->attest));
    TRY(builtin_args_read(b, &cache_to));
    TRY(annotations_check(b));
    TRY(share_parse("--cache-from", &b->o->cache_from, &b->imports, &b->imports_n));
    TRY(share_parse("--cache-to", &cache_to, &b->exports, &b->exports_n));
    for (size_t i = 0; i < b->o->secrets.n; i++)
        TRY(read_secret(b, b->o->secrets.items[i]));
    return NULL;
}

static const char *const known_args[] = { "HTTP_PROXY", "http_proxy", "HTTPS_PROXY",      "https_proxy",
                                          "FTP_PROXY",  "ftp_proxy",  "NO_PROXY",         "no_proxy",
                                          "ALL_PROXY",  "all_proxy",  "SOURCE_DATE_EPOCH" };

void build_warn_unused(struct build *b)
{
    for (size_t i = 0; i < b->build_args.n; i++) {
        own_mem char *name = mem_strndup(b->build_args.items[i], strcspn(b->build_args.items[i], "="));
        bool known =
            strv_has(&b->used_args, name) || strv_getenv(&b->stages->globals, name) || str_starts(name, "BUILDKIT_");
        for (size_t k = 0; k < ARRAY_SIZE(known_args); k++)
            known = known || strcmp(known_args[k], name) == 0;
        if (known)
            continue;
        own_mem char *text = mem_printf("warning: no ARG took --build-arg %s", name);
        progress_note(b->progress, text);
    }
}
