// SPDX-License-Identifier: GPL-2.0-or-later
#include "namespaces/sysctl.h"

#include <linux/sched.h>
#include <sched.h>

#include "test.h"

static err *check(const char *key, uint64_t namespaces, const char *hostname)
{
    own(oci_spec) struct oci_spec *spec = mem_zalloc(sizeof *spec);
    struct namespaces ns = { .create = namespaces };
    spec->linux_ = mem_zalloc(sizeof *spec->linux_);
    spec->hostname = mem_strdup(hostname);
    strmap_set(&spec->linux_->sysctl, key, "1");
    return sysctl_check(spec, &ns);
}

TEST(parameters_of_own_namespaces_are_allowed)
{
    static const struct {
        const char *key;
        uint64_t flag;
    } rows[] = {
        { "kernel.msgmax", CLONE_NEWIPC },
        { "kernel.shm_rmid_forced", CLONE_NEWIPC },
        { "fs.mqueue.msg_max", CLONE_NEWIPC },
        { "net.ipv4.ip_forward", CLONE_NEWNET },
        { "net/ipv4/conf/eth0.1/forwarding", CLONE_NEWNET },
        { "kernel.domainname", CLONE_NEWUTS },
        { "kernel.hostname", CLONE_NEWUTS },
        { "user.max_user_namespaces", CLONE_NEWUSER },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CHECK_OK(check(rows[i].key, rows[i].flag, NULL));
        CHECK_ERR(check(rows[i].key, 0, NULL), ERR_INVALID); /* the host's own */
    }
}

TEST(parameters_of_the_host_are_refused)
{
    static const char *const keys[] = {
        "kernel.core_pattern",
        "kernel.modprobe",
        "vm.overcommit_memory",
        "fs.file-max",
        "kernel.sem.x",
        "netx.y",
        "",
        "net",
        "net.",
        "net..ipv4",
        "net/../kernel/core_pattern",
        "net/./ipv4",
        "kernel",
    };
    const uint64_t all = CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWUSER;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        CHECK_ERR(check(keys[i], all, NULL), ERR_INVALID);
    CHECK_SAYS(check("kernel.hostname", all, "h"), "sysctl 'kernel.hostname': conflicts with hostname");
    CHECK_SAYS(check("kernel.core_pattern", all, NULL),
               "sysctl 'kernel.core_pattern': belongs to no namespace: it would change the host");
    CHECK_SAYS(check("net.core.somaxconn", 0, NULL), "sysctl 'net.core.somaxconn': needs a network namespace of the "
                                                     "container's own, or it would change the host");
}

TEST(names_become_paths_as_sysctl_8_does_it)
{
    static const char *const rows[][2] = {
        { "net.ipv4.ip_forward", "sys/net/ipv4/ip_forward" },
        { "net/ipv4/conf/eth0.1/forwarding", "sys/net/ipv4/conf/eth0.1/forwarding" },
        { "net.ipv4.conf.eth0/1.forwarding", "sys/net/ipv4/conf/eth0.1/forwarding" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_mem char *path = sysctl_path(rows[i][0]);
        assert_string_equal(path, rows[i][1]);
    }
}
