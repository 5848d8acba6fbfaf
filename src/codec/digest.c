// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/digest.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"
#include "codec/sha256_many.h"

/* A stream that begins with a piece of this size is a large one: small documents are no business of many lanes. */
enum { BLOCK = 64, LARGE = 32 << 10 };

struct digest {
    EVP_MD_CTX *ctx;
    const char *prefix;
    /* sha256 of a large stream where several at once pay (codec/sha256_many.h) */
    bool begun, many;
    uint32_t state[8];
    uint64_t bytes;
    unsigned char part[2 * BLOCK]; /* of a block; at the end with its padding */
    size_t part_n;
};

static const struct {
    const char *prefix;
    const EVP_MD *(*md)(void);
} algorithms[] = {
    { "sha256:", EVP_sha256 },
    { "sha512:", EVP_sha512 },
};

/* OpenSSL's hashes only fail when a provider is missing: then nothing at all can be checked. */
static void must(int done)
{
    if (done != 1)
        abort();
}

fallible digest_new(const char *algorithm, struct digest **ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        size_t len = strlen(algorithms[i].prefix) - 1;
        if (algorithm &&
            (strncmp(algorithm, algorithms[i].prefix, len) != 0 || (algorithm[len] && algorithm[len] != ':')))
            continue;
        struct digest *d = mem_zalloc(sizeof *d);
        d->prefix = algorithms[i].prefix;
        d->ctx = EVP_MD_CTX_new();
        must(d->ctx != NULL);
        must(EVP_DigestInit_ex(d->ctx, algorithms[i].md(), NULL));
        *ret = d;
        return NULL;
    }
    return err_new(ERR_UNSUPPORTED, "digest algorithm of '%.100s' is neither sha256 nor sha512", algorithm);
}

static void begin(struct digest *d, size_t n)
{
    /* Source: FIPS 180-4, section 5.3.3. */
    static const uint32_t initial[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    d->begun = true;
    d->many = n >= LARGE && str_eq(d->prefix, "sha256:") && sha256_many_pays();
    memcpy(d->state, initial, sizeof initial);
}

static void add_many(struct digest *d, const unsigned char *bytes, size_t n)
{
    d->bytes += n;
    if (d->part_n) {
        size_t fill = n < BLOCK - d->part_n ? n : BLOCK - d->part_n;
        memcpy(d->part + d->part_n, bytes, fill);
        d->part_n += fill;
        bytes += fill;
        n -= fill;
        if (d->part_n < BLOCK)
            return;
        sha256_one_add(d->state, d->part, 1);
        d->part_n = 0;
    }
    if (n >= LARGE)
        sha256_many_add(d->state, bytes, n / BLOCK);
    else if (n >= BLOCK)
        sha256_one_add(d->state, bytes, n / BLOCK);
    d->part_n = n % BLOCK;
    if (d->part_n)
        memcpy(d->part, bytes + n - d->part_n, d->part_n);
}

void digest_add(struct digest *d, const void *bytes, size_t n)
{
    if (!d->begun && n)
        begin(d, n);
    if (d->many)
        add_many(d, bytes, n);
    else
        must(EVP_DigestUpdate(d->ctx, bytes, n));
}

/* Padding and length. Source: FIPS 180-4, section 5.1.1. */
static void end_many(struct digest *d, unsigned char *sum)
{
    size_t blocks = d->part_n < BLOCK - 8 ? 1 : 2;
    memset(d->part + d->part_n, 0, sizeof d->part - d->part_n);
    d->part[d->part_n] = 0x80;
    for (size_t i = 0; i < 8; i++)
        d->part[blocks * BLOCK - 1 - i] = (unsigned char)(d->bytes * 8 >> 8 * i);
    sha256_one_add(d->state, d->part, blocks);
    for (size_t i = 0; i < 32; i++)
        sum[i] = (unsigned char)(d->state[i / 4] >> (24 - i % 4 * 8));
}

char *digest_end(struct digest *d)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    own_str struct str text = { 0 };
    if (d->many) {
        end_many(d, sum);
        n = 32;
    } else {
        must(EVP_DigestFinal_ex(d->ctx, sum, &n));
    }
    str_add(&text, d->prefix);
    for (unsigned int i = 0; i < n; i++) {
        str_add_char(&text, digits[sum[i] >> 4]);
        str_add_char(&text, digits[sum[i] & 15]);
    }
    return str_take(&text);
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    EVP_MD_CTX_free(d->ctx);
    free(d);
}

char *digest_of(const void *bytes, size_t n)
{
    own(digest) struct digest *d = NULL;
    err_ignore(digest_new(NULL, &d), "sha256 is always there");
    digest_add(d, bytes, n);
    return digest_end(d);
}
