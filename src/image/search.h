/*
 * search.h: repositories of a registry by a word in their names: the v1 search of Docker Hub and Quay, or where a
 * registry has none its catalogue, of which only the names are known.
 * Source: docker's v1 registry API, "Search"; distribution's "Listing Repositories".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_SEARCH_H
#define HUSK_IMAGE_SEARCH_H

#include <jansson.h>

#include "image/registry.h"

/**
 * registry_search - look for a word.
 * @registry: "docker.io"; options as for registry_login().
 * @limit: at most so many.
 * @ret: an array of {Name, Description, StarCount, IsOfficial}; caller frees.
 * Errors: those of a request; UNSUPPORTED: it can do neither.
 */
fallible registry_search(const char *registry, const char *term, size_t limit, const struct registry_options *options,
                         json_t **ret);

#endif
