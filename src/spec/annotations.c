// SPDX-License-Identifier: GPL-2.0-or-later
#include "spec/annotations.h"

#include "base/parse.h"

/* What is not done, and what is to be done instead. An empty value asks for nothing, as under crun. */
static const struct {
    const char *name, *why;
} refused[] = {
    { "run.oci.handler", "crun loads a library for it, husk has none: leave it out to run the program itself" },
    { "run.oci.seccomp.plugins",
      "crun loads libraries that answer a filter's calls, husk loads none: name a program that "
      "listens in linux.seccomp.listenerPath" },
    { "run.oci.seccomp_bpf_data", "husk loads no filter that it cannot read: write its rules in linux.seccomp" },
    { "run.oci.systemd.force_cgroup_v1",
      "husk mounts the hierarchies that the host has: mount 'none,name=systemd' on the "
      "host and bind it in mounts" },
    { "run.oci.delegate-cgroup", "the container's group is the one with the limits: with a cgroup namespace and a "
                                 "writable cgroup mount the program makes groups below it" },
};

static fallible check_refused(const struct strmap *annotations)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        const char *value = strmap_get(annotations, refused[i].name);
        if (value && *value)
            return err_new(ERR_UNSUPPORTED, "annotations: %s: '%s': %s", refused[i].name, value, refused[i].why);
    }
    return NULL;
}

static fallible check_path(const char *name, const char *path)
{
    return path[0] == '/' ? NULL : err_new(ERR_INVALID, "annotations: %s: '%s' is not an absolute path", name, path);
}

/* "monotonic 3600 0\nboottime 86400 0", as /proc/PID/timens_offsets takes it. */
static fallible read_offset(const char *line, json_t *offsets)
{
    own_strv struct strv words = { 0 };
    int64_t secs = 0;
    uint64_t ns = 0;
    strv_split(&words, line, ' ');
    if (words.n != 3)
        return err_new(ERR_INVALID, "'%s' is not CLOCK SECONDS NANOSECONDS", line);
    TRY(parse_i64(words.items[1], INT64_MIN, INT64_MAX, &secs));
    TRY(parse_u64(words.items[2], 999999999, &ns));
    json_object_set_new(offsets, words.items[0],
                        json_pack("{s:I, s:I}", "secs", (json_int_t)secs, "nanosecs", (json_int_t)ns));
    return NULL;
}

static fallible heed_offsets(struct oci_spec *s)
{
    static const char name[] = "run.oci.timens_offset";
    const char *value = strmap_get(&s->annotations, name);
    if (!value || !*value || s->linux_->time_offsets || !oci_spec_namespace(s, "time"))
        return NULL;
    own_strv struct strv lines = { 0 };
    own_json json_t *offsets = json_object();
    strv_split(&lines, value, '\n');
    for (size_t i = 0; i < lines.n; i++)
        if (lines.items[i][0])
            TRY_AS(read_offset(lines.items[i], offsets), "annotations: %s", name);
    s->linux_->time_offsets = json_incref(offsets);
    return NULL;
}

static fallible heed_receiver(struct oci_spec *s)
{
    static const char name[] = "run.oci.seccomp.receiver";
    const char *value = strmap_get(&s->annotations, name);
    struct oci_seccomp *seccomp = s->linux_->seccomp;
    if (!value || !*value || !seccomp || (seccomp->listener_path && *seccomp->listener_path))
        return NULL;
    TRY(check_path(name, value));
    free(seccomp->listener_path);
    seccomp->listener_path = mem_strdup(value);
    return NULL;
}

fallible annotations_heed(struct oci_spec *s)
{
    const char *pidfd = strmap_get(&s->annotations, PIDFD_ANNOTATION);
    if (strmap_get(&s->annotations, ""))
        return err_new(ERR_INVALID, "annotations: a key is empty");
    TRY(check_refused(&s->annotations));
    if (pidfd && *pidfd)
        TRY(check_path(PIDFD_ANNOTATION, pidfd));
    if (!s->linux_)
        return NULL;
    TRY(heed_offsets(s));
    return heed_receiver(s);
}
