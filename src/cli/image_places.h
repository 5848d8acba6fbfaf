/*
 * image_places.h: "oci:DIR:REF", "ssh://host/REF" and their like: what `husk copy` is given. A place is parsed, then
 * opened (all that needs the user's rights: files, credentials, ssh), and when the program has confined itself it is
 * made a source or a sink.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_PLACES_H
#define HUSK_CLI_IMAGE_PLACES_H

#include "cli/image_common.h"
#include "cli/image_remote.h"
#include "os/landlock.h"
#include "transport/wire.h"

/* A directory to be written into: made when missing; one with other things in it than marker is refused. */
fallible place_make_dir(const char *path, const char *marker, int *ret_fd);

enum place_kind {
    PLACE_REGISTRY,
    PLACE_STORE,
    PLACE_OCI,
    PLACE_DIR,
    PLACE_DOCKER_ARCHIVE,
    PLACE_OCI_ARCHIVE,
    PLACE_SSH,
};
enum place_use { PLACE_SOURCE, PLACE_SINK };

struct place {
    enum place_kind kind;
    char *path;        /* of a file or a folder */
    char *name;        /* after it; of the store and of ssh: all of it; or NULL */
    struct ref *ref;   /* of a registry */
    char *host, *port; /* of ssh: "user@host", "22" */
    /* opened */
    int fd, tmp_fd;
    struct outfile *file;
    struct remote *remote;
    struct wire wire;
    int wire_fds[2], pidfd;
};
/* INVALID, and UNSUPPORTED for transports that other tools have. */
fallible place_parse(const char *text, enum place_use use, struct place **ret);
fallible place_open(struct place *p, enum place_use use, const struct remote_opts *remote);
/* What has to stay reachable after the confinement; false: nothing of the file system. */
bool place_landlock(const struct place *p, enum place_use use, struct landlock_path *ret);
/* store: borrowed; needed for PLACE_STORE. */
fallible place_source(struct place *p, struct layout *store, struct source **ret);
fallible place_sink(struct place *p, struct layout *store, const struct progress *progress, struct sink **ret);
/* After the sink's finish: a new file is put in its place. */
fallible place_finish(struct place *p);
void place_free(struct place *p);
OWN_TYPE(place, struct place *, place_free)

#define PLACES_DETAIL                                                                                                  \
    "A place is one of:\n"                                                                                             \
    "  [docker://]REF                  a registry\n"                                                                   \
    "  store:REF                       this husk's own store\n"                                                        \
    "  docker-archive:FILE[:REF]       what `docker save` writes\n"                                                    \
    "  oci-archive:FILE[:REF]          an OCI image layout as a tar\n"                                                 \
    "  oci:DIR[:REF]                   an OCI image layout\n"                                                          \
    "  dir:DIR                         skopeo's folder of one image\n"                                                 \
    "  ssh://[USER@]HOST[:PORT][/REF]  the store of the husk on another host; only missing blobs travel\n"

#endif
