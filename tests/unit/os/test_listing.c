// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/listing.h"

#include <fcntl.h>

#include "base/mem.h"
#include "os/fs.h"
#include "test.h"

TEST(all_names_of_a_folder_are_had_and_no_others)
{
    char dir[] = "/tmp/husk-listing-XXXXXX";
    CHECK(mkdtemp(dir) != NULL);
    own_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 3000; i++) {
        own_mem char *name = mem_printf("a-name-that-is-not-so-short-%d", i);
        own_fd int file = openat(fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        CHECK(file >= 0);
    }
    own(listing) struct listing *l = NULL;
    CHECK_OK(listing_read(fd, ".", &l));
    for (int i = 0; i < 6000; i++) {
        own_mem char *name = mem_printf("a-name-that-is-not-so-short-%d", i);
        CHECK(listing_has(l, name) == (i < 3000));
    }
    CHECK(!listing_has(l, "") && !listing_has(l, "a-name"));
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
}

TEST(a_folder_that_is_not_there_has_no_names)
{
    own(listing) struct listing *l = NULL;
    CHECK_OK(listing_read(AT_FDCWD, "/no/such/folder", &l));
    CHECK(!listing_has(l, "x"));
    CHECK_ERR(listing_read(AT_FDCWD, "/dev/null", &l), ERR_NOT_FOUND);
}
