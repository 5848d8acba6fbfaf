/*
 * console SOCKET: takes one terminal's master over a unix socket, as conmon does, and prints what is written on the
 * terminal.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char text[4096];
    struct iovec iov = { .iov_base = text, .iov_len = sizeof text };
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), master = -1;
    if (argc != 2)
        return 2;
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0)
        return perror(argv[1]), 1;
    if (recvmsg(accept(listener, NULL, NULL), &message, 0) < 0 || !CMSG_FIRSTHDR(&message))
        return perror("recvmsg"), 1;
    memcpy(&master, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof master);
    for (ssize_t n; (n = read(master, text, sizeof text)) > 0;)
        if (write(1, text, (size_t)n) != n)
            return 1;
    return 0;
}
