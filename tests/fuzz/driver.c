/*
 * Runs a fuzz target over its corpus, so that everything a fuzzer ever found stays found: every file of the folder,
 * and the target must be there with at least one file.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/own.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static int run_file(int dir_fd, const char *name)
{
    own_fd int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    own_mem unsigned char *bytes = malloc((size_t)st.st_size + 1);
    if (!bytes || read(fd, bytes, (size_t)st.st_size) != st.st_size) {
        perror(name);
        exit(1);
    }
    (void)LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size);
    return 1;
}

int main(int argc, char **argv)
{
    int n = 0;
    own_dir DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "no corpus folder '%s'\n", argc > 1 ? argv[1] : "");
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        n += run_file(dirfd(dir), entry->d_name);
    printf("%d inputs\n", n);
    return n > 0 ? 0 : 1;
}
