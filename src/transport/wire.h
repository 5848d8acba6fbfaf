/*
 * wire.h: how two husks speak about images over a pair of pipes (ssh): the store of one is a source or a sink of the
 * other. The client asks, the server (`husk image serve`) answers; nobody speaks out of turn.
 *
 *   frame:  byte 0       kind, a letter
 *           byte 1..3    0
 *           byte 4..7    length of what follows, little-endian
 *
 *   kind  from     holds                                       answer
 *   H     both     {"husk":1}: the version of this protocol    H
 *   G     client   {"name":..} or {"digest":..}                D: a document
 *   T     client   {"name":..}: a tag of some repository       D
 *   R     client   {"digest":..}: who refers to it             D: an index; its text "" when there is none
 *   Q     client   {"blobs":["sha256:..",..]}                  A {"has":"0110.."}
 *   F     client   {"digest":..,"size":..}                     B.., then E
 *   P     client   {"digest":..,"size":..}, then B.. and E     K
 *   S     client   {"place":..,"name":..,"digest":..,"mediaType":..,"text":..}   K
 *   B     both     bytes of a blob
 *   E     both     the blob's end
 *   X     both     an error, as err_encode() writes it, in place of any answer, or of E
 *
 * Both sides are strangers to each other: a frame has a limit, and each digest is checked by who receives.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_TRANSPORT_WIRE_H
#define HUSK_TRANSPORT_WIRE_H

#include "codec/bind.h"
#include "image/policy.h"
#include "transport/transport.h"

enum { WIRE_VERSION = 1, WIRE_DATA_MAX = 256 << 10, WIRE_FRAME_MAX = 16 << 20 };

struct wire_message {
    int64_t husk, size;
    char *name, *digest, *media_type, *text, *place, *has;
    struct strv blobs;
};
void wire_message_free(struct wire_message *m);
OWN_TYPE(wire_message, struct wire_message *, wire_message_free)
/* The bytes of a frame as a message; digests are well-formed and sizes not negative. INVALID. */
fallible wire_message_read(const char *text, size_t len, struct wire_message **ret);

struct wire {
    int in_fd, out_fd; /* borrowed */
    char *frame;       /* the last one received */
    size_t len, room;
};
void wire_free_buffer(struct wire *w);
fallible wire_send(struct wire *w, char kind, const void *bytes, size_t n);
fallible wire_send_message(struct wire *w, char kind, const struct wire_message *m);
fallible wire_send_error(struct wire *w, const err *e);
/* The next frame. *ret_kind 0: the other side has ended. An X is not turned into an error here. */
fallible wire_receive(struct wire *w, char *ret_kind);
/* The next frame has to be of this kind; an X becomes the error that it carries. */
fallible wire_expect(struct wire *w, char kind);
fallible wire_expect_message(struct wire *w, char kind, struct wire_message **ret);

/* A blob: size bytes from a descriptor as B.. and E. offset: as bytes_move()'s. */
fallible wire_send_blob(struct wire *w, int fd, int64_t offset, int64_t size);
/* B.. up to E, each given to take(); its error is kept until the sender has ended, so that both stay in step. */
typedef err *wire_take(void *ctx, const void *bytes, size_t n);
fallible wire_receive_blob(struct wire *w, int64_t size, wire_take *use, void *ctx);

/* ---- both ends ---- */

/* Over a link that speaks already; the descriptors are borrowed and must live as long. */
fallible source_wire(struct wire *w, const char *name, const char *scope, struct source **ret);
fallible sink_wire(struct wire *w, const char *name, struct sink **ret);
/* Who begins: the client. */
fallible wire_greet(struct wire *w);

struct wire_server {
    struct layout *store;
    struct policy *policy; /* asked, as transport "ssh", before a document gets a name; NULL: every one may. Borrowed */
};
/* Until the client ends. Errors are those of the link; what goes wrong with an image is told to the client. A disk that
 * was full is an error as well, one that says nothing more: what was sent is to go. */
fallible wire_serve(struct wire *w, const struct wire_server *server);

#endif
