// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/sigstore.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "codec/bind.h"
#include "image/auth.h"
#include "spec/oci_image.h"

#define PAYLOAD_TYPE "cosign container image signature"

/* ---- the document ---- */

void sigstore_payload_free(struct sigstore_payload *p)
{
    if (!p)
        return;
    free(p->reference);
    free(p->digest);
    free(p);
}

/* An object with exactly these members. */
static fallible only(const json_t *object, const char *what, const char *const *keys, size_t n)
{
    if (!json_is_object(object) || json_object_size(object) != n)
        return err_new(ERR_INVALID, "%s: not the members that it has to have", what);
    for (size_t i = 0; i < n; i++)
        if (!json_object_get(object, keys[i]))
            return err_new(ERR_INVALID, "%s: %s: missing", what, keys[i]);
    return NULL;
}

static fallible read_payload(const json_t *doc, struct sigstore_payload *p)
{
    static const char *const top[] = { "critical", "optional" };
    static const char *const critical_keys[] = { "type", "image", "identity" };
    static const char *const image_keys[] = { "docker-manifest-digest" };
    static const char *const identity_keys[] = { "docker-reference" };
    const json_t *critical = json_object_get(doc, "critical"), *optional = json_object_get(doc, "optional");
    const json_t *image = json_object_get(critical, "image"), *identity = json_object_get(critical, "identity");
    TRY(only(doc, "signature", top, ARRAY_SIZE(top)));
    TRY(only(critical, "critical", critical_keys, ARRAY_SIZE(critical_keys)));
    TRY(only(image, "image", image_keys, ARRAY_SIZE(image_keys)));
    TRY(only(identity, "identity", identity_keys, ARRAY_SIZE(identity_keys)));
    if (!json_is_null(optional) && !json_is_object(optional))
        return err_new(ERR_INVALID, "optional: expected an object");
    if (!str_eq(json_string_value(json_object_get(critical, "type")), PAYLOAD_TYPE))
        return err_new(ERR_INVALID, "type: not '%s'", PAYLOAD_TYPE);
    p->reference = mem_strdup(json_string_value(json_object_get(identity, "docker-reference")));
    p->digest = mem_strdup(json_string_value(json_object_get(image, "docker-manifest-digest")));
    if (!p->reference)
        return err_new(ERR_INVALID, "docker-reference: expected a string");
    if (!p->digest || !digest_valid(p->digest))
        return err_new(ERR_INVALID, "docker-manifest-digest: no digest");
    return NULL;
}

fallible sigstore_payload_read(const char *text, size_t len, struct sigstore_payload **ret)
{
    own(sigstore_payload) struct sigstore_payload *p = mem_zalloc(sizeof *p);
    own_json json_t *doc = NULL;
    TRY(json_parse("signature", text, len, &doc));
    TRY(read_payload(doc, p));
    *ret = take(p);
    return NULL;
}

char *sigstore_payload_write(const char *reference, const char *digest, int64_t now_seconds)
{
    own_json json_t *doc =
        json_pack("{s:{s:{s:s},s:{s:s},s:s},s:{s:s,s:I}}", "critical", "identity", "docker-reference", reference,
                  "image", "docker-manifest-digest", digest, "type", PAYLOAD_TYPE, "optional", "creator",
                  "husk " HUSK_VERSION, "timestamp", (json_int_t)now_seconds);
    return json_text(doc, BIND_COMPACT);
}

/* ---- checking ---- */

static fallible read_public(const char *pem, EVP_PKEY **ret)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (!key)
        return err_new(ERR_INVALID, "no public key in PEM (\"-----BEGIN PUBLIC KEY-----\")");
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) {
        EVP_PKEY_free(key);
        return err_new(ERR_UNSUPPORTED, "the key is none of ECDSA, as `husk image key generate` and cosign make them");
    }
    *ret = key;
    return NULL;
}

static fallible decode(const char *text, unsigned char **ret, size_t *ret_n)
{
    size_t n = strlen(text), padding = 0;
    if (!n || n % 4 || n > SIGSTORE_PAYLOAD_MAX)
        return err_new(ERR_INVALID, "not base64: the length is wrong");
    for (padding = 0; padding < 2 && text[n - 1 - padding] == '='; padding++)
        ;
    own_mem unsigned char *bytes = mem_alloc(n);
    int got = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n);
    if (got < (int)padding)
        return err_new(ERR_INVALID, "not base64");
    *ret_n = (size_t)got - padding;
    *ret = take(bytes);
    return NULL;
}

fallible sigstore_verify(const char *public_pem, const char *payload, size_t len, const char *signature)
{
    EVP_PKEY *key = NULL;
    own_mem unsigned char *bytes = NULL;
    size_t n = 0;
    TRY_AS(decode(signature, &bytes, &n), "signature");
    TRY(read_public(public_pem, &key));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(ctx, bytes, n, (const unsigned char *)payload, len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return good ? NULL : err_new(ERR_DENIED, "it is signed by another key");
}
