/*
 * Any bytes as a tar-split record (packed or not), over a folder with one file and one link that leads out of it: bytes
 * come out or an error does, and never those of a file outside.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "layers/tarsplit.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Made once, and gone from its place at once: the descriptor is all that is left of it. */
static int open_folder(void)
{
    static int folder = -1;
    char dir[] = "/tmp/husk-fuzz-XXXXXX";
    if (folder >= 0)
        return folder;
    if (!mkdtemp(dir))
        return -1;
    folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_fd int file = openat(folder, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (folder < 0 || file < 0 || write(file, "x", 1) != 1 || symlinkat("/etc/hostname", folder, "out") < 0)
        return -1;
    return folder;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own(tarsplit) struct tarsplit *t = NULL;
    own_fd int record = memfd_create("fuzz", MFD_CLOEXEC);
    char buf[4096];
    uint64_t bytes = 0;
    if (record < 0 || write(record, data, size) != (ssize_t)size || lseek(record, 0, SEEK_SET) < 0)
        return 0;
    err *e = tarsplit_open(record, open_folder(), &t);
    for (size_t n = 1; !e && n > 0; bytes += n) {
        struct stream_source s = tarsplit_source(t);
        n = 0;
        e = s.read(s.ctx, buf, sizeof buf, &n);
        if (n > sizeof buf || bytes > (64 << 20))
            break;
    }
    err_free(e);
    return 0;
}
