// SPDX-License-Identifier: GPL-2.0-or-later
#include "rootfs/options.h"

#include "test.h"

static char *set_text(char *to, size_t size, const char *text)
{
    (void)snprintf(to, size, "%s", text);
    return to;
}

/* "type: words" -> what the kernel is asked for, as text, so that a row is a line. */
static char *describe(const struct mount_options *o)
{
    own_str struct str s = { 0 };
    str_printf(&s, "set=%llx clear=%llx", (unsigned long long)o->set, (unsigned long long)o->clear);
    if (o->set_below || o->clear_below)
        str_printf(&s, " below=%llx/%llx", (unsigned long long)o->set_below, (unsigned long long)o->clear_below);
    if (o->propagation)
        str_printf(&s, " prop=%llx%s", (unsigned long long)o->propagation,
                   o->propagation_depth == MOUNT_RECURSIVE ? "r" : "");
    if (o->bind)
        str_add(&s, o->bind_depth == MOUNT_RECURSIVE ? " rbind" : " bind");
    if (o->remount)
        str_add(&s, " remount");
    if (o->tmpcopyup)
        str_add(&s, " tmpcopyup");
    if (o->idmap)
        str_add(&s, o->idmap_depth == MOUNT_RECURSIVE ? " ridmap" : " idmap");
    if (o->data.len)
        str_printf(&s, " data=%s", o->data.text);
    return str_take(&s);
}

static const struct {
    const char *type, *words, *expect;
} rows[] = {
    { "tmpfs", "", "set=0 clear=0" },
    { "tmpfs", "defaults", "set=0 clear=0" },
    { "tmpfs", "nosuid,nodev,noexec,ro", "set=f clear=0" },
    { "tmpfs", "ro,rw", "set=0 clear=1" },
    { "tmpfs", "rw,ro", "set=1 clear=0" },
    { "tmpfs", "nosuid,suid,nodev,dev,noexec,exec", "set=0 clear=e" },
    { "tmpfs", "nosymfollow,symfollow", "set=0 clear=200000" },
    { "tmpfs", "noatime", "set=10 clear=70" },
    { "tmpfs", "strictatime", "set=20 clear=70" },
    { "tmpfs", "relatime", "set=0 clear=70" },
    { "tmpfs", "noatime,strictatime", "set=20 clear=70" },
    { "tmpfs", "noatime,atime", "set=0 clear=70" },
    { "tmpfs", "strictatime,nostrictatime", "set=0 clear=70" },
    { "tmpfs", "norelatime", "set=0 clear=70" },
    { "tmpfs", "nodiratime", "set=80 clear=0" },
    { "tmpfs", "nodiratime,diratime", "set=0 clear=80" },
    { "tmpfs", "mode=755,size=64k,nosuid", "set=2 clear=0 data=mode=755,size=64k" },
    { "tmpfs", "sync,dirsync,lazytime,mand,iversion,async,nolazytime",
      "set=0 clear=0 data=sync,dirsync,lazytime,mand,iversion,async,nolazytime" },
    { "tmpfs", "loud,silent,nomand,noiversion", "set=0 clear=0" },
    { "tmpfs", "tmpcopyup", "set=0 clear=0 tmpcopyup" },
    { "none", "bind,ro", "set=1 clear=0 bind" },
    { "bind", "ro", "set=1 clear=0 bind" },
    { "none", "rbind,rro", "set=0 clear=0 below=1/0 rbind" },
    { "none", "rbind,rnosuid,rnodev,rnoexec,rnosymfollow", "set=0 clear=0 below=20000e/0 rbind" },
    { "none", "rbind,rrw,rsuid,rdev,rexec,rsymfollow,rdiratime", "set=0 clear=0 below=0/20008f rbind" },
    { "none", "rbind,rnoatime", "set=0 clear=0 below=10/70 rbind" },
    { "none", "rbind,rstrictatime", "set=0 clear=0 below=20/70 rbind" },
    { "none", "bind,private", "set=0 clear=0 prop=40000 bind" },
    { "none", "rbind,rslave", "set=0 clear=0 prop=80000r rbind" },
    { "none", "rbind,rshared", "set=0 clear=0 prop=100000r rbind" },
    { "none", "bind,unbindable", "set=0 clear=0 prop=20000 bind" },
    { "none", "remount,ro", "set=1 clear=0 remount" },
    { "none", "bind,idmap", "set=0 clear=0 bind idmap" },
    { "none", "rbind,ridmap", "set=0 clear=0 rbind ridmap" },
};

TEST(every_word_means_what_the_specification_says)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char type[16], destination[] = "/x";
        struct oci_mount m = { .type = set_text(type, sizeof type, rows[i].type), .destination = destination };
        own(mount_options) struct mount_options o = { 0 };
        strv_split(&m.options, rows[i].words, ',');
        CHECK_OK(mount_options_read(&m, &o));
        own_mem char *got = describe(&o);
        if (strcmp(got, rows[i].expect) != 0)
            fail_msg("%s %s: %s, expected %s", rows[i].type, rows[i].words, got, rows[i].expect);
        strv_free(&m.options);
    }
}

/* The table of config.md, "Linux mount options". */
static const char *const specified[] = {
    "async",          "atime",      "bind",         "defaults",    "dev",
    "diratime",       "dirsync",    "exec",         "iversion",    "lazytime",
    "loud",           "mand",       "noatime",      "nodev",       "nodiratime",
    "noexec",         "noiversion", "nolazytime",   "nomand",      "norelatime",
    "nostrictatime",  "nosuid",     "nosymfollow",  "private",     "ratime",
    "rbind",          "rdev",       "rdiratime",    "relatime",    "remount",
    "rexec",          "rnoatime",   "rnodiratime",  "rnoexec",     "rnorelatime",
    "rnostrictatime", "rnosuid",    "rnosymfollow", "ro",          "rprivate",
    "rrelatime",      "rro",        "rrw",          "rshared",     "rslave",
    "rstrictatime",   "rsuid",      "rsymfollow",   "runbindable", "rw",
    "shared",         "silent",     "slave",        "strictatime", "suid",
    "symfollow",      "sync",       "tmpcopyup",    "unbindable",  "idmap",
    "ridmap",
};

TEST(every_specified_word_is_known)
{
    for (size_t i = 0; i < ARRAY_SIZE(specified); i++) {
        bool found = false;
        for (const char *const *w = mount_option_words(); *w; w++)
            found |= str_eq(*w, specified[i]);
        if (!found)
            fail_msg("'%s' is not known", specified[i]);
    }
}

static err *read_words(const char *type_, const char *words)
{
    char type[16], destination[] = "/x";
    struct oci_mount m = { .type = set_text(type, sizeof type, type_), .destination = destination };
    own(mount_options) struct mount_options o = { 0 };
    strv_split(&m.options, words, ',');
    err *e = mount_options_read(&m, &o);
    strv_free(&m.options);
    return e;
}

TEST(words_that_cannot_be_are_refused)
{
    CHECK_SAYS(read_words("none", "bind,r0"), "mount '/x': a bind mount has no option 'r0'");
    CHECK_SAYS(read_words("proc", "tmpcopyup"), "mount '/x': tmpcopyup is for tmpfs only");
    CHECK_SAYS(read_words("tmpfs", "idmap"), "mount '/x': only bind mounts can be id-mapped, or overlays");
}
