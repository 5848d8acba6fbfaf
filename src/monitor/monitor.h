/*
 * monitor.h: one small process per container that outlives whoever started it. It is the container's parent; it owns
 * stdio, log and exit record, and nothing else of husk needs to run.
 *
 * How it comes to be: the command forks; the child makes the stdio (monitor_stdio_make), starts the container through
 * runtime_create() and then becomes libexec/husk/husk-monitor (monitor_exec: static, a few pages dirty), so that the
 * container's parent stays the same process and none of the command's memory stays resident.
 *
 *   <state_dir>/attach.sock      SOCK_SEQPACKET: clients attach here (frames below). It listens before monitor_exec()
 *                                execs, so whoever sees the exec succeed can connect
 *   <state_dir>/stdout, stderr   FIFOs, so that another monitor can take over when this one is killed
 *   <state_dir>/monitor.lock     flock(2) held for the monitor's life
 *   <dir>/log.json               Docker's json-file format; rotated to log.json.1 ... within the limits
 *   <dir>/exit.json              the exit record, by rename, when the log is complete and before any client is told
 *
 * When the container's first process is dead the monitor, in this order: removes the cgroup and kills what is left in
 * it, drains the output into the log, writes exit.json, removes attach.sock and the FIFOs, gives up the lock, sends
 * what is left and MONITOR_EXIT to the clients, and ends. One that is to be started again keeps lock and socket while
 * it waits, and then becomes "husk container-restart ID" (backoff.h). The rest of state_dir is the engine's to remove:
 * before it starts a container again it makes a new one, and removes the old exit.json. Who finds the first process
 * dead and no record asks monitor_alive(): true means that the record is about to be written, false that it never will
 * be.
 *
 * Frames, one per message: byte 0 is the kind, the rest the payload (at most MONITOR_FRAME_MAX bytes in all).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_MONITOR_H
#define HUSK_MONITOR_MONITOR_H

#include <stdint.h>

#include "base/err.h"
#include "os/proc.h"

enum { MONITOR_FRAME_MAX = 32768 };
enum monitor_frame {
    /* client -> monitor */
    MONITOR_INPUT = 'i',   /* asks for the program's input, see below */
    MONITOR_RESIZE = 'w',  /* u16 rows, u16 columns (host order) */
    MONITOR_SIGNAL = 'k',  /* u32 signal for the container's first process */
    MONITOR_WITHOUT = 'n', /* u8: 1 no stdout from now on, 2 no stderr, 3 neither (husk wait) */
    MONITOR_CLEANED = 'c', /* answer to 'x' of a --rm container: the client has removed it, the monitor need not */
    MONITOR_RESTART = 'r', /* text: the restart policy from now on (restart.h) */
    /* Asks where the log ends. The answer, of the same kind, is u64 inode and u64 length of log.json (both 0: nothing
     * is logged yet): what came before is there, what comes after follows as frames, first of all the beginnings of
     * lines that have no end yet. So who attaches late misses nothing and sees nothing twice. */
    MONITOR_LOG = 'l',
    MONITOR_LEASES = 'd', /* the container's leases of addresses have changed: leases.h */
    /* monitor -> client */
    MONITOR_STDOUT = 'o',
    MONITOR_STDERR = 'e',
    /* The answer to MONITOR_INPUT, with one descriptor: the write end of the program's stdin, or the terminal's master
     * (write only what the user typed to it, never read it). Non-blocking. No descriptor: there is no input, or it
     * went to an earlier client (stdin_once). Input does not pass through the monitor: closing the descriptor is the
     * end of input when nobody else holds one. */
    MONITOR_INPUT_FD = 'i',
    MONITOR_EXIT = 'x', /* u32 exit code; the record is on disk; the last frame */
};

/* What the monitor is told. Travels as arguments "name=value": read without a parser, and ps(1) shows them. */
struct monitor_plan {
    const char *id;
    const char *dir;                      /* the container's folder: log.json, exit.json */
    const char *state_dir;                /* run-time folder: attach.sock */
    struct proc_id init;                  /* the container's first process */
    int64_t started_ns;                   /* CLOCK_REALTIME */
    const char *cgroup_path;              /* NULL: none; removed when the container ends */
    const char *cgroup_text;              /* the same as cgroup_text() gave it, to be quicker; or NULL */
    const char *log_driver;               /* "json-file", "journald" (and the file that logs reads), "none" */
    const char *log_attrs;                /* of each line (line.h), or NULL */
    const char *journal_fields;           /* for journald: "NAME=value" lines, each entry has them */
    const char *journal_socket;           /* its path */
    int64_t journal_buffer;               /* bytes that wait when it takes no more; 0: the program does, for a second */
    int64_t log_max_age_s;                /* 0: no limit */
    bool log_compress;                    /* rotated files, by husk-pack */
    int64_t log_max_bytes, log_max_files; /* files count the current one; 0 bytes: never rotated */
    const char *hold;    /* descriptors that it keeps open until the container ends: "12 13"; NULL: none */
    int64_t names_fd;    /* one of hold: the connection to the resolver of names (names.h); 0: none */
    bool leases;         /* some of its addresses are a DHCP server's (leases.h) */
    bool stdin_open;     /* -i: clients may have the program's input */
    bool stdin_once;     /* without a terminal: the end of the first client's input is the end of the program's */
    bool chain;          /* --init-chain: the name of the first process at its end goes into the record */
    bool settle;         /* exec "husk container-cleanup ID" at the end as well: it sees to the container's pod */
    bool remove;         /* --rm: exec "husk container-cleanup ID" at the end unless a client answers MONITOR_CLEANED */
    const char *husk;    /* path of the husk program for that, and for "husk container-restart ID" */
    const char *restart; /* the restart policy (restart.h); NULL: no */
    int64_t restart_count;      /* how often it was restarted since somebody started it */
    int64_t restart_delay_ns;   /* the last wait before a restart; 0: none */
    int64_t health_interval_ms; /* between health checks; 0: none */
    int64_t health_start_interval_ms, health_start_period_ms;
    int64_t health_startup_interval_ms; /* between checks until the startup check is over; 0: there is none */
    int64_t timeout_s;                  /* how long it may run before it is killed; 0: no limit */
};

