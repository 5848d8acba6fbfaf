// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Build arguments that speak to the builder and not to the Dockerfile. Source: dockerfile-reference.md "BuildKit
 * built-in build args".
 */
#include <string.h>

#include "base/parse.h"
#include "build/build_parts.h"

const char *builtin_arg(const struct build *b, const char *name)
{
    const char *value = strv_getenv(&b->build_args, name);
    return value && *value ? value : NULL;
}

static fallible is_on(const struct build *b, const char *name, bool *ret)
{
    const char *value = builtin_arg(b, name);
    *ret = false;
    if (value)
        TRY_AS(parse_bool(value, ret), "--build-arg %s", name);
    return NULL;
}

fallible builtin_args_read(struct build *b, struct strv *cache_to)
{
    bool inline_cache = false;
    TRY(is_on(b, "BUILDKIT_CONTEXT_KEEP_GIT_DIR", &b->keep_git_dir));
    TRY(is_on(b, "BUILDKIT_MULTI_PLATFORM", &b->always_index));
    TRY(is_on(b, "BUILDKIT_INLINE_CACHE", &inline_cache));
    strv_copy(cache_to, b->o->cache_to.items, b->o->cache_to.n);
    if (inline_cache && !strv_has(cache_to, "inline") && !strv_has(cache_to, "type=inline"))
        strv_add(cache_to, "type=inline");
    return NULL;
}
