// SPDX-License-Identifier: GPL-2.0-or-later
/* OpenSSL's newer interface shows no state to go on from; the older one does, and is there as long as version 3 is. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "codec/sha256_many.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/pool.h"

enum { BLOCK = 64, LEAST_LANES = 3 }; /* two streams after each other are quicker than two of eight lanes */

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#define ADD(a, b)    _mm256_add_epi32(a, b)
#define XOR(a, b)    _mm256_xor_si256(a, b)
#define AND(a, b)    _mm256_and_si256(a, b)
#define OR(a, b)     _mm256_or_si256(a, b)
#define SHIFT(x, n)  _mm256_srli_epi32(x, n)
#define ROTATE(x, n) OR(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - (n)))

/* Rows of eight words become columns: a register for each word of the block, a lane for each stream. */
AVX2 static inline void transpose(__m256i r[8])
{
    __m256i t[8], u[8];
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
    }
}

AVX2 static inline void load_block(const unsigned char *const bytes[SHA256_LANES], size_t at, __m256i w[16])
{
    const __m256i swap = _mm256_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10,
                                         11, 4, 5, 6, 7, 0, 1, 2, 3);
    for (size_t half = 0; half < 2; half++) {
        for (size_t i = 0; i < SHA256_LANES; i++)
            w[8 * half + i] = _mm256_shuffle_epi8(
                _mm256_loadu_si256((const __m256i *)(const void *)(bytes[i] + at + 32 * half)), swap);
        transpose(w + 8 * half);
    }
}

/* One round; its result is where the next one has its a, so the callers turn the names. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                                               \
    do {                                                                                                               \
        __m256i t1 = ADD(ADD(ADD(h, XOR(XOR(ROTATE(e, 6), ROTATE(e, 11)), ROTATE(e, 25))), XOR(g, AND(e, XOR(f, g)))), \
                         ADD(_mm256_set1_epi32((int)constants[i]), w[(i)&15]));                                        \
        __m256i t2 = ADD(XOR(XOR(ROTATE(a, 2), ROTATE(a, 13)), ROTATE(a, 22)), OR(AND(a, b), AND(c, OR(a, b))));       \
        d = ADD(d, t1);                                                                                                \
        h = ADD(t1, t2);                                                                                               \
    } while (0)
#define SCHEDULE(i)                                                                                                    \
    do {                                                                                                               \
        __m256i x = w[((i) + 1) & 15], y = w[((i) + 14) & 15];                                                         \
        w[(i)&15] = ADD(ADD(w[(i)&15], XOR(XOR(ROTATE(x, 7), ROTATE(x, 18)), SHIFT(x, 3))),                            \
                        ADD(w[((i) + 9) & 15], XOR(XOR(ROTATE(y, 17), ROTATE(y, 19)), SHIFT(y, 10))));                 \
    } while (0)

AVX2 static inline void one_block(__m256i s[8], __m256i w[16])
{
    __m256i a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    for (int i = 0; i < 64; i += 8) {
        for (int k = i; i >= 16 && k < i + 8; k++)
            SCHEDULE(k);
        ROUND(a, b, c, d, e, f, g, h, i);
        ROUND(h, a, b, c, d, e, f, g, i + 1);
        ROUND(g, h, a, b, c, d, e, f, i + 2);
        ROUND(f, g, h, a, b, c, d, e, i + 3);
        ROUND(e, f, g, h, a, b, c, d, i + 4);
        ROUND(d, e, f, g, h, a, b, c, i + 5);
        ROUND(c, d, e, f, g, h, a, b, i + 6);
        ROUND(b, c, d, e, f, g, h, a, i + 7);
    }
    const __m256i sums[8] = { a, b, c, d, e, f, g, h };
    for (int i = 0; i < 8; i++)
        s[i] = ADD(s[i], sums[i]);
}

AVX2 void sha256_lanes(uint32_t state[SHA256_LANES][8], const unsigned char *const bytes[SHA256_LANES], size_t blocks)
{
    __m256i s[8], w[16];
    for (size_t i = 0; i < 8; i++)
        s[i] = _mm256_loadu_si256((const __m256i *)(const void *)state[i]);
    transpose(s);
    for (size_t n = 0; n < blocks; n++) {
        load_block(bytes, n * BLOCK, w);
        one_block(s, w);
    }
    transpose(s);
    for (size_t i = 0; i < 8; i++)
        _mm256_storeu_si256((__m256i *)(void *)state[i], s[i]);
}

/* Source: CPUID leaf 1, ECX bit 27, and XGETBV: the kernel keeps the wide registers; leaf 7, EBX bits 5 and 29. */
static void ask_processor(bool *ret_avx2, bool *ret_sha)
{
    unsigned a = 0, b = 0, c = 0, d = 0, kept = 0, high = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) && (c >> 27 & 1))
        __asm__("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        b = 0;
    *ret_avx2 = (b >> 5 & 1) && (kept & 6) == 6;
    *ret_sha = b >> 29 & 1;
}
#else
void sha256_lanes(uint32_t state[SHA256_LANES][8], const unsigned char *const bytes[SHA256_LANES], size_t blocks)
{
    (void)state, (void)bytes, (void)blocks;
    abort(); /* sha256_many_works() says no */
}
static void ask_processor(bool *ret_avx2, bool *ret_sha)
{
    *ret_avx2 = *ret_sha = false;
}
#endif

