// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "build/mount.h"

static const struct {
    const char *text, *target, *source, *id, *from;
    enum build_mount_type type;
    bool read_only;
} right[] = {
    { "target=/a", "/a", NULL, NULL, NULL, BUILD_MOUNT_BIND, true },
    { "type=bind,dst=/a,src=b,rw", "/a", "b", NULL, NULL, BUILD_MOUNT_BIND, false },
    { "type=bind,destination=/a,from=x,readwrite=false", "/a", NULL, NULL, "x", BUILD_MOUNT_BIND, true },
    { "type=cache,target=/c,id=k,sharing=locked,mode=0700,uid=1", "/c", NULL, "k", NULL, BUILD_MOUNT_CACHE, false },
    { "type=tmpfs,target=/t,size=1m", "/t", NULL, NULL, NULL, BUILD_MOUNT_TMPFS, false },
    { "type=secret,id=s", "/run/secrets/s", NULL, "s", NULL, BUILD_MOUNT_SECRET, false },
    { "type=secret,target=/x/name", "/x/name", NULL, "name", NULL, BUILD_MOUNT_SECRET, false },
    { "type=secret,env=E", NULL, NULL, "E", NULL, BUILD_MOUNT_SECRET, false },
    { "type=secret,id=s,required", "/run/secrets/s", NULL, "s", NULL, BUILD_MOUNT_SECRET, false },
    { "type=ssh", NULL, NULL, "default", NULL, BUILD_MOUNT_SSH, false },
    { "type=cache,target=$T/x", "/tee/x", NULL, NULL, NULL, BUILD_MOUNT_CACHE, false },
};

TEST(mounts_are_read_with_their_defaults)
{
    own_strv struct strv env = { 0 };
    strv_add(&env, "T=/tee");
    struct expand e = { .env = { &env }, .escape = '\\' };
    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        own(build_mount) struct build_mount m = { 0 };
        CHECK_OK(build_mount_parse(right[i].text, &e, &m));
        if (!str_eq(m.target, right[i].target) || !str_eq(m.source, right[i].source) || !str_eq(m.id, right[i].id) ||
            !str_eq(m.from, right[i].from) || m.type != right[i].type || m.read_only != right[i].read_only)
            fail_msg("'%s': target %s, source %s, id %s", right[i].text, m.target, m.source, m.id);
    }
}

static const struct {
    const char *text, *message;
} wrong[] = {
    { "type=bind", "--mount: a mount of type bind needs target=PATH" },
    { "type=cache,target=/", "--mount: the target cannot be /" },
    { "type=nothing,target=/a", "--mount: type 'nothing': expected one of bind, cache, tmpfs, secret, ssh" },
    { "tpye=cache", "--mount: unknown key 'tpye': did you mean type?" },
    { "target=/a,colour=red", "--mount: unknown key 'colour': expected one such as type, target or source" },
    { "type=tmpfs,target=/a,id=x", "--mount: a mount of type tmpfs has no id" },
    { "type=cache,target=/a,sharing=maybe", "--mount: sharing 'maybe': expected one of shared, private, locked" },
    { "type=cache,target=/a,mode=8", "--mount: mode '8': expected an octal number such as 0755" },
    { "target", "--mount: target: expected target=VALUE" },
    { "type=secret", "--mount: a secret needs id=NAME" },
    { "target=/a,from=$x", "--mount: from cannot have variables: give a stage that name with FROM ... AS" },
};

TEST(mistakes_in_mounts_are_told)
{
    own_strv struct strv env = { 0 };
    struct expand e = { .env = { &env }, .escape = '\\' };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own(build_mount) struct build_mount m = { 0 };
        CHECK_SAYS(build_mount_parse(wrong[i].text, &e, &m), wrong[i].message);
    }
}
