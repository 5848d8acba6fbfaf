/*
 * transport.h: an image goes from one place to another. A place is a source (it gives documents and blobs by digest) or
 * a sink (it takes them); copy_image() joins any two, and neither knows what the other is:
 *
 *   docker://REF                registry (the default)           store:REF         the store of this husk
 *   docker-archive:FILE[:REF]   what `docker save` writes        oci:DIR[:REF]     an OCI image layout
 *   oci-archive:FILE[:REF]      an OCI image layout as a tar     dir:DIR           skopeo's folder of one image
 *   ssh://[USER@]HOST[:PORT][/REF]  the store of another host's husk
 *
 * Documents travel as the bytes that they are, so every digest stays what it was. Blobs travel by descriptor: a file
 * goes by copy_file_range(2) or sendfile(2), all else through a pipe; nothing is put on disk on the way. What a
 * stranger gives is hashed while it passes; what comes out of our own store was when it came in.
 * Source: containers-transports(5), image-spec image-layout.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_TRANSPORT_TRANSPORT_H
#define HUSK_TRANSPORT_TRANSPORT_H

#include "image/layout.h"
#include "image/registry.h"
#include "layers/progress.h"

/* ---- documents ---- */

/**
 * doc_make - a manifest or an index from its bytes.
 * @media_type: what it was said to be, or NULL; the document's own word counts.
 * @digest: what it must be, or NULL. CORRUPT when it is not.
 */
fallible doc_make(const char *text, size_t len, const char *media_type, const char *digest,
                  struct registry_manifest **ret);
struct registry_manifest *doc_copy(const struct registry_manifest *doc);
/* The descriptor of a document, borrowing its strings. */
struct oci_descriptor doc_descriptor(const struct registry_manifest *doc);
/* The blobs that a manifest names, each once: config first. Borrowed from the manifest; caller frees the list. */
fallible doc_blobs(const struct oci_manifest *m, const struct oci_descriptor ***ret, size_t *ret_n);
void descriptor_copy_free(struct oci_descriptor *d);
OWN_TYPE(descriptor, struct oci_descriptor *, descriptor_copy_free)
struct oci_descriptor *descriptor_copy(const struct oci_descriptor *d);

/* ---- bytes ---- */

/**
 * bytes_move - size bytes from one descriptor to another, the cheapest way there is.
 * @offset: where they begin in a file; -1: from_fd is a pipe (or is read from where it stands).
 * @digest: what they must hash to, or NULL: they are known, and need not pass through this process.
 * Errors: CORRUPT (too few, other content); what was written then is the caller's to remove.
 */
fallible bytes_move(int from_fd, int64_t offset, int64_t size, int to_fd, const char *digest);

/* ---- places ---- */

struct source;
struct source_ops {
    /* digest NULL: what the source's name stands for. */
    err *(*get)(struct source *s, const char *digest, struct registry_manifest **ret);
    /* The file in which a blob lies, from *ret_offset on; *ret_fd -1: there is none, it has to be sent. */
    err *(*open)(struct source *s, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset);
    /* Writes a blob's bytes into a pipe. NULL: every blob is a file. */
    err *(*send)(struct source *s, const struct oci_descriptor *d, int out_fd);
    /* Into the store's staging, going on with what is there already; NULL: by pipe like any other. */
    err *(*fetch)(struct source *s, const struct oci_descriptor *d, struct blob *b);
    /* What a tag of the same repository stands for; NOT_FOUND. NULL: such a place has no tags. */
    err *(*tagged)(struct source *s, const char *tag, struct registry_manifest **ret);
    /* Documents whose subject is the digest, as an index; *ret NULL: none. NULL: such a place cannot say. */
    err *(*referrers)(struct source *s, const char *digest, struct oci_index **ret);
    void (*free)(struct source *s);
};
struct source {
    const struct source_ops *ops;
    const char *transport; /* as policy.json calls it: "docker", "oci-archive" */
    char *scope;           /* as policy.json calls what is in it: a full name, a path, or "" */
    char *name;            /* the full name of the image, or NULL */
    /* Where the blobs of the document given last are, "REGISTRY/REPOSITORY", for mounts by a sink there; NULL: unknown.
     * Borrowed from the source. */
    const char *near_repo;
    bool trusted;  /* its blobs were hashed when they came in */
    bool parallel; /* several may be asked for at once */
};
void source_free(struct source *s);
OWN_TYPE(source, struct source *, source_free)

/* A part of an index, the image itself, or something that refers to it: a signature under its tag, a referrer. */
enum doc_place { DOC_PART, DOC_TOP, DOC_REFERRER };

