/*
 * authorities.h: the certificate authorities that SSL_CERT_FILE and SSL_CERT_DIR name, as Go's programs read them: of
 * each folder all files, whatever they are called. OpenSSL itself finds a certificate in a folder only under the hash
 * of its name (openssl-rehash(1)), so that what works for docker and podman would not work here.
 * Source: Go's crypto/x509, root_unix.go.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_AUTHORITIES_H
#define HUSK_IMAGE_AUTHORITIES_H

#include "base/err.h"

/**
 * authorities_of_folders - PEM texts of all certificates in folders.
 * @folders: separated by colons. What cannot be read, or is no certificate, is passed over.
 * @file:    a file of certificates more, or NULL.
 * Caller frees; "" when there is none.
 */
char *authorities_of_folders(const char *folders, const char *file);

#endif
