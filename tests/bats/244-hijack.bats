#!/usr/bin/env bats
# What code of a stranger's could do in the program that unpacks layers: it is put there with LD_PRELOAD, runs in the
# unpacking thread, when the first file of the layer is made, and tries to reach the user's files.
# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # set per test, on purpose; helpers and bats set the others

load helpers

setup_file() {
    husk_setup_file
    cat >"$T/hijack.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void tell(const char *what, int failed)
{
    dprintf(2, "hijacked: %s: %s\n", what, failed ? strerrorname_np(errno) : "DONE");
}

static void attack(void)
{
    char path[4096], other[4096];
    const char *home = getenv("VICTIM_HOME");
    int status = 0;
    snprintf(path, sizeof path, "%s/secret", home);
    tell("read a file", open(path, O_RDONLY) < 0);
    tell("write a file", open(path, O_WRONLY | O_TRUNC) < 0);
    tell("list the home", open(home, O_RDONLY | O_DIRECTORY) < 0);
    snprintf(other, sizeof other, "%s/.profile", home);
    tell("make a file", open(other, O_WRONLY | O_CREAT, 0600) < 0);
    snprintf(other, sizeof other, "%s/link", home);
    tell("make a link", symlink("/etc/passwd", other) < 0);
    tell("link a file elsewhere", link(path, other) < 0);
    tell("rename a file", rename(path, other) < 0);
    tell("remove a file", unlink(path) < 0);
    snprintf(other, sizeof other, "/proc/%d/environ", getppid());
    tell("read the parent's environment", open(other, O_RDONLY) < 0);
    snprintf(other, sizeof other, "/proc/%d/mem", getppid());
    tell("open the parent's memory", open(other, O_RDWR) < 0);
    snprintf(other, sizeof other, "/proc/self/root%s", path);
    tell("read it through /proc", open(other, O_RDONLY) < 0);
    pid_t pid = (pid_t)syscall(SYS_fork);
    if (pid == 0) {
        char *argv[] = { "true", NULL };
        execv("/bin/true", argv);
        _exit(errno == EACCES ? 7 : 8);
    }
    waitpid(pid, &status, 0);
    errno = EACCES;
    tell("run a program", WEXITSTATUS(status) == 7);
}

int futimens(int fd, const struct timespec times[2])
{
    static int began;
    int (*real)(int, const struct timespec *) = (int (*)(int, const struct timespec *))dlsym(RTLD_NEXT, "futimens");
    if (!__atomic_exchange_n(&began, 1, __ATOMIC_SEQ_CST))
        attack();
    return real(fd, times);
}
C
    cc -shared -fPIC -o "$T/hijack.so" "$T/hijack.c" -ldl
    chmod a+rx "$T/hijack.so"
    cp "$HUSK_IMAGE" "$T/husk-image" # an ordinary user reads it wherever the build lies
}
setup() {
    husk_setup
    skip_unless_kernel "Landlock" landlock_is_there
}

# landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) answers at least 2 (Linux 5.19).
landlock_is_there() {
    python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 2)'
}

# Whatever was tried was refused, and something was tried.
all_refused() {
    local n
    n=$(grep -c '^hijacked: ' <<<"$output")
    [[ $n == 12 ]] || { echo "$n of 12 were tried:"; echo "$output"; return 1; }
    ! grep '^hijacked: .*: DONE' <<<"$output"
}

@test "a hijacked unpacker opens no file of the user's, as root: load, import and pull" {
    local home=$T/home how
    mkdir -p "$home"
    start_registry
    push_busybox b:1 >/dev/null
    for how in "load -q -i $IMAGES/busybox.tar" "import $IMAGES/rootfs.tar" "pull -q $REGISTRY/b:1"; do
        echo precious >"$home/secret"
        # shellcheck disable=SC2086 # words
        HUSK_ROOT=$T/tmp/r$RANDOM run env "VICTIM_HOME=$home" "LD_PRELOAD=$T/hijack.so" "$T/husk-image" $how
        expect 0
        all_refused
        [[ $(<"$home/secret") == precious && $(ls -A "$home") == secret ]]
    done
}

@test "a hijacked unpacker opens no file of the user's, as an ordinary user" {
    as_user sh -c 'echo precious >"$HOME/secret"'
    run as_user sh -c 'VICTIM_HOME=$HOME LD_PRELOAD=$T/hijack.so exec "$T/husk-image" load -q -i "$IMAGES/busybox.tar"'
    expect 0
    all_refused
    [[ $(as_user sh -c 'cat "$HOME/secret"') == precious ]]
}