struct sink;
struct sink_ops {
    /* Which of the blobs are there. */
    err *(*has)(struct sink *s, const struct oci_descriptor *const *d, size_t n, bool *ret_has);
    /* Takes a blob: see bytes_move() for the descriptor. known: it need not be hashed. */
    err *(*put)(struct sink *s, const struct oci_descriptor *d, int fd, int64_t offset, bool known);
    /* A document whose parts are all there. @name: the full name that it gets (never a part), or NULL. */
    err *(*put_doc)(struct sink *s, const struct registry_manifest *doc, enum doc_place place, const char *name);
    /* All is there: until now nothing of a new file is to be seen. */
    err *(*finish)(struct sink *s);
    void (*free)(struct sink *s);
};
struct sink {
    const struct sink_ops *ops;
    char *name; /* the full name that the image gets there; NULL: the source's */
    bool parallel;
    bool one_platform;     /* it has no room for an index: docker-archive */
    bool referrers_first;  /* it asks for signatures before it takes an image */
    struct layout *store;  /* of store:, for source_ops.fetch; else NULL */
    const char *near_repo; /* "REGISTRY/REPOSITORY" where the blobs are, for mounts; or NULL; borrowed */
};
void sink_free(struct sink *s);
OWN_TYPE(sink, struct sink *, sink_free)

/* store: what a name or an ID stands for; blobs of the layout. l: borrowed. */
fallible source_store(struct layout *l, const char *what, struct source **ret);
/* @platform: as pull's. Layers are unpacked, the name is set last. The caller holds layout_lock(LAYOUT_ADDING). */
fallible sink_store(struct layout *l, const char *full_name, const struct progress *progress, struct sink **ret);

/* A document of the store by its digest, and its blobs: it has no name. */
fallible source_store_digest(struct layout *l, const char *digest, const char *media_type, struct source **ret);

/* A document that another husk has sent, whose blobs are in the store, under the name that it is to get (or NULL). */
fallible source_store_sent(struct layout *l, const struct registry_manifest *doc, const char *name,
                           struct source **ret);

/* What in the store has no name and this digest as its subject, as an index; *ret NULL: nothing. */
fallible store_referrers_of(struct layout *l, const char *digest, struct oci_index **ret);

/* oci: dir_fd is taken. name: in the annotation org.opencontainers.image.ref.name; NULL: the only image there is. */
fallible source_oci(int take_dir_fd, const char *path, const char *name, struct source **ret);
fallible sink_oci(int take_dir_fd, const char *name, struct sink **ret);

/* dir: */
fallible source_dir(int take_dir_fd, const char *path, struct source **ret);
fallible sink_dir(int take_dir_fd, struct sink **ret);

/* docker-archive:, oci-archive: a plain tar in a file is read where it lies; what is packed or a pipe is unpacked into
 * a file without a name in tmp_dir_fd first. */
enum archive_kind { ARCHIVE_DOCKER, ARCHIVE_OCI };
fallible source_archive(int take_fd, int tmp_fd, enum archive_kind kind, const char *path, const char *name,
                        struct source **ret);
/* Writes from where out_fd stands, front to end: a pipe will do. Several images may be put, each with its name. */
fallible sink_archive(int take_out_fd, enum archive_kind kind, struct sink **ret);

/* docker:// */
fallible source_registry(const struct ref *ref, const struct registry_options *o, struct source **ret);
fallible sink_registry(const struct ref *ref, const struct registry_options *o, struct sink **ret);

/* ---- copying ---- */

struct copy_options {
    const char *platform; /* of an index only this one; NULL: this machine's */
    bool all;             /* an index with all that it names */
    bool referrers;       /* signatures and attestations too: referrers, and the tags sha256-DIGEST.sig, .att, .sbom */
    struct progress progress;
    /* Asked about what is to be copied before any of its blobs: trust. NULL: all is welcome. */
    err *(*admit)(void *ctx, struct source *from, const struct registry_manifest *top,
                  const struct registry_manifest *chosen);
    /* Told when the image is whole in the sink. May be NULL. */
    err *(*admitted)(void *ctx, struct source *from, const struct registry_manifest *top);
    void *ctx;
};
/**
 * copy_image - one image (or index, or artifact) from a source into a sink; sink_ops.finish is the caller's.
 * @ret_digest: of what the sink has under its name now; may be NULL.
 * Errors: those of both; UNSUPPORTED (encrypted layers), CORRUPT, NOT_FOUND (no such platform).
 */
fallible copy_image(struct source *from, struct sink *to, const struct copy_options *o, char **ret_digest);

/* A blob for whoever wants to read it: a file, or a pipe that a second thread fills while use() reads it. */
typedef err *blob_use(void *ctx, int fd, int64_t offset);
fallible source_with_blob(struct source *s, const struct oci_descriptor *d, blob_use *use, void *ctx);
/* A small one, whole and hashed, as text. EXHAUSTED beyond max bytes. */
fallible source_read_blob(struct source *s, const struct oci_descriptor *d, int64_t max, char **ret_text,
                          size_t *ret_len);

#endif