/* ---- one stream, by OpenSSL ---- */

void sha256_one_add(uint32_t state[8], const unsigned char *bytes, size_t blocks)
{
    SHA256_CTX c;
    SHA256_Init(&c);
    memcpy(c.h, state, sizeof c.h);
    SHA256_Update(&c, bytes, blocks * BLOCK);
    memcpy(state, c.h, sizeof c.h);
}

bool sha256_many_works(void)
{
    enum { SIZE = 2 * BLOCK };
    static unsigned char text[SHA256_LANES][SIZE];
    uint32_t together[SHA256_LANES][8], alone[SHA256_LANES][8];
    const unsigned char *bytes[SHA256_LANES];
    SHA256_CTX c;
    bool avx2, sha;
    ask_processor(&avx2, &sha);
    if (!avx2)
        return false;
    SHA256_Init(&c);
    for (size_t i = 0; i < SHA256_LANES; i++) {
        unsigned char mine[SIZE];
        for (size_t k = 0; k < SIZE; k++)
            mine[k] = (unsigned char)(k * 7 + i * 131 + (k >> 3));
        memcpy(text[i], mine, SIZE); /* several threads at once write the same */
        bytes[i] = text[i];
        memcpy(together[i], c.h, sizeof together[i]);
        memcpy(alone[i], c.h, sizeof alone[i]);
        sha256_one_add(alone[i], bytes[i], SIZE / BLOCK);
    }
    sha256_lanes(together, bytes, SIZE / BLOCK);
    return memcmp(together, alone, sizeof alone) == 0;
}

static bool pays(void)
{
    const char *wish = getenv("HUSK_HASH");
    bool avx2, sha;
    if (str_eq(wish, "one"))
        return false;
    ask_processor(&avx2, &sha);
    return (!sha || str_eq(wish, "many")) && sha256_many_works();
}

bool sha256_many_pays(void)
{
    static int known; /* 1: no, 2: yes. A virtual machine answers CPUID slowly */
    int is = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!is) {
        is = pays() ? 2 : 1;
        __atomic_store_n(&known, is, __ATOMIC_RELAXED);
    }
    return is == 2;
}

/* ---- threads that meet ---- */

struct request {
    uint32_t *state;
    const unsigned char *bytes;
    size_t blocks;
    bool done;
    struct request *next;
};
/* Where they meet: the one thing that the threads of a process share here. */
struct board {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct request *first;
    size_t waiting, hashing, most; /* hashing: threads that are at it now; most: as many as may be */
};
static struct board *the_board(void)
{
    static struct board board = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
    return &board;
}

/* The streams of a batch in step, as far as the shortest goes; it drops out, and the others go on. */
static void add_together(struct request *batch[SHA256_LANES], size_t n)
{
    while (n >= LEAST_LANES) {
        uint32_t state[SHA256_LANES][8];
        const unsigned char *bytes[SHA256_LANES];
        size_t blocks = batch[0]->blocks, left = 0;
        for (size_t i = 0; i < n; i++)
            blocks = batch[i]->blocks < blocks ? batch[i]->blocks : blocks;
        for (size_t i = 0; i < SHA256_LANES; i++) { /* lanes without a stream repeat the first's */
            const struct request *r = batch[i < n ? i : 0];
            memcpy(state[i], r->state, sizeof state[i]);
            bytes[i] = r->bytes;
        }
        sha256_lanes(state, bytes, blocks);
        for (size_t i = 0; i < n; i++) {
            struct request *r = batch[i];
            memcpy(r->state, state[i], sizeof state[i]);
            r->bytes += blocks * BLOCK;
            r->blocks -= blocks;
            if (r->blocks)
                batch[left++] = r;
        }
        n = left;
    }
    for (size_t i = 0; i < n; i++)
        sha256_one_add(batch[i]->state, batch[i]->bytes, batch[i]->blocks);
}

/* Hashes what has gathered; called and left with the mutex held. */
static void lead(struct board *b)
{
    struct request *batch[SHA256_LANES], *all[SHA256_LANES];
    size_t n = 0;
    for (; b->first && n < SHA256_LANES; n++) {
        batch[n] = all[n] = b->first;
        b->first = b->first->next;
    }
    b->waiting -= n;
    b->hashing++;
    pthread_mutex_unlock(&b->mutex);
    add_together(batch, n);
    pthread_mutex_lock(&b->mutex);
    b->hashing--;
    for (size_t i = 0; i < n; i++)
        all[i]->done = true;
    pthread_cond_broadcast(&b->changed);
}

void sha256_many_add(uint32_t state[8], const unsigned char *bytes, size_t blocks)
{
    struct board *b = the_board();
    struct request mine = { state, bytes, blocks, false, NULL };
    pthread_mutex_lock(&b->mutex);
    if (!b->most)
        b->most = pool_cores() > 2 ? pool_cores() / 2 : 1; /* the other half unpacks */
    struct request **end = &b->first;
    while (*end)
        end = &(*end)->next;
    *end = &mine;
    b->waiting++;
    while (!mine.done) {
        if (b->hashing < b->most && b->waiting)
            lead(b);
        else
            pthread_cond_wait(&b->changed, &b->mutex);
    }
    pthread_mutex_unlock(&b->mutex);
}
