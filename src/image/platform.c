// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/layout.h"

#include <string.h>

#if defined(__x86_64__)
#define HOST_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define HOST_ARCHITECTURE "arm64"
#elif defined(__i386__)
#define HOST_ARCHITECTURE "386"
#elif defined(__arm__)
#define HOST_ARCHITECTURE "arm/v7"
#elif defined(__riscv) && __riscv_xlen == 64
#define HOST_ARCHITECTURE "riscv64"
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HOST_ARCHITECTURE "ppc64le"
#elif defined(__s390x__)
#define HOST_ARCHITECTURE "s390x"
#elif defined(__loongarch64)
#define HOST_ARCHITECTURE "loong64"
#else
#error "which of Go's GOARCH words is this machine's?"
#endif
#define HOST "linux/" HOST_ARCHITECTURE

const char *platform_of_host(void)
{
    return HOST;
}

/* The kernel's and other people's words for what OCI (that is, Go) calls otherwise. */
static const struct {
    const char *word, *architecture, *variant;
} aliases[] = {
    { "x86_64", "amd64", NULL },  { "x86-64", "amd64", NULL }, { "i386", "386", NULL },  { "i686", "386", NULL },
    { "aarch64", "arm64", NULL }, { "armhf", "arm", "v7" },    { "armel", "arm", "v6" },
};

/* What a manifest means when it does not say: arm64 is v8, arm is v7. */
static const char *variant_or_default(const char *architecture, const char *variant)
{
    if (variant && *variant)
        return variant;
    if (str_eq(architecture, "arm64"))
        return "v8";
    return str_eq(architecture, "arm") ? "v7" : "";
}

/* Words that stand alone: a machine's, or a system's. Source: Go's GOARCH and GOOS. */
static bool is_machine(const char *word)
{
    static const char *const words[] = { "386",     "amd64",   "arm",      "arm64",   "loong64",
                                         "mips",    "mips64",  "mips64le", "mipsle",  "ppc64",
                                         "ppc64le", "riscv64", "s390x",    "sparc64", "wasm" };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
        if (strcmp(word, aliases[i].word) == 0)
            return true;
    return false;
}

static bool is_system(const char *word)
{
    static const char *const words[] = { "linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris" };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

fallible platform_parse(const char *text, char **ret)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, text, '/');
    bool complete = words.n >= 1 && words.n <= 3;
    for (size_t i = 0; i < words.n; i++)
        complete = complete && *words.items[i];
    if (!complete || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-./") != strlen(text))
        return err_new(ERR_INVALID, "platform '%.100s' is not of the form OS/ARCHITECTURE[/VARIANT], as %s", text,
                       HOST);
    bool bare = words.n == 1 && !is_system(text); /* "arm64" alone */
    if (bare && !is_machine(text))
        return err_new(ERR_INVALID,
                       "platform '%.100s' is neither a system nor a machine that is known: say "
                       "OS/ARCHITECTURE[/VARIANT], as %s",
                       text, HOST);
    const char *os = bare ? "linux" : words.items[0];
    const char *architecture = bare ? words.items[0] : words.n > 1 ? words.items[1] : HOST_ARCHITECTURE;
    const char *variant = words.n > 2 ? words.items[2] : NULL;
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
        if (strcmp(architecture, aliases[i].word) != 0)
            continue;
        architecture = aliases[i].architecture;
        if (!variant)
            variant = aliases[i].variant;
        break;
    }
    *ret = mem_printf("%s/%s%s%s", os, architecture, variant ? "/" : "", variant ? variant : "");
    return NULL;
}

fallible platform_of_words(const char *os, const char *architecture, const char *variant, char **ret)
{
    if (!os && !architecture && !variant)
        return NULL;
    own_mem char *text = mem_printf("%s/%s%s%s", os ? os : "linux", architecture ? architecture : HOST_ARCHITECTURE,
                                    variant ? "/" : "", variant ? variant : "");
    return platform_parse(text, ret);
}

bool platform_matches(const struct oci_platform *have, const char *want)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, want ? want : HOST, '/');
    if (!have || words.n < 2 || !str_eq(have->os, words.items[0]) || !str_eq(have->architecture, words.items[1]))
        return false;
    return strcmp(variant_or_default(have->architecture, have->variant),
                  variant_or_default(words.items[1], words.n > 2 ? words.items[2] : NULL)) == 0;
}

char *platform_text(const struct oci_platform *p)
{
    const char *variant = p->variant ? p->variant : "";
    return mem_printf("%s/%s%s%s", p->os ? p->os : "unknown", p->architecture ? p->architecture : "unknown",
                      *variant ? "/" : "", variant);
}

/* "unknown/unknown" is how builders mark attestations, which are no images. */
static bool is_image(const struct oci_descriptor *d)
{
    return d->platform && !str_eq(d->platform->os, "unknown");
}

static char *platforms_of(const struct oci_index *index)
{
    own_str struct str list = { 0 };
    for (size_t i = 0; i < index->manifests_n; i++) {
        if (!is_image(&index->manifests[i]))
            continue;
        own_mem char *one = platform_text(index->manifests[i].platform);
        str_printf(&list, "%s%.100s", list.len ? ", " : "", one);
    }
    return str_take(&list);
}

fallible platform_choose(const struct oci_index *index, const char *want, const struct oci_descriptor **ret)
{
    for (size_t i = 0; i < index->manifests_n; i++) {
        if (is_image(&index->manifests[i]) && platform_matches(index->manifests[i].platform, want)) {
            *ret = &index->manifests[i];
            return NULL;
        }
    }
    /* An index around a single image that does not say for what it is. */
    if (!want && index->manifests_n == 1 && !index->manifests[0].platform) {
        *ret = &index->manifests[0];
        return NULL;
    }
    own_mem char *there = platforms_of(index);
    return err_new(ERR_NOT_FOUND, "no image for platform %s: there %s %s", want ? want : HOST,
                   strchr(there, ',') ? "are" : "is", *there ? there : "none for any platform");
}
