/*
 * held all SOCKET: holds what CRIU takes along only when it is told to, and counts in /tmp/count and /tmp/b while all
 * of it works: a lock on /tmp/locked, an open file whose name /tmp/a is gone and which has another, /tmp/b, both ends
 * of a TCP connection in two processes, and the end of a unix datagram socket whose other end is elsewhere. held take
 * SOCKET: that other end; it counts in /tmp/taken.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int must(int answer, const char *what)
{
    if (answer < 0) {
        perror(what);
        exit(1);
    }
    return answer;
}

static void count_in(int fd, int n)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d\n", n);
    must((int)pwrite(fd, text, (size_t)len, 0), "write");
}

static int connection(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(4321),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int listener = must(socket(AF_INET, SOCK_STREAM, 0), "socket"), one = 1;
    must(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "reuse");
    must(bind(listener, (struct sockaddr *)&a, sizeof a), "bind");
    must(listen(listener, 1), "listen");
    if (must(fork(), "fork") == 0) {
        close(listener);
        int s = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
        must(connect(s, (struct sockaddr *)&a, sizeof a), "connect");
        for (;; usleep(200000))
            must((int)send(s, "x", 1, MSG_NOSIGNAL), "send");
    }
    int conn = must(accept(listener, NULL, NULL), "accept");
    close(listener);
    return conn;
}

static int gone_file(void)
{
    int fd = must(open("/tmp/a", O_CREAT | O_RDWR, 0644), "/tmp/a");
    (void)unlink("/tmp/b");
    must(link("/tmp/a", "/tmp/b"), "link");
    must(unlink("/tmp/a"), "unlink");
    return fd;
}

static void hold_all(const struct sockaddr_un *u)
{
    char byte;
    int conn = connection(), gone = gone_file(), out = must(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
    int file = must(open("/tmp/count", O_CREAT | O_RDWR | O_TRUNC, 0644), "/tmp/count");
    must(flock(must(open("/tmp/locked", O_CREAT | O_RDWR, 0644), "/tmp/locked"), LOCK_EX), "lock");
    must(connect(out, (const struct sockaddr *)u, sizeof *u), "connect");
    for (int n = 1; must((int)read(conn, &byte, 1) == 1 ? 0 : -1, "read") == 0; n++) {
        must((int)send(out, "x", 1, MSG_NOSIGNAL), "send");
        count_in(gone, n);
        count_in(file, n);
    }
}

static void take(const struct sockaddr_un *u)
{
    char byte;
    int s = must(socket(AF_UNIX, SOCK_DGRAM, 0), "socket");
    int file = must(open("/tmp/taken", O_CREAT | O_RDWR | O_TRUNC, 0644), "/tmp/taken");
    must(bind(s, (const struct sockaddr *)u, sizeof *u), "bind");
    for (int n = 1; read(s, &byte, 1) == 1; n++)
        count_in(file, n);
}

int main(int argc, char **argv)
{
    struct sockaddr_un u = { .sun_family = AF_UNIX };
    if (argc != 3)
        return 2;
    (void)snprintf(u.sun_path, sizeof u.sun_path, "%s", argv[2]);
    if (strcmp(argv[1], "all") == 0)
        hold_all(&u);
    else if (strcmp(argv[1], "take") == 0)
        take(&u);
    return 1;
}
