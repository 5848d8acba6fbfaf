/*
 * criu.h: CRIU, by its remote calls: "criu swrk FD" serves requests over a SOCK_SEQPACKET socket.
 *
 * Debian has no libcriu, and the messages are few: protocol buffers of a dozen fields, written and read here.
 * Descriptors in them are ours; CRIU opens them through /proc. Source: criu, images/rpc.proto.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_RUNTIME_CRIU_H
#define HUSK_RUNTIME_CRIU_H

#include "base/mem.h"
#include "cgroup/cgroup.h"

enum criu_type { CRIU_DUMP = 1, CRIU_RESTORE = 2, CRIU_CHECK = 3, CRIU_PRE_DUMP = 4, CRIU_NOTIFY = 6 };

/* criu_opts; numbers are the document's. */
enum criu_field {
    CRIU_IMAGES_DIR_FD = 1,
    CRIU_PID = 2,
    CRIU_LEAVE_RUNNING = 3,
    CRIU_EXT_UNIX_SK = 4,
    CRIU_TCP_ESTABLISHED = 5,
    CRIU_SHELL_JOB = 7,
    CRIU_FILE_LOCKS = 8,
    CRIU_LOG_LEVEL = 9,
    CRIU_LOG_FILE = 10,
    CRIU_PAGE_SERVER = 11, /* { address = 1, port = 2 } */
    CRIU_NOTIFY_SCRIPTS = 12,
    CRIU_ROOT = 13,
    CRIU_PARENT_IMG = 14,
    CRIU_TRACK_MEM = 15,
    CRIU_AUTO_DEDUP = 16,
    CRIU_WORK_DIR_FD = 17,
    CRIU_LINK_REMAP = 18,
    CRIU_EXT_MNT = 23, /* { key = 1, val = 2 } */
    CRIU_MANAGE_CGROUPS = 24,
    CRIU_CG_ROOT = 25, /* { ctrl = 1, path = 2 } */
    CRIU_RST_SIBLING = 26,
    CRIU_INHERIT_FD = 27, /* { key = 1, fd = 2 } */
    CRIU_AUTO_EXT_MNT = 28,
    CRIU_EXT_SHARING = 29,
    CRIU_EXT_MASTERS = 30,
    CRIU_MANAGE_CGROUPS_MODE = 34,
    CRIU_EXTERNAL = 37, /* "net[INODE]:KEY" */
    CRIU_EMPTY_NS = 38,
    CRIU_FREEZE_CGROUP = 44,
    CRIU_LAZY_PAGES = 48,
    CRIU_STATUS_FD = 49,
    CRIU_ORPHAN_PTS_MASTER = 50,
    CRIU_TCP_CLOSE = 52,
    CRIU_LSM_PROFILE = 53,
    CRIU_LSM_MOUNT_CONTEXT = 63,
    CRIU_NETWORK_LOCK = 64,
};

/* A message under construction: fields are added, in any order. */
void criu_number(struct str *message, unsigned field, uint64_t v);
void criu_text(struct str *message, unsigned field, const char *text); /* NULL: nothing */
void criu_message(struct str *message, unsigned field, const struct str *inner);

struct criu_answer {
    enum criu_type type;
    bool success;
    int32_t pid;     /* of what was restored, or in a notification */
    char script[32]; /* a notification's name */
    char text[256];  /* CRIU's own words for a failure; often none */
};
/* INVALID for bytes that are no answer. */
fallible criu_read(const void *bytes, size_t n, struct criu_answer *ret);

/* Numbers of a statistics file ("stats-dump": message 1, "stats-restore": 2) by their fields' numbers; fields that are
 * NULL or not there stay as they are. Source: criu, images/stats.proto. */
void criu_read_stats(const void *bytes, size_t n, unsigned message, int64_t *const fields[], size_t fields_n);

struct criu_call {
    const char *program; /* "criu" */
    enum criu_type type;
    const struct str *options;
    const int *inherit_fds; /* open in CRIU under the same numbers; -1 among them is none */
    size_t inherit_fds_n;
    const struct cgroup *group; /* CRIU itself is put there, and what it restores with it; NULL: stays */
    int work_fd;                /* where its log is */
    const char *log;
    /* told of each notification; an error refuses it */
    err *(*notify)(void *ctx, const struct criu_answer *a, int fd);
    void *ctx;
};
/* UNAVAILABLE with CRIU's last error when it fails; NOT_FOUND without a criu. */
fallible criu_run(const struct criu_call *c, struct criu_answer *ret);

#endif
