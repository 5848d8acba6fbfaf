/*
 * image_common.h: what the commands of husk-image share: the store, opened for adding, and the confinement.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_COMMON_H
#define HUSK_CLI_IMAGE_COMMON_H

#include "base/opt.h"
#include "image/layout.h"
#include "image/settings.h"
#include "layers/progress.h"

extern const struct command cmd_pull, cmd_push, cmd_login, cmd_logout;
extern const struct command cmd_build_cache, cmd_download, cmd_unpack_stream, cmd_pack_stream, cmd_commit_layer,
    cmd_load, cmd_import, cmd_bootstrap, cmd_rootfs, cmd_save, cmd_verify;
extern const struct command cmd_copy, cmd_image_group;
extern const struct command cmd_search, cmd_tags, cmd_artifact, cmd_manifest;

struct image_session {
    struct layout *store;
    struct settings settings; /* image/settings.h; a session that reads has none */
    char *adding;             /* image/layout.h: what is made and used from the beginning on is kept by sweeps */
    int adding_fd;
    int lock;   /* a session that reads: the store's, shared, so that nothing goes meanwhile; else -1 */
    int events; /* where what it does is said (monitor/events.h); -1: nowhere */
};
/* An ordinary user becomes root of their user namespace; the store is opened (made when missing), a session that
 * adds begins, and what killed commands left in its staging long ago is swept. Before any thread. */
fallible image_session_open(struct image_session **ret);
/* For reading what is there, as the user that we are; nothing is made or removed. NOT_FOUND: there is no store. */
fallible image_session_open_reading(struct image_session **ret);
void image_session_close(struct image_session *s);
/**
 * image_session_failed - what to do about an error of a session that adds: what it has put in the store goes again
 * (layers_take_back()), but for what a next attempt goes on with, and where the disk was full the error says which one
 * and how much room there is. The session goes on behind that, as a new one.
 * @take_e: NULL: nothing happens, and NULL is the answer.
 */
enum image_attempt { ATTEMPT_WHOLE, ATTEMPT_RESUMED /* what a network cut off is gone on with */ };
fallible image_session_failed(struct image_session *s, enum image_attempt attempt, err *take_e);
OWN_TYPE(image_session, struct image_session *, image_session_close)

/**
 * image_say - an event of type image, in docker's words: of what came or went as a file ("load", "import", "save").
 * @name: what it is called, in full or not, or its ID again.
 * image_say_sent - of what came from a registry or went to one ("pull", "push"): docker's ID of it is its name.
 * @digest: of what the registry has there.
 */
void image_say(const struct image_session *s, const char *action, const char *id, const char *name);
struct ref;
void image_say_sent(const struct image_session *s, const char *action, const struct ref *ref, const char *digest);
/* Within image_session_open*(): opens the log. */
void image_session_events(struct image_session *s);

/**
 * image_confine - from here on only the store can be written and only system files read; no program can be run.
 * @s: NULL: no store at all.
 * @readable_fd: one more file or directory that may be read (the archive that is loaded), or -1.
 * Called when all else is opened, before strangers' bytes are read. Without Landlock: goes on, with a debug line.
 */
fallible image_confine(const struct image_session *s, int readable_fd);

struct landlock_path;
/* The same with more paths. store: NULL when none is used. */
fallible image_confine_paths(const struct layout *store, const struct landlock_path *more, size_t n);

/* Shows on stderr: bars that are redrawn when it is a terminal, else plain lines; quiet: nothing. One at a time. */
struct progress_view;
struct progress_view *progress_view_new(bool quiet);
/* Borrowed by the view. */
struct progress progress_of_view(struct progress_view *v);
void progress_view_free(struct progress_view *v); /* leaves the cursor below the last bar */
OWN_TYPE(progress_view, struct progress_view *, progress_view_free)

#endif
