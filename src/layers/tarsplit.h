/*
 * tarsplit.h: a layer's tar put together again, byte for byte, from its files on disk and the tar-split record of what
 * is between them, as docker and podman keep it: a gzip stream of JSON, one object a line:
 *
 *   {"type":2,"payload":BASE64,"position":N}                 bytes of the archive: headers, padding
 *   {"type":1,"name":"etc/passwd","name_raw":BASE64,"size":N,"payload":BASE64,"position":N}   a file's contents
 *
 * All of it is foreign: a name leads to nothing but a file below the layer's folder, and whoever reads the tar checks
 * its digest. Only husk-image links this. Source: github.com/vbatts/tar-split, tar/storage/entry.go.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_TARSPLIT_H
#define HUSK_LAYERS_TARSPLIT_H

#include "codec/stream.h"

struct tarsplit;
/* @record_fd: the gzip stream, read from where it stands. @files_fd: the layer's folder. Both borrowed. */
fallible tarsplit_open(int record_fd, int files_fd, struct tarsplit **ret);
void tarsplit_free(struct tarsplit *t);
OWN_TYPE(tarsplit, struct tarsplit *, tarsplit_free)
/* For struct unpack and the like: ctx is the tarsplit. CORRUPT: no such record, or a file that is not there as it was.
 */
struct stream_source tarsplit_source(struct tarsplit *t);

#endif