/* Descriptors of the monitor; -1: none. */
struct monitor_fds {
    int pidfd;                          /* of plan.init */
    int stdin_fd, stdout_fd, stderr_fd; /* our ends of the pipes */
    int console_fd;                     /* or the pty's master */
    int client_fd;                      /* a client that is attached from the first byte on (SOCK_SEQPACKET) */
};
#define MONITOR_FDS_NONE ((struct monitor_fds){ -1, -1, -1, -1, -1, -1 })

/**
 * monitor_stdio_make - stdin, stdout and stderr of a container without a terminal.
 * @ret_program: the program's ends, for runtime_create(); the caller closes them. stdin is /dev/null unless stdin_open.
 * @fds:         stdin_fd, stdout_fd and stderr_fd are set: the monitor's ends.
 *
 * The program's stdout and stderr are FIFOs opened for reading and writing: a program whose monitor was killed is not
 * killed in turn by SIGPIPE, it waits when the FIFO is full, until monitor_adopt(). Its stdin just ends.
 * Call it in the process that becomes the monitor: a copy of these ends in another process hides the end of output.
 */
fallible monitor_stdio_make(const char *state_dir, bool stdin_open, int ret_program[3], struct monitor_fds *fds);

/**
 * monitor_exec - in the forked child, after the start: become the monitor. Returns only with an error.
 *
 * Every descriptor that is not in @fds is closed by the exec itself, so a close-on-exec pipe tells the command: end of
 * file is success. On an error all is still open and the container runs without a monitor: the caller must kill it
 * (fds->pidfd), reap it, delete its runtime state and report the error.
 */
fallible monitor_exec(const struct monitor_plan *plan, const struct monitor_fds *fds);

/**
 * monitor_adopt - give a running container whose monitor was killed another one. Returns when it watches.
 * The log goes on where it stopped; of one with a terminal, which died with the monitor, only its end is seen. The exit
 * code is known on kernels that keep it in the pidfd (6.15), else the record's error says that it is not.
 * Errors: CONFLICT when it has a monitor, NOT_FOUND when the container is dead.
 */
fallible monitor_adopt(const struct monitor_plan *plan);
/* Whether a monitor watches over this state_dir. */
bool monitor_alive(const char *state_dir);

/* The exit record: exit.json in the container's folder, or, when plan.remove is set, in its state_dir. */
struct monitor_exit {
    int64_t exit_code; /* 0..255 or 128 + signal */
    int64_t signal;    /* 0: exited by itself */
    bool oom_killed;
    bool cgroup_gone;                  /* its control group was removed, with all that was in it */
    int64_t started_ns, finished_ns;   /* CLOCK_REALTIME */
    int64_t log_dropped;               /* lines that the log lacks: its disk was full */
    int64_t pid;                       /* of its first process */
    bool oom_limited;                  /* with oom_killed: its own limit was reached, not only the host's memory */
    int64_t memory_limit, memory_peak; /* bytes; 0: none, or not known */
    int64_t pids_limit, pids_refused;  /* forks that the limit forbade */
    bool timed_out;                    /* its monitor killed it when plan.timeout_s were over */
    int64_t restart_count;             /* as in the plan */
    int64_t restart_ns;                /* CLOCK_REALTIME when it was to be started again; 0: not. See backoff.h */
    int64_t restart_delay_ns;          /* the wait until then */
    char *task;                        /* with plan.chain: what its first process was called at its end, or NULL */
    char *error;                       /* why it could not be started or watched, or NULL */
};
/* NOT_FOUND while there is none. */
fallible monitor_exit_read(const char *dir, struct monitor_exit **ret);
fallible monitor_exit_write(const char *dir, const struct monitor_exit *record);
void monitor_exit_free(struct monitor_exit *x);
OWN_TYPE(monitor_exit, struct monitor_exit *, monitor_exit_free)

#endif
