/*
 * Key pairs for signing, in cosign's form: the private key is PKCS #8, encrypted with a secretbox of libsodium under a
 * key that scrypt makes of the password.
 *
 *   -----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----
 *   base64 of {"kdf":{"name":"scrypt","params":{"N":32768,"r":8,"p":1},"salt":BASE64},
 *              "cipher":{"name":"nacl/secretbox","nonce":BASE64},"ciphertext":BASE64}
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <string.h>

#include "codec/bind.h"
#include "image/auth.h"
#include "image/sigstore.h"

enum { SCRYPT_N = 32768, SCRYPT_R = 8, SCRYPT_P = 1, SALT_BYTES = 32, KEY_MAX = 16 << 10 };

#define PEM_WORD     "ENCRYPTED COSIGN PRIVATE KEY"
#define PEM_WORD_NEW "ENCRYPTED SIGSTORE PRIVATE KEY"

struct sigstore_key {
    EVP_PKEY *pair;
};

void sigstore_key_free(struct sigstore_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pair);
    free(k);
}

fallible sigstore_key_generate(struct sigstore_key **ret)
{
    own(sigstore_key) struct sigstore_key *k = mem_zalloc(sizeof *k);
    k->pair = EVP_EC_gen("P-256");
    if (!k->pair)
        return err_new(ERR_INTERNAL, "OpenSSL makes no key on P-256");
    *ret = take(k);
    return NULL;
}

fallible sigstore_key_public(const struct sigstore_key *k, char **ret_pem)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool done = bio && PEM_write_bio_PUBKEY(bio, k->pair) == 1;
    long n = done ? BIO_get_mem_data(bio, &text) : 0;
    if (n > 0)
        *ret_pem = mem_strndup(text, (size_t)n);
    BIO_free(bio);
    return n > 0 ? NULL : err_new(ERR_INTERNAL, "OpenSSL does not write the public key");
}

fallible sigstore_sign(const struct sigstore_key *k, const char *payload, size_t len, char **ret_signature)
{
    unsigned char bytes[512];
    size_t n = sizeof bytes;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool done = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->pair) == 1 &&
                EVP_DigestSign(ctx, bytes, &n, (const unsigned char *)payload, len) == 1;
    EVP_MD_CTX_free(ctx);
    if (!done)
        return err_new(ERR_INTERNAL, "OpenSSL does not sign");
    *ret_signature = base64_encode(bytes, n);
    return NULL;
}

/* ---- the private key's file ---- */

static fallible derive(const char *password, const unsigned char *salt, size_t salt_n, unsigned char *key)
{
    if (crypto_pwhash_scryptsalsa208sha256_ll((const uint8_t *)password, strlen(password), salt, salt_n, SCRYPT_N,
                                              SCRYPT_R, SCRYPT_P, key, crypto_secretbox_KEYBYTES) != 0)
        return err_new(ERR_EXHAUSTED, "no memory for scrypt");
    return NULL;
}

/* base64 in lines of 64, between PEM's two lines. */
static char *pem_of(const char *text, size_t len)
{
    own_mem char *base64 = base64_encode(text, len);
    own_str struct str pem = { 0 };
    str_add(&pem, "-----BEGIN " PEM_WORD "-----\n");
    for (const char *at = base64; *at; at += strnlen(at, 64))
        str_printf(&pem, "%.64s\n", at);
    str_add(&pem, "-----END " PEM_WORD "-----\n");
    return str_take(&pem);
}

static char *document(const unsigned char *salt, const unsigned char *nonce, const unsigned char *box, size_t n)
{
    own_mem char *salt_text = base64_encode(salt, SALT_BYTES);
    own_mem char *nonce_text = base64_encode(nonce, crypto_secretbox_NONCEBYTES);
    own_mem char *box_text = base64_encode(box, n);
    own_json json_t *doc = json_pack("{s:{s:s,s:{s:i,s:i,s:i},s:s},s:{s:s,s:s},s:s}", "kdf", "name", "scrypt", "params",
                                     "N", SCRYPT_N, "r", SCRYPT_R, "p", SCRYPT_P, "salt", salt_text, "cipher", "name",
                                     "nacl/secretbox", "nonce", nonce_text, "ciphertext", box_text);
    return json_text(doc, BIND_COMPACT);
}

static fallible seal(const unsigned char *plain, size_t n, const char *password, char **ret_pem)
{
    unsigned char key[crypto_secretbox_KEYBYTES], salt[SALT_BYTES], nonce[crypto_secretbox_NONCEBYTES];
    own_mem unsigned char *box = mem_alloc(n + crypto_secretbox_MACBYTES);
    if (sodium_init() < 0)
        return err_new(ERR_INTERNAL, "libsodium does not start");
    randombytes_buf(salt, sizeof salt);
    randombytes_buf(nonce, sizeof nonce);
    TRY(derive(password, salt, sizeof salt, key));
    bool done = crypto_secretbox_easy(box, plain, n, nonce, key) == 0;
    sodium_memzero(key, sizeof key);
    if (!done)
        return err_new(ERR_INTERNAL, "libsodium does not encrypt");
    own_mem char *text = document(salt, nonce, box, n + crypto_secretbox_MACBYTES);
    *ret_pem = pem_of(text, strlen(text));
    return NULL;
}

