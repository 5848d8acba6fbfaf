// SPDX-License-Identifier: GPL-2.0-or-later
#include "transport/wire.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "os/fs.h"

enum { HEADER = 8 };

#define T struct wire_message
static const struct bind_field message_fields[] = {
    BIND_I64(T, husk, "husk"),
    BIND_STR(T, name, "name"),
    BIND_STR(T, digest, "digest"),
    BIND_I64(T, size, "size"),
    BIND_STR(T, media_type, "mediaType"),
    BIND_STR(T, text, "text"),
    BIND_STR(T, place, "place"),
    BIND_STR(T, has, "has"),
    BIND_STRS(T, blobs, "blobs"),
    BIND_END,
};
#undef T
static const struct bind_type message_type = { "message", sizeof(struct wire_message), message_fields };

void wire_message_free(struct wire_message *m)
{
    bind_free(&message_type, m);
}

fallible wire_message_read(const char *text, size_t len, struct wire_message **ret)
{
    own(wire_message) struct wire_message *m = NULL;
    TRY(bind_read(&message_type, text, len, (void **)&m));
    if (m->digest && !digest_valid(m->digest))
        return err_new(ERR_INVALID, "message: digest: '%.100s' is none", m->digest);
    for (size_t i = 0; i < m->blobs.n; i++)
        if (!digest_valid(m->blobs.items[i]))
            return err_new(ERR_INVALID, "message: blobs[%zu]: '%.100s' is no digest", i, m->blobs.items[i]);
    if (m->size < 0)
        return err_new(ERR_INVALID, "message: size: %lld is negative", (long long)m->size);
    *ret = take(m);
    return NULL;
}

void wire_free_buffer(struct wire *w)
{
    free(w->frame);
    w->frame = NULL;
    w->len = w->room = 0;
}

static fallible gone(void)
{
    return err_new(ERR_UNAVAILABLE, "the other host's husk is gone");
}

fallible wire_send(struct wire *w, char kind, const void *bytes, size_t n)
{
    unsigned char header[HEADER] = { (unsigned char)kind };
    uint32_t len = htole32((uint32_t)n);
    memcpy(header + 4, &len, sizeof len);
    struct iovec parts[] = { { header, HEADER }, { (void *)bytes, n } };
    ssize_t done;
    do {
        done = writev(w->out_fd, parts, 2);
    } while (done < 0 && errno == EINTR);
    if (done < 0)
        return errno == EPIPE ? gone() : err_sys(errno, "send");
    size_t sent = (size_t)done;
    if (sent < HEADER) {
        TRY(fs_write_fd(w->out_fd, header + sent, HEADER - sent, "the link"));
        sent = HEADER;
    }
    return sent < HEADER + n
               ? fs_write_fd(w->out_fd, (const char *)bytes + sent - HEADER, HEADER + n - sent, "the link")
               : NULL;
}

fallible wire_send_message(struct wire *w, char kind, const struct wire_message *m)
{
    own_mem char *text = bind_write(&message_type, m, BIND_COMPACT);
    return wire_send(w, kind, text, strlen(text));
}

fallible wire_send_error(struct wire *w, const err *e)
{
    char bytes[ERR_ENCODED_MAX];
    return wire_send(w, 'X', bytes, err_encode(e, bytes, sizeof bytes));
}

/* *ret_n less than n: the other side has ended. */
static fallible read_all(int fd, void *to, size_t n, size_t *ret_n)
{
    for (*ret_n = 0; *ret_n < n;) {
        ssize_t got = read(fd, (char *)to + *ret_n, n - *ret_n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(errno, "receive");
        if (got == 0)
            break;
        *ret_n += (size_t)got;
    }
    return NULL;
}

fallible wire_receive(struct wire *w, char *ret_kind)
{
    unsigned char header[HEADER];
    uint32_t len;
    size_t n = 0;
    TRY(read_all(w->in_fd, header, HEADER, &n));
    *ret_kind = 0;
    if (n == 0)
        return NULL;
    if (n < HEADER)
        return gone();
    memcpy(&len, header + 4, sizeof len);
    len = le32toh(len);
    if (header[0] < 'A' || header[0] > 'Z' || header[1] || header[2] || header[3] || len > WIRE_FRAME_MAX)
        return err_new(ERR_CORRUPT,
                       "what the other side sends is not husk's: does its shell print something at login?");
    if (len + 1 > w->room) {
        w->room = len + 1;
        w->frame = mem_realloc(w->frame, w->room);
    }
    TRY(read_all(w->in_fd, w->frame, len, &n));
    if (n < len)
        return gone();
    w->frame[len] = '\0';
    w->len = len;
    *ret_kind = (char)header[0];
    return NULL;
}

fallible wire_expect(struct wire *w, char kind)
{
    char is = 0;
    TRY(wire_receive(w, &is));
    if (!is)
        return gone();
    if (is == 'X')
        return err_decode(w->frame, w->len);
    return is == kind ? NULL : err_new(ERR_CORRUPT, "the other side answers '%c' where '%c' should be", is, kind);
}

fallible wire_expect_message(struct wire *w, char kind, struct wire_message **ret)
{
    TRY(wire_expect(w, kind));
    err *e = wire_message_read(w->frame, w->len, ret);
    if (!e)
        return NULL;
    own(err) err *why = e;
    return err_new(ERR_CORRUPT, "the other side's answer: %s", err_text(why));
}

fallible wire_send_blob(struct wire *w, int fd, int64_t offset, int64_t size)
{
    own_mem char *buf = mem_alloc(WIRE_DATA_MAX);
    for (int64_t left = size; left > 0;) {
        size_t want = left > WIRE_DATA_MAX ? WIRE_DATA_MAX : (size_t)left;
        ssize_t n = offset >= 0 ? pread(fd, buf, want, offset) : read(fd, buf, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err *e = n < 0 ? err_sys(errno, "read it")
                           : err_new(ERR_CORRUPT, "it ends %lld bytes too early", (long long)left);
            err_ignore(wire_send_error(w, e), "the first error counts");
            return e;
        }
        TRY(wire_send(w, 'B', buf, (size_t)n));
        left -= n;
        offset += offset >= 0 ? n : 0;
    }
    return wire_send(w, 'E', NULL, 0);
}

fallible wire_receive_blob(struct wire *w, int64_t size, wire_take *use, void *ctx)
{
    own(err) err *kept = NULL;
    for (;;) {
        char kind = 0;
        TRY(wire_receive(w, &kind));
        if (!kind)
            return gone();
        if (kind == 'X') {
            err *theirs = err_decode(w->frame, w->len);
            if (!kept)
                return theirs;
            err_ignore(theirs, "the first error counts");
            return take(kept);
        }
        if (kind == 'E')
            return take(kept);
        if (kind != 'B')
            return err_new(ERR_CORRUPT, "the other side sends '%c' in the middle of a blob", kind);
        size -= (int64_t)w->len;
        if (!kept && size < 0)
            kept = err_new(ERR_CORRUPT, "it is longer than was promised");
        if (!kept)
            kept = use(ctx, w->frame, w->len);
    }
}

fallible wire_greet(struct wire *w)
{
    struct wire_message hello = { .husk = WIRE_VERSION };
    own(wire_message) struct wire_message *answer = NULL;
    err_ignore(wire_send_message(w, 'H', &hello), "what has come from there says more");
    TRY(wire_expect_message(w, 'H', &answer));
    if (answer->husk != WIRE_VERSION)
        return err_new(ERR_UNSUPPORTED, "the other host's husk speaks version %lld of the protocol, this one %d",
                       (long long)answer->husk, WIRE_VERSION);
    return NULL;
}
