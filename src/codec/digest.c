// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/digest.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"

struct digest {
    EVP_MD_CTX *ctx;
    const char *prefix;
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

void digest_add(struct digest *d, const void *bytes, size_t n)
{
    must(EVP_DigestUpdate(d->ctx, bytes, n));
}

char *digest_end(struct digest *d)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    own_str struct str text = { 0 };
    must(EVP_DigestFinal_ex(d->ctx, sum, &n));
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