fallible sigstore_key_encrypt(const struct sigstore_key *k, const char *password, char **ret_pem)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k->pair);
    unsigned char *der = NULL;
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    PKCS8_PRIV_KEY_INFO_free(info);
    if (n <= 0)
        return err_new(ERR_INTERNAL, "OpenSSL does not write the private key");
    err *e = seal(der, (size_t)n, password, ret_pem);
    OPENSSL_clear_free(der, (size_t)n);
    return e;
}

static fallible member(const json_t *object, const char *key, size_t min, size_t max, unsigned char **ret,
                       size_t *ret_n)
{
    const char *text = json_string_value(json_object_get(object, key));
    size_t room = text ? strlen(text) + 1 : 0;
    own_mem unsigned char *bytes = mem_alloc(room + 1);
    if (!text || sodium_base642bin(bytes, room, text, strlen(text), NULL, ret_n, NULL, sodium_base64_VARIANT_ORIGINAL))
        return err_new(ERR_INVALID, "private key: %s: no base64", key);
    if (*ret_n < min || *ret_n > max)
        return err_new(ERR_INVALID, "private key: %s: %zu bytes are not what it should have", key, *ret_n);
    *ret = take(bytes);
    return NULL;
}

static fallible check_kinds(const json_t *doc)
{
    const json_t *kdf = json_object_get(doc, "kdf"), *cipher = json_object_get(doc, "cipher");
    const json_t *params = json_object_get(kdf, "params");
    bool known = str_eq(json_string_value(json_object_get(kdf, "name")), "scrypt") &&
                 str_eq(json_string_value(json_object_get(cipher, "name")), "nacl/secretbox") &&
                 json_integer_value(json_object_get(params, "N")) == SCRYPT_N &&
                 json_integer_value(json_object_get(params, "r")) == SCRYPT_R &&
                 json_integer_value(json_object_get(params, "p")) == SCRYPT_P;
    return known
               ? NULL
               : err_new(ERR_UNSUPPORTED, "the private key is not encrypted as cosign does (scrypt with N 32768, r 8, "
                                          "p 1, and nacl/secretbox)");
}

static fallible read_der(const unsigned char *der, size_t n, struct sigstore_key **ret)
{
    own(sigstore_key) struct sigstore_key *k = mem_zalloc(sizeof *k);
    const unsigned char *at = der;
    k->pair = d2i_AutoPrivateKey(NULL, &at, (long)n);
    if (!k->pair)
        return err_new(ERR_INVALID, "no private key in it");
    if (EVP_PKEY_get_base_id(k->pair) != EVP_PKEY_EC)
        return err_new(ERR_UNSUPPORTED, "the private key is none of ECDSA");
    *ret = take(k);
    return NULL;
}

static fallible unseal(const char *text, size_t len, const char *password, struct sigstore_key **ret)
{
    own_json json_t *doc = NULL;
    own_mem unsigned char *salt = NULL;
    own_mem unsigned char *nonce = NULL;
    own_mem unsigned char *box = NULL;
    unsigned char key[crypto_secretbox_KEYBYTES];
    size_t salt_n = 0, nonce_n = 0, n = 0;
    TRY(json_parse("private key", text, len, &doc));
    TRY(check_kinds(doc));
    TRY(member(json_object_get(doc, "kdf"), "salt", 8, 1024, &salt, &salt_n));
    TRY(member(json_object_get(doc, "cipher"), "nonce", crypto_secretbox_NONCEBYTES, crypto_secretbox_NONCEBYTES,
               &nonce, &nonce_n));
    TRY(member(doc, "ciphertext", crypto_secretbox_MACBYTES + 1, KEY_MAX, &box, &n));
    own_mem unsigned char *plain = mem_alloc(n);
    TRY(derive(password, salt, salt_n, key));
    bool done = crypto_secretbox_open_easy(plain, box, n, nonce, key) == 0;
    sodium_memzero(key, sizeof key);
    if (!done)
        return err_new(ERR_DENIED, "the password is not the private key's");
    err *e = read_der(plain, n - crypto_secretbox_MACBYTES, ret);
    sodium_memzero(plain, n);
    return e;
}

fallible sigstore_key_read(const char *pem, const char *password, struct sigstore_key **ret)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    char *word = NULL, *header = NULL;
    unsigned char *bytes = NULL;
    long n = 0;
    int got = bio ? PEM_read_bio(bio, &word, &header, &bytes, &n) : 0;
    err *e = NULL;
    if (sodium_init() < 0)
        e = err_new(ERR_INTERNAL, "libsodium does not start");
    else if (got != 1)
        e = err_new(ERR_INVALID, "no private key in PEM");
    else if (str_eq(word, PEM_WORD) || str_eq(word, PEM_WORD_NEW))
        e = unseal((const char *)bytes, (size_t)n, password ? password : "", ret);
    else if (str_eq(word, "PRIVATE KEY") || str_eq(word, "EC PRIVATE KEY"))
        e = read_der(bytes, (size_t)n, ret);
    else
        e = err_new(ERR_UNSUPPORTED, "'%.60s' is no private key for signing", word);
    OPENSSL_free(word);
    OPENSSL_free(header);
    OPENSSL_clear_free(bytes, n > 0 ? (size_t)n : 0);
    BIO_free(bio);
    return e;
}
