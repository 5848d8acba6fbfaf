/*
 * proc.h: processes by pidfd; a pid alone is never trusted, since the kernel gives it out again.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_PROC_H
#define HUSK_OS_PROC_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/mem.h"

/* What names a process beyond its life: the pid and the start time in clock ticks since boot (proc(5), stat, field 22).
 */
struct proc_id {
    pid_t pid;
    uint64_t start_time;
};

/**
 * proc_clone - fork with namespaces and a pidfd. Source: clone3(2).
 * @flags:     CLONE_NEW* and CLONE_INTO_CGROUP, CLONE_PARENT ...; no CLONE_VM.
 * @cgroup_fd: with CLONE_INTO_CGROUP, else -1.
 * @ret_pid:   0 in the child.
 */
fallible proc_clone(uint64_t flags, int cgroup_fd, pid_t *ret_pid, int *ret_pidfd);

fallible proc_pidfd(pid_t pid, int *ret_pidfd);
/* The pidfd of exactly this process: NOT_FOUND when it is gone and the pid is free or someone else's. */
fallible proc_open(struct proc_id id, int *ret_pidfd);
bool proc_alive(struct proc_id id);
/* The wait status of one that has ended and that its parent, whoever that is, has not reaped: field 52 of
 * proc_pid_stat(5). False when it is not that, or not ours to know. */
bool proc_zombie_status(struct proc_id id, int *ret_status);
/* Start time of a live process. */
fallible proc_identify(pid_t pid, struct proc_id *ret);
/* Of a child that was made between two looks at the clock, without one at /proc: start times are ticks of 10 ms, and
 * both looks are most often in the same. False when they are not. Source: proc(5), /proc/[pid]/stat, starttime. */
uint64_t proc_clock_ns(void);
bool proc_identify_born(pid_t pid, uint64_t before_ns, uint64_t after_ns, struct proc_id *ret);
fallible proc_signal(int pidfd, int signal);

/* Waits for a child by pidfd. status as by waitpid(2) (WIFEXITED, WTERMSIG ...). timeout_ms -1: for ever; TIMEOUT. */
fallible proc_wait(int pidfd, int timeout_ms, int *ret_status);
/* 0..255, or 128 + signal, from a wait status. */
int proc_exit_code(int wait_status);

/* "KILL", "SIGKILL", "9", "rtmin+3" -> number; INVALID names the word. */
fallible signal_parse(const char *word, int *ret);
/* "SIGKILL"; never NULL. */
const char *signal_name(int number);

/*
 * Run another program to its end. argv[0] is looked up in PATH. stdin is /dev/null unless given; stdout and stderr go
 * to the descriptors given (-1: inherited).
 */
struct spawn {
    char *const *argv;
    char *const *env; /* NULL: ours */
    int stdin_fd, stdout_fd, stderr_fd;
    const int *keep_fds; /* passed on with the same numbers */
    size_t keep_n;
};
fallible spawn_wait(const struct spawn *s, int *ret_status);
/* The same in two halves, for a program whose output is read meanwhile. The caller closes the pidfd. */
fallible spawn_start(const struct spawn *s, int *ret_pidfd);
fallible spawn_end(const struct spawn *s, int pidfd, int *ret_status);
/* Runs it and answers what it printed on stdout (at most max bytes); an exit status other than 0 is an error with
 * stderr's last line in it. */
fallible spawn_output(char *const *argv, size_t max, char **ret_text);

/* As many open files as the hard limit allows, up to n; a limit that is higher stays. */
void proc_want_files(uint64_t n);
/* The running program's own file, from /proc/self/exe. Caller frees. */
fallible self_path(char **ret_path);
/* The directory of a program of ours beside the running one: build/bin/../libexec/husk, or the installed one.
 * HUSK_LIBEXEC overrides. Answers the full path; caller frees. NOT_FOUND names where it looked. */
fallible self_find_program(const char *name, char **ret_path);

#endif
