// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/emulate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "image/layout.h"
#include "os/fs.h"

#define BINFMT_DIR "/proc/sys/fs/binfmt_misc"
enum { ENTRY_MAX = 64 << 10 };

struct machine {
    const char *arch;
    unsigned char bits, order; /* of the ELF header: 1 or 2; 1 little, 2 big */
    unsigned short number;
    const char *qemu;
};
static const struct machine machines[] = {
    { "amd64", 2, 1, 62, "x86_64" }, { "386", 1, 1, 3, "i386" },          { "arm64", 2, 1, 183, "aarch64" },
    { "arm", 1, 1, 40, "arm" },      { "riscv64", 2, 1, 243, "riscv64" }, { "ppc64le", 2, 1, 21, "ppc64le" },
    { "s390x", 2, 2, 22, "s390x" },  { "mips64le", 2, 1, 8, "mips64el" }, { "loong64", 2, 1, 258, "loongarch64" },
};

static int hex_byte(const char *s)
{
    unsigned v;
    return sscanf(s, "%2x", &v) == 1 ? (int)v : -1;
}

/* "magic 7f454c46..." with the header's bytes; "flags: F" means that the kernel has the interpreter open already. */
static bool is_for(const char *text, const struct machine *m, bool *ret_open)
{
    const char *magic = strstr(text, "\nmagic "), *flags = strstr(text, "\nflags: ");
    if (!str_starts(text, "enabled") || !magic || !strstr(text, "\noffset 0\n"))
        return false;
    magic += strlen("\nmagic ");
    size_t n = strcspn(magic, "\n") / 2;
    if (n < 20 || strncmp(magic, "7f454c46", 8) != 0)
        return false;
    int low = hex_byte(magic + 36), high = hex_byte(magic + 38);
    if (low < 0 || high < 0)
        return false;
    int number = m->order == 2 ? (low << 8 | high) : (high << 8 | low);
    *ret_open = flags && memchr(flags + 8, 'F', strcspn(flags + 8, "\n"));
    return hex_byte(magic + 8) == m->bits && hex_byte(magic + 10) == m->order && number == m->number;
}

static const struct machine *machine_of(const char *arch)
{
    for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
        if (strcmp(machines[i].arch, arch) == 0)
            return &machines[i];
    return NULL;
}

bool emulate_entry_is_for(const char *entry, const char *arch, bool *ret_open)
{
    const struct machine *m = machine_of(arch);
    return m && is_for(entry, m, ret_open);
}

static bool is_native(const char *arch)
{
    const char *host = platform_of_host() + strlen("linux/");
    size_t n = strcspn(host, "/");
    if (strlen(arch) == n && strncmp(host, arch, n) == 0)
        return true;
    if (strncmp(host, "amd64", n) == 0) /* the second is what some tools write for it */
        return strcmp(arch, "386") == 0 || strcmp(arch, "x86_64") == 0;
    return strncmp(host, "arm64", n) == 0 && strcmp(arch, "aarch64") == 0;
}

fallible emulate_check(const char *platform)
{
    const char *arch = strchr(platform, '/') ? strchr(platform, '/') + 1 : platform;
    own_mem char *bare = mem_strndup(arch, strcspn(arch, "/"));
    const struct machine *m = machine_of(bare);
    bool there = false, open_ = false;
    if (is_native(bare))
        return NULL;
    own_dir DIR *dir = m ? opendir(BINFMT_DIR) : NULL;
    for (const struct dirent *e; dir && !open_ && (e = readdir(dir));) {
        own_mem char *text = NULL;
        if (e->d_name[0] == '.' || str_eq(e->d_name, "register") || str_eq(e->d_name, "status"))
            continue;
        err *failed = fs_read_at(dirfd(dir), e->d_name, ENTRY_MAX, &text, NULL);
        if (!failed && is_for(text, m, &open_))
            there = true;
        err_ignore(failed, "another may do");
    }
    if (open_)
        return NULL;
    if (there)
        return err_new(
            ERR_UNSUPPORTED,
            "RUN for %s: binfmt_misc has an interpreter for it that is not there in a container: register it "
            "with the flag F, as qemu-user-static does",
            platform);
    return err_new(ERR_UNSUPPORTED,
                   "RUN for %s: this machine is %s, and binfmt_misc has no interpreter for its programs: install "
                   "qemu-user-static%s%s%s, or build the stage with FROM --platform=$BUILDPLATFORM",
                   platform, platform_of_host(), m ? " (qemu-" : "", m ? m->qemu : "", m ? ")" : "");
}
