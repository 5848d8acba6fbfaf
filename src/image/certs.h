/*
 * certs.h: certificates for a registry, from where docker and podman keep them: NAME.crt are authorities besides the
 * system's, NAME.cert with NAME.key is who we are. The first of these folders that is there counts:
 * ~/.config/containers/certs.d/HOST[:PORT], /etc/containers/certs.d/..., /etc/docker/certs.d/...
 * Source: containers-certs.d(5).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_CERTS_H
#define HUSK_IMAGE_CERTS_H

#include "image/http.h"

/**
 * certs_find - read them all into memory.
 * @folder: this one alone (it must be there), or NULL.
 * @ret: NULL when there are none.
 * Errors: INVALID (a certificate without its key, a text that is no PEM), NOT_FOUND, DENIED.
 */
fallible certs_find(const char *folder, const char *registry, struct http_certs **ret);
void certs_free(struct http_certs *c);
OWN_TYPE(certs, struct http_certs *, certs_free)

#endif
