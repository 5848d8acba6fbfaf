/*
 * authorize.h: the --secret that a server of files asks for. Source: dockerfile-reference.md "ADD", "Secrets";
 * docs.docker.com/build/building/secrets. That for repositories is git.h's git_authorize().
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_AUTHORIZE_H
#define HUSK_BUILD_AUTHORIZE_H

#include <stddef.h>

struct build_secret;
/* The value of an Authorization header for an http URL: that of HTTP_AUTH_HEADER_HOST, or HTTP_AUTH_TOKEN_HOST's as a
 * bearer's token; NULL: no secret is for that host. Caller wipes and frees. */
char *authorize_url(const char *url, const struct build_secret *secrets, size_t n);

#endif
