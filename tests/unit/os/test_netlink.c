// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel answers is put into a pair of sockets before it is asked. */
#include "os/netlink.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "test.h"

struct kernel {
    int ours, theirs;
};

static struct kernel kernel(void)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    return (struct kernel){ pair[0], pair[1] };
}

static void end(struct kernel *k)
{
    close(k->ours);
    close(k->theirs);
}

static void answers(struct kernel *k, uint16_t type, uint16_t flags, int n)
{
    struct {
        struct nlmsghdr head;
        int n;
    } m = { { .nlmsg_len = sizeof m, .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = 1 }, n };
    CHECK(send(k->theirs, &m, sizeof m, 0) == sizeof m);
}

enum { ITEM = NLMSG_MIN_TYPE, LIST = NLM_F_DUMP };

struct heard {
    int n, sum;
};

static err *hear(void *ctx, const struct nlmsghdr *m)
{
    struct heard *h = ctx;
    CHECK(m->nlmsg_type == ITEM);
    h->n++;
    h->sum += *(const int *)NLMSG_DATA(m);
    return NULL;
}

static err *ask(struct kernel *k, uint16_t flags, struct heard *h)
{
    struct netlink_request r;
    netlink_begin(&r, ITEM, flags, &(int){ 0 }, sizeof(int));
    return netlink_ask(k->ours, &r, hear, h);
}

static int asked(struct kernel *k)
{
    char bytes[4096];
    int n = 0;
    while (recv(k->theirs, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        n++;
    return n;
}

TEST(a_list_is_handed_over_as_it_came)
{
    struct kernel k = kernel();
    struct heard h = { 0 };
    answers(&k, ITEM, NLM_F_MULTI, 1);
    answers(&k, ITEM, NLM_F_MULTI, 10);
    answers(&k, NLMSG_DONE, NLM_F_MULTI, 0);
    CHECK_OK(ask(&k, LIST, &h));
    CHECK(h.n == 2 && h.sum == 11);
    CHECK(asked(&k) == 1);
    end(&k);
}

TEST(a_list_that_changed_while_it_was_written_is_asked_for_again_and_nothing_of_the_first_is_heard)
{
    struct kernel k = kernel();
    struct heard h = { 0 };
    answers(&k, ITEM, NLM_F_MULTI, 1000);
    answers(&k, ITEM, NLM_F_MULTI | NLM_F_DUMP_INTR, 2000);
    answers(&k, NLMSG_DONE, NLM_F_MULTI, 0);
    answers(&k, ITEM, NLM_F_MULTI, 1000);
    answers(&k, NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, 0); /* the end of it may be the first that tells */
    answers(&k, ITEM, NLM_F_MULTI, 1);
    answers(&k, ITEM, NLM_F_MULTI, 10);
    answers(&k, NLMSG_DONE, NLM_F_MULTI, 0);
    CHECK_OK(ask(&k, LIST, &h));
    CHECK(h.n == 2 && h.sum == 11);
    CHECK(asked(&k) == 3);
    end(&k);
}

TEST(a_list_that_is_never_whole_is_an_error_and_nothing_of_it_is_heard)
{
    struct kernel k = kernel();
    struct heard h = { 0 };
    pid_t pid = fork();
    if (!pid) { /* as long as anybody reads */
        close(k.ours);
        for (;;) {
            struct nlmsghdr m = { .nlmsg_len = sizeof m,
                                  .nlmsg_type = NLMSG_DONE,
                                  .nlmsg_flags = NLM_F_MULTI | NLM_F_DUMP_INTR };
            char bytes[64];
            if (recv(k.theirs, bytes, sizeof bytes, 0) <= 0 || send(k.theirs, &m, sizeof m, MSG_NOSIGNAL) < 0)
                _exit(0);
        }
    }
    close(k.theirs);
    CHECK_ERR(ask(&k, LIST, &h), ERR_UNAVAILABLE);
    CHECK(h.n == 0);
    close(k.ours);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

TEST(what_the_kernel_refuses_is_its_error)
{
    struct kernel k = kernel();
    struct heard h = { 0 };
    answers(&k, NLMSG_ERROR, 0, -ENODEV);
    err *e = ask(&k, 0, &h);
    CHECK(err_errno(e) == ENODEV);
    err_free(e);
    answers(&k, ITEM, NLM_F_MULTI, 1);
    answers(&k, NLMSG_DONE, NLM_F_MULTI, -ENOENT);
    e = ask(&k, LIST, &h);
    CHECK(err_errno(e) == ENOENT);
    err_free(e);
    end(&k);
}
