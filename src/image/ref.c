// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/ref.h"

#include <string.h>

#include "base/parse.h"

#define HUB "docker.io"

#define LOWER_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define LETTERS      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS       "0123456789"

void ref_free(struct ref *r)
{
    if (!r)
        return;
    free(r->registry);
    free(r->repository);
    free(r->tag);
    free(r->digest);
    free(r);
}

static fallible check_port(const char *port)
{
    uint64_t n = 0;
    if (!*port || port[strspn(port, DIGITS)])
        return err_new(ERR_INVALID, "port '%s' is not a number", port);
    err *e = parse_u64(port, 65535, &n);
    if (e || !n) {
        err_ignore(e, "said better below");
        return err_new(ERR_INVALID, "port '%s' is not between 1 and 65535", port);
    }
    return NULL;
}

static fallible check_ipv6(const char *host, size_t len)
{
    if (len < 4 || host[len - 1] != ']' || strspn(host + 1, DIGITS "abcdefABCDEF:.") != len - 2)
        return err_new(ERR_INVALID, "registry '%.*s' is not an IPv6 address in brackets", (int)len, host);
    return NULL;
}

static fallible check_host(const char *host, size_t len)
{
    if (!len)
        return err_new(ERR_INVALID, "the registry's name is empty");
    if (host[0] == '[')
        return check_ipv6(host, len);
    for (const char *p = host; p < host + len;) {
        size_t n = strspn(p, LETTERS DIGITS "-");
        if (p + n > host + len)
            n = (size_t)(host + len - p);
        if (p + n < host + len && p[n] != '.')
            return err_new(ERR_INVALID, "registry '%.*s': character '%c' is not allowed", (int)len, host, p[n]);
        if (!n || p[0] == '-' || p[n - 1] == '-' || p + n + 1 == host + len)
            return err_new(ERR_INVALID, "registry '%.*s' is not a host name", (int)len, host);
        p += n + 1;
    }
    return NULL;
}

static fallible check_registry(const char *registry)
{
    const char *bracket = strrchr(registry, ']');
    const char *colon = strchr(bracket ? bracket : registry, ':');
    TRY(check_host(registry, colon ? (size_t)(colon - registry) : strlen(registry)));
    if (colon)
        TRY_AS(check_port(colon + 1), "registry '%s'", registry);
    return NULL;
}

/* Of one path component: words of lower-case letters and digits, joined by one of ".", "_", "__" or dashes. */
static fallible check_component(const char *c, size_t len)
{
    const char *p = c, *end = c + len;
    while (p < end) {
        size_t word = strspn(p, LOWER_DIGITS);
        if (!word)
            break;
        p += word;
        if (p >= end)
            return NULL;
        if (*p == '.')
            p++;
        else if (*p == '_')
            p += p[1] == '_' ? 2 : 1;
        else if (*p == '-')
            p += strspn(p, "-");
        else
            break;
    }
    for (const char *q = c; q < end; q++) {
        if (*q >= 'A' && *q <= 'Z')
            return err_new(ERR_INVALID, "repository '%.*s' must be lower case", (int)len, c);
        if (!strchr(LOWER_DIGITS "._-", *q))
            return err_new(ERR_INVALID, "repository '%.*s': character '%c' is not allowed", (int)len, c, *q);
    }
    if (!len)
        return err_new(ERR_INVALID, "a part of the repository's name is empty");
    return err_new(ERR_INVALID, "repository '%.*s': '.', '_', '__' and '-' may only stand between letters or digits",
                   (int)len, c);
}

static fallible check_repository(const char *repository)
{
    for (const char *p = repository;; p++) {
        const char *end = strchrnul(p, '/');
        TRY(check_component(p, (size_t)(end - p)));
        if (!*end)
            return NULL;
        p = end;
    }
}

static fallible check_tag(const char *tag)
{
    size_t n = strspn(tag, LETTERS DIGITS "_.-");
    if (!*tag)
        return err_new(ERR_INVALID, "the tag after ':' is empty");
    if (tag[n])
        return err_new(ERR_INVALID, "tag '%s': character '%c' is not allowed", tag, tag[n]);
    if (tag[0] == '.' || tag[0] == '-')
        return err_new(ERR_INVALID, "tag '%s' begins with '%c'", tag, tag[0]);
    if (n > 128)
        return err_new(ERR_INVALID, "the tag is longer than 128 characters");
    return NULL;
}

