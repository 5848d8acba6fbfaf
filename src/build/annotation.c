// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --annotation "[PLACE[,PLACE]:]KEY=VALUE", a PLACE perhaps with "[PLATFORM]" behind it. Words before a colon that are
 * no places are the key's. Source: docs.docker.com/reference/cli/docker/buildx/build "--annotation".
 */
#include <string.h>

#include "build/build_parts.h"
#include "image/ref.h"

static const char *const place_words[] = { "manifest", "index", "manifest-descriptor", "index-descriptor" };

/* The places that the text names, as bits; *ret_rest: behind them. 0: it names none. */
static unsigned places_of(const char *text, char **ret_platform, const char **ret_rest)
{
    unsigned all = 0;
    const char *at = text;
    for (;;) {
        size_t n = strcspn(at, "[,:="), k = 0;
        while (k < ARRAY_SIZE(place_words) && (strlen(place_words[k]) != n || strncmp(at, place_words[k], n) != 0))
            k++;
        if (k == ARRAY_SIZE(place_words))
            return 0;
        all |= 1U << k;
        at += n;
        if (*at == '[') {
            size_t len = strcspn(at + 1, "]=");
            if (at[1 + len] != ']')
                return 0;
            free(*ret_platform);
            *ret_platform = mem_strndup(at + 1, len);
            at += len + 2;
        }
        if (*at == ':') {
            *ret_rest = at + 1;
            return all;
        }
        if (*at++ != ',')
            return 0;
    }
}

void annotation_add(const struct build *b, enum annotation_place place, const char *platform, struct strmap *to)
{
    for (size_t k = 0; k < b->o->annotations.n; k++) {
        const char *text = b->o->annotations.items[k], *rest = text;
        own_mem char *of = NULL;
        unsigned places = places_of(text, &of, &rest);
        if (!places) {
            places = 1U << ANNOTATION_MANIFEST;
            rest = text;
        } else if (of && platform && strcmp(of, platform) != 0) {
            continue;
        }
        own_mem char *key = mem_strndup(rest, strcspn(rest, "="));
        if (places & 1U << place)
            strmap_set(to, key, rest + strlen(key) + 1);
    }
}

fallible annotations_check(const struct build *b)
{
    bool index = b->platforms.n > 1 || b->o->how.all_platforms || b->always_index || attest_is_wanted(&b->attest);
    for (size_t k = 0; k < b->o->annotations.n; k++) {
        const char *text = b->o->annotations.items[k], *rest = text;
        own_mem char *of = NULL;
        unsigned places = places_of(text, &of, &rest);
        if (!strchr(rest, '=') || *rest == '=')
            return err_new(ERR_INVALID, "--annotation '%s': expected KEY=VALUE, or PLACE:KEY=VALUE", text);
        if (places & 1U << ANNOTATION_INDEX_DESCRIPTOR)
            return err_new(ERR_UNSUPPORTED, "--annotation '%s': nothing here describes an index: say index:", text);
        if (!index && (places & ~(1U << ANNOTATION_MANIFEST)))
            return err_new(ERR_INVALID,
                           "--annotation '%s': there is no index: one comes with several --platform, --provenance, "
                           "--sbom or --build-arg BUILDKIT_MULTI_PLATFORM=1",
                           text);
    }
    return NULL;
}
