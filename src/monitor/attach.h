/*
 * attach.h: the client's side of a running container: this terminal, its signals and its size <-> the monitor.
 *
 * Back-pressure: the client that was there from the first byte (husk run) is waited for without limit, as a pipe's
 * reader is; one that came later (husk attach) is dropped when it takes nothing for ten seconds.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_ATTACH_H
#define HUSK_MONITOR_ATTACH_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct attach {
    int sock;        /* connected SOCK_SEQPACKET to the monitor; borrowed */
    bool tty;        /* the container has a terminal: ours goes raw, resizes are sent */
    bool stdin_open; /* our standard input is the program's */
    bool no_stdout, no_stderr;
    bool sig_proxy;          /* SIGTERM, SIGINT ... of ours go to the container */
    const char *log_dir;     /* the container's folder: its log comes first, whole; NULL: only what comes from now on */
    const char *detach_keys; /* docker's syntax; NULL: "ctrl-p,ctrl-q"; "": none. With tty and stdin_open only */
};
enum attach_end { ATTACH_EXITED, ATTACH_DETACHED, ATTACH_LOST };
/**
 * attach_run - runs until the container exits, the user detaches, or the monitor is gone.
 * @ret_code: with ATTACH_EXITED only.
 * The terminal is always put back as it was. For --rm the caller removes the container after ATTACH_EXITED and then
 * calls attach_cleaned(); without that word the monitor removes it when the socket closes.
 * Errors: writing to our stdout or stderr (EPIPE ...), a terminal that cannot be set; the container goes on.
 */
fallible attach_run(const struct attach *a, enum attach_end *ret_end, int *ret_code);
fallible attach_cleaned(int sock);
/* <state_dir>/attach.sock. NOT_FOUND or UNAVAILABLE when no monitor listens. */
fallible attach_connect(const char *state_dir, int *ret_sock);
/* Checks docker's syntax ("ctrl-p,ctrl-q", "ctrl-@,a"): INVALID names the word. */
fallible attach_keys_check(const char *detach_keys);

/*
 * For exec without -t: a program in the container must not get a descriptor of our terminal, from which it (or what it
 * leaves behind) could read what is typed later. Where our stdin, stdout or stderr is one, a pipe stands in between.
 */
struct attach_pipes {
    int ours[3], theirs[3]; /* by number of the stream; -1: it is no terminal, and is handed on as it is */
};
void attach_pipes_init(struct attach_pipes *p);
fallible attach_pipes_make(struct attach_pipes *p, bool with_stdin);
/* Passes on until the child has ended and what it wrote is out. Signals of ours go to it. */
fallible attach_pipes_run(struct attach_pipes *p, int child_pidfd, int *ret_wait_status);
void attach_pipes_close(struct attach_pipes *p);

/* For exec -t: this terminal <-> a pty master that we hold, until the child (pidfd) exits and the master is drained.
 * master -1: no terminal, wait only. Forwards signals and resizes. stdin_open: what is typed goes to the master. */
fallible attach_console(int master_fd, int child_pidfd, bool stdin_open, const char *detach_keys,
                        enum attach_end *ret_end, int *ret_wait_status);
/* The program stays on its terminal though we leave: a process of its own holds the master, and drops what is written
 * there, until the child has ended. Else the kernel would hang the terminal up, which ends a shell and all it runs. */
fallible attach_console_keep(int master_fd, int child_pidfd);

/* Reading logs, the other half of the log format. */
struct log_filter {
    int64_t since_ns, until_ns; /* 0: none */
    int64_t tail;               /* last n lines; -1: all */
    bool follow, timestamps, no_stdout, no_stderr;
    bool details;       /* each line's tag, labels and variables before its text */
    const char *prefix; /* before each line: of which container it is; NULL: nothing */
    /* Several processes write to the same place: with locked, lock_fd is held while one writes (fcntl(2), F_SETLKW) */
    bool locked;
    int lock_fd;
    /* Up to here and no further: a byte of the file with this inode, as MONITOR_LOG has it; 0: to the end */
    uint64_t end_inode, end_offset;
    /* follow: asked once a second while nothing comes, whether the container is dead though no exit record says so
     * (its monitor was killed). NULL: only the record counts. */
    bool (*ended)(void *ctx);
    void *ended_ctx;
};
/**
 * logs_print - the log on our stdout and stderr, rotated files included.
 * @dir: the container's folder. No log there is an empty log.
 * follow ends when the container's exit record is there and the log is drained.
 */
fallible logs_print(const char *dir, const struct log_filter *f);
/* The program's last lines, at most max and of the newest file's last 64 KiB. No log there is no line. */
fallible logs_tail(const char *dir, size_t max, struct strv *ret);

#endif