static fallible check_digest(const char *digest)
{
    if (!digest_valid(digest))
        return err_new(ERR_INVALID, "digest '%s' is not 'sha256:' and 64 lower-case hex digits", digest);
    return NULL;
}

/* Is what stands before the first slash a host rather than a part of the repository? */
static bool is_registry(const char *first, size_t len)
{
    if (memchr(first, '.', len) || memchr(first, ':', len) || first[0] == '[')
        return true;
    if (len == strlen("localhost") && memcmp(first, "localhost", len) == 0)
        return true;
    for (size_t i = 0; i < len; i++)
        if (first[i] >= 'A' && first[i] <= 'Z') /* no repository has capitals: docker's rule too */
            return true;
    return false;
}

static bool is_hub(const char *registry)
{
    return strcmp(registry, HUB) == 0 || strcmp(registry, "index.docker.io") == 0 ||
           strcmp(registry, "registry-1.docker.io") == 0;
}

/* Takes the name apart: [registry/]repository, in the normal form. */
static void split_name(const char *name, struct ref *r)
{
    const char *slash = strchr(name, '/');
    if (slash && is_registry(name, (size_t)(slash - name))) {
        r->registry = mem_strndup(name, (size_t)(slash - name));
        r->repository = mem_strdup(slash + 1);
    } else {
        r->registry = mem_strdup(HUB);
        r->repository = mem_strdup(name);
        r->is_short = true;
    }
    if (!is_hub(r->registry))
        return;
    free(r->registry);
    r->registry = mem_strdup(HUB);
    if (!strchr(r->repository, '/')) {
        own_mem char *short_name = r->repository;
        r->repository = mem_printf("library/%s", short_name);
    }
}

static bool is_hex_id(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static fallible parse(const char *text, struct ref *r)
{
    own_mem char *name = mem_strdup(text);
    if (!*name)
        return err_new(ERR_INVALID, "it is empty");
    if (strstr(name, "://"))
        return err_new(ERR_INVALID, "it is a URL: leave out '%.*s'", (int)(strstr(name, "://") + 3 - name), name);
    if (is_hex_id(name))
        return err_new(ERR_INVALID, "64 hex digits are an image's ID, not a name");
    char *at = strchr(name, '@');
    if (at) {
        *at = '\0';
        TRY(check_digest(at + 1));
        r->digest = mem_strdup(at + 1);
    }
    char *slash = strrchr(name, '/');
    char *colon = strrchr(slash ? slash : name, ':');
    if (colon) {
        *colon = '\0';
        TRY(check_tag(colon + 1));
        r->tag = mem_strdup(colon + 1);
    } else if (!r->digest) {
        r->tag = mem_strdup("latest");
    }
    split_name(name, r);
    TRY(check_registry(r->registry));
    TRY(check_repository(r->repository));
    if (strlen(r->registry) + 1 + strlen(r->repository) > REF_NAME_MAX)
        return err_new(ERR_INVALID, "the name is longer than %d characters", REF_NAME_MAX);
    return NULL;
}

/* Before the text is shown in any message. */
static fallible check_printable(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p > '~')
            return err_new(ERR_INVALID, "image name: character %td is not a printable ASCII character", p - text + 1);
    return NULL;
}

fallible ref_parse(const char *text, struct ref **ret)
{
    TRY(check_printable(text));
    own(ref) struct ref *r = mem_zalloc(sizeof *r);
    TRY_AS(parse(text, r), "image name '%.300s'", text);
    *ret = take(r);
    return NULL;
}

static char *with_suffix(const char *registry, const char *repository, const struct ref *r)
{
    return mem_printf("%s%s%s%s%s%s%s", registry, *registry ? "/" : "", repository, r->tag ? ":" : "",
                      r->tag ? r->tag : "", r->digest ? "@" : "", r->digest ? r->digest : "");
}

char *ref_full(const struct ref *r)
{
    return with_suffix(r->registry, r->repository, r);
}

char *ref_familiar(const struct ref *r)
{
    if (strcmp(r->registry, HUB) != 0)
        return ref_full(r);
    const char *repository = r->repository;
    /* "library/a.b/c" without "library/" would read as a registry */
    if (str_starts(repository, "library/") && !strchr(repository + strlen("library/"), '/'))
        repository += strlen("library/");
    const char *slash = strchr(repository, '/');
    bool reads_as_registry = slash && is_registry(repository, (size_t)(slash - repository));
    return with_suffix(reads_as_registry ? r->registry : "", repository, r);
}
