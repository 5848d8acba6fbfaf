/*
 * sigstore.h: signatures of images as cosign and containers/image write them: a "simple signing" document that names
 * an image's digest, signed with ECDSA on P-256 and SHA-256. In a registry they are the layers of an image under the
 * tag sha256-HEX.sig, each with its signature in an annotation. All of it works offline. OpenSSL: only husk-image
 * links it.
 * Source: containers-signature(5); cosign's SIGNATURE_SPEC.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_SIGSTORE_H
#define HUSK_IMAGE_SIGSTORE_H

#include "base/err.h"
#include "base/mem.h"

#define SIGSTORE_MEDIA_TYPE "application/vnd.dev.cosign.simplesigning.v1+json"
#define SIGSTORE_ANNOTATION "dev.cosignproject.cosign/signature"

enum { SIGSTORE_PAYLOAD_MAX = 64 << 10, SIGSTORE_SIGNATURES_MAX = 100 };

/* What a signature says. */
struct sigstore_payload {
    char *reference; /* as it stands there */
    char *digest;    /* of the image's manifest; well-formed */
};
void sigstore_payload_free(struct sigstore_payload *p);
OWN_TYPE(sigstore_payload, struct sigstore_payload *, sigstore_payload_free)
/* INVALID: anything but such a document; unknown members of "critical" too. */
fallible sigstore_payload_read(const char *text, size_t len, struct sigstore_payload **ret);
/* Caller frees. */
char *sigstore_payload_write(const char *reference, const char *digest, int64_t now_seconds);

/* Is the payload signed by the key? DENIED: it is not. INVALID: no such key. @signature: base64.  */
fallible sigstore_verify(const char *public_pem, const char *payload, size_t len, const char *signature);

struct sigstore_key;
void sigstore_key_free(struct sigstore_key *k);
OWN_TYPE(sigstore_key, struct sigstore_key *, sigstore_key_free)
fallible sigstore_key_generate(struct sigstore_key **ret);
/* The key pair's texts: PEM, the private one encrypted as cosign does (scrypt, XSalsa20-Poly1305). Caller frees. */
fallible sigstore_key_public(const struct sigstore_key *k, char **ret_pem);
fallible sigstore_key_encrypt(const struct sigstore_key *k, const char *password, char **ret_pem);
/* Of a private key's file, encrypted or not. DENIED: another password. */
fallible sigstore_key_read(const char *pem, const char *password, struct sigstore_key **ret);
/* base64 of the signature; caller frees. */
fallible sigstore_sign(const struct sigstore_key *k, const char *payload, size_t len, char **ret_signature);

#endif
