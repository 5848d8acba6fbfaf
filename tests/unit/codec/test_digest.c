// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "codec/digest.h"
#include "codec/sha256_many.h"

enum { THREADS = 11, SIZE = 3 << 20 };

struct stream {
    unsigned char *bytes;
    size_t n, piece;
    char *is;
};

static char *by_openssl(const unsigned char *bytes, size_t n)
{
    unsigned char sum[32];
    own_str struct str text = { 0 };
    CHECK(EVP_Digest(bytes, n, sum, NULL, EVP_sha256(), NULL) == 1);
    str_add(&text, "sha256:");
    for (size_t i = 0; i < sizeof sum; i++)
        str_printf(&text, "%02x", sum[i]);
    return str_take(&text);
}

static void *hash(void *ctx)
{
    struct stream *s = ctx;
    own(digest) struct digest *d = NULL;
    err *e = digest_new(NULL, &d);
    for (size_t at = 0; !e && at < s->n; at += s->piece)
        digest_add(d, s->bytes + at, s->n - at < s->piece ? s->n - at : s->piece);
    s->is = e ? NULL : digest_end(d);
    err_free(e);
    return NULL;
}

static void all_agree(void)
{
    struct stream s[THREADS];
    pthread_t ids[THREADS];
    for (size_t i = 0; i < THREADS; i++) { /* of all lengths, in pieces of all sizes */
        s[i] = (struct stream){ .n = SIZE / (i + 1) + i * 13, .piece = i % 3 ? (256 << 10) + (i % 2) * 7 : 100000 };
        s[i].bytes = mem_alloc(s[i].n);
        for (size_t k = 0; k < s[i].n; k++)
            s[i].bytes[k] = (unsigned char)(k * 31 + i * 7 + (k >> 9));
        CHECK(pthread_create(&ids[i], NULL, hash, &s[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(ids[i], NULL);
        own_mem char *truth = by_openssl(s[i].bytes, s[i].n);
        if (!str_eq(s[i].is, truth)) {
            fprintf(stderr, "stream %zu: %s, not %s\n", i, s[i].is, truth);
            abort();
        }
        free(s[i].is);
        free(s[i].bytes);
    }
}

/* Which way is decided once in a process. */
static void in_child(const char *way, void (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)setenv("HUSK_HASH", way, 1);
        fn();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
}

TEST(many_threads_digests_are_openssls_whichever_way)
{
    in_child("many", all_agree);
    in_child("one", all_agree);
}

TEST(the_lanes_agree_with_openssl_where_the_processor_has_them)
{
    CHECK(!__builtin_cpu_supports("avx2") || sha256_many_works());
}

TEST(short_texts_have_their_known_digests)
{
    own_mem char *empty = digest_of("", 0), *abc = digest_of("abc", 3);
    assert_string_equal(empty, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_string_equal(abc, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
