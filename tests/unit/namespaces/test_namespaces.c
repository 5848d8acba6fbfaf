// SPDX-License-Identifier: GPL-2.0-or-later
#include "namespaces/namespaces.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/stat.h>

#include "test.h"

static err *plan(const char *type, const char *path, struct namespaces *ret)
{
    own(oci_spec) struct oci_spec *spec = mem_zalloc(sizeof *spec);
    oci_spec_add_namespace(spec, "mount", NULL);
    oci_spec_add_namespace(spec, type, path);
    return namespaces_plan(spec, ret);
}

TEST(a_path_that_is_no_namespace_is_refused)
{
    struct namespaces ns;
    char fifo[] = "/tmp/husk-fifo-XXXXXX";
    int fd = mkstemp(fifo);
    CHECK(fd >= 0);
    close(fd);
    own_mem char *plain = mem_printf("namespace network: '%s' is not a namespace", fifo);
    CHECK_SAYS(plan("network", fifo, &ns), plain);
    CHECK(unlink(fifo) == 0 && mkfifo(fifo, 0600) == 0);
    CHECK_SAYS(plan("network", fifo, &ns), plain); /* and does not hang */
    unlink(fifo);
    CHECK_ERR(plan("network", "/tmp", &ns), ERR_INVALID);
    CHECK_ERR(plan("network", "/no/such", &ns), ERR_NOT_FOUND);
}

TEST(a_namespace_of_another_type_is_refused)
{
    struct namespaces ns;
    CHECK_SAYS(plan("network", "/proc/self/ns/uts", &ns),
               "namespace network: '/proc/self/ns/uts' is a namespace of type uts, not network");
    CHECK_SAYS(plan("pid", "/proc/self/ns/mnt", &ns),
               "namespace pid: '/proc/self/ns/mnt' is a namespace of type mount, not pid");
}

TEST(our_own_namespace_need_not_be_joined)
{
    struct namespaces ns;
    CHECK_OK(plan("network", "/proc/self/ns/net", &ns));
    CHECK(ns.join == 0 && ns.create == CLONE_NEWNS);
    namespaces_clear(&ns);
    CHECK_OK(plan("user", "/proc/self/ns/user", &ns)); /* the kernel itself would say EINVAL */
    CHECK(ns.join == 0);
    namespaces_clear(&ns);
}

TEST(a_user_namespace_and_its_maps_belong_together)
{
    struct namespaces ns;
    CHECK_SAYS(plan("user", NULL, &ns), "a user namespace needs uidMappings and gidMappings");
    own(oci_spec) struct oci_spec *spec = mem_zalloc(sizeof *spec);
    oci_spec_add_namespace(spec, "mount", NULL);
    spec->linux_->uid_mappings = mem_zalloc(sizeof *spec->linux_->uid_mappings);
    spec->linux_->uid_mappings_n = 1;
    CHECK_SAYS(namespaces_plan(spec, &ns), "uidMappings and gidMappings need a user namespace in namespaces");
}

TEST(without_a_mount_namespace_it_is_the_callers)
{
    own(oci_spec) struct oci_spec *spec = mem_zalloc(sizeof *spec);
    own(namespaces) struct namespaces ns;
    oci_spec_add_namespace(spec, "uts", NULL);
    CHECK_OK(namespaces_plan(spec, &ns));
    assert_true(ns.shares_mounts && ns.mounts_fd >= 0);
    assert_true(ns.create & CLONE_NEWNS); /* it is made in one of its own, and leaves that */
    assert_false(ns.join & CLONE_NEWNS);
}

TEST(a_new_user_namespace_has_a_new_mount_namespace)
{
    own(oci_spec) struct oci_spec *spec = mem_zalloc(sizeof *spec);
    struct namespaces ns;
    oci_spec_add_namespace(spec, "user", NULL);
    CHECK_ERR(namespaces_plan(spec, &ns), ERR_UNSUPPORTED);
}
