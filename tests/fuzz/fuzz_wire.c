/*
 * Any bytes from the other end of a link between two husks: every frame is whole and within the limits, or an error;
 * a message has well-formed digests; a blob has no more bytes than were promised, or is an error.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "transport/wire.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static err *take_bytes(void *ctx, const void *bytes, size_t n)
{
    int64_t *left = ctx;
    *left -= (int64_t)n;
    if (!bytes || *left < 0)
        abort();
    return NULL;
}

static void check_message(const struct wire *w)
{
    own(wire_message) struct wire_message *m = NULL;
    own(err) err *e = wire_message_read(w->frame, w->len, &m);
    if (!e != !!m)
        abort();
    if (m && ((m->digest && !digest_valid(m->digest)) || m->size < 0))
        abort();
    for (size_t i = 0; m && i < m->blobs.n; i++)
        if (!digest_valid(m->blobs.items[i]))
            abort();
}

static void read_frames(struct wire *w)
{
    for (;;) {
        char kind = 0;
        own(err) err *e = wire_receive(w, &kind);
        if (e || !kind)
            return;
        if (w->len > WIRE_FRAME_MAX)
            abort();
        check_message(w);
        if (kind != 'P')
            continue;
        int64_t left = 1000;
        own(err) err *e2 = wire_receive_blob(w, 1000, take_bytes, &left);
        if (!e2 && left < 0) /* one that is too short is found by its digest */
            abort();
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_fd int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct wire w = { .in_fd = fd, .out_fd = -1 };
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) < 0)
        return 0;
    read_frames(&w);
    wire_free_buffer(&w);
    return 0;
}
