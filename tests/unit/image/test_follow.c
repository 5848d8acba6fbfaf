// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/pool.h"
#include "image/follow.h"

enum { PIECE = 100000, PIECES = 50, FILLS = 0, READS = 1 };

struct sides {
    struct follow *f;
    int fd;
    bool restarts, gives_up;
    bool again;      /* what the reader was told */
    size_t n, wrong; /* bytes that he read last */
    err *read, *settled;
};

static void fill(struct sides *s, char with, size_t pieces)
{
    char *bytes = mem_alloc(PIECE);
    memset(bytes, with, PIECE);
    for (size_t i = 0; i < pieces; i++) {
        CHECK(write(s->fd, bytes, PIECE) == PIECE);
        follow_grew(s->f, (int64_t)(i + 1) * PIECE);
    }
    free(bytes);
}

static err *read_all(struct sides *s, struct stream_source source)
{
    unsigned char *bytes = mem_alloc(PIECE);
    err *e = NULL;
    s->n = s->wrong = 0;
    for (size_t n = 1; n > 0 && !e;) {
        e = source.read(source.ctx, bytes, PIECE, &n);
        for (size_t i = 0; !e && i < n; i++)
            s->wrong += bytes[i] != 'x';
        s->n += e ? 0 : n;
    }
    free(bytes);
    return e;
}

static fallible side(struct pool *pool, void *ctx, size_t job)
{
    struct sides *s = ctx;
    (void)pool;
    if (job == FILLS) {
        follow_begin(s->f, dup(s->fd), 0);
        if (s->restarts) {
            fill(s, '-', PIECES / 2);
            CHECK(ftruncate(s->fd, 0) == 0 && lseek(s->fd, 0, SEEK_SET) == 0);
            follow_restarted(s->f);
        }
        fill(s, 'x', s->gives_up ? PIECES / 2 : PIECES);
        if (!s->gives_up)
            follow_all(s->f);
        follow_end(s->f, !s->gives_up);
        return NULL;
    }
    do {
        err_free(s->read);
        s->read = read_all(s, follow_source(s->f));
    } while (s->read && (s->again = follow_again(s->f)));
    s->settled = follow_settled(s->f);
    return NULL;
}

static void play(struct sides *s)
{
    s->f = follow_new();
    s->fd = memfd_create("blob", MFD_CLOEXEC);
    CHECK_OK(pool_run(2, 2, side, s));
    follow_free(s->f);
    close(s->fd);
}

TEST(a_reader_gets_all_bytes_while_they_come_and_then_the_end)
{
    for (int round = 0; round < 20; round++) {
        struct sides s = { 0 };
        play(&s);
        CHECK_OK(s.read);
        CHECK_OK(s.settled);
        CHECK(s.n == (size_t)PIECE * PIECES && s.wrong == 0);
    }
}

TEST(what_was_read_before_the_sender_began_again_does_not_count)
{
    for (int round = 0; round < 20; round++) {
        struct sides s = { .restarts = true };
        play(&s);
        CHECK_OK(s.read);
        CHECK_OK(s.settled);
        CHECK(s.n == (size_t)PIECE * PIECES && s.wrong == 0);
    }
}

TEST(a_sender_that_gives_up_ends_the_reading_and_there_is_nothing_to_try_again)
{
    struct sides s = { .gives_up = true };
    play(&s);
    CHECK_ERR(s.read, ERR_CANCELLED);
    CHECK_ERR(s.settled, ERR_CANCELLED);
    CHECK(!s.again);
}

TEST(without_a_blob_there_is_nothing_to_read)
{
    struct follow *f = follow_new();
    struct sides s = { .f = f };
    follow_end(f, false);
    CHECK_ERR(read_all(&s, follow_source(f)), ERR_CANCELLED);
    CHECK(!follow_again(f));
    follow_free(f);
}

TEST(another_file_takes_the_place_of_the_one_that_was_read)
{
    struct follow *f = follow_new();
    struct sides s = { .f = f, .fd = memfd_create("one", MFD_CLOEXEC) };
    fill(&s, '-', 1);
    follow_begin(f, s.fd, PIECE);
    struct stream_source source = follow_source(f);
    unsigned char *bytes = mem_alloc(PIECE);
    size_t n = 0;
    CHECK_OK(source.read(source.ctx, bytes, 10, &n));
    CHECK(n == 10);
    CHECK(!follow_caught_up(f));
    s.fd = memfd_create("two", MFD_CLOEXEC);
    CHECK(write(s.fd, "xxx", 3) == 3);
    follow_begin(f, s.fd, 3);
    follow_all(f);
    follow_end(f, true);
    CHECK_ERR(source.read(source.ctx, bytes, 10, &n), ERR_CANCELLED);
    CHECK_ERR(follow_settled(f), ERR_CANCELLED);
    CHECK(follow_again(f));
    CHECK_OK(read_all(&s, follow_source(f)));
    CHECK(s.n == 3 && s.wrong == 0);
    CHECK_OK(follow_settled(f));
    free(bytes);
    follow_free(f);
}
