/*
 * build_options.h: those of buildah's, podman's and docker's options for a build that few builds have, and those that
 * husk refuses with the reason. Source: buildah-build(1), podman-build(1), docker-build(1), docker-buildx-build(1).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_BUILD_OPTIONS_H
#define HUSK_CLI_BUILD_OPTIONS_H

#include "base/opt.h"

static const char *const words_image_form[] = { "oci", "docker", NULL };

/* What the image is, beside its Dockerfile. */
#define BUILD_IMAGE_OPTIONS(T)                                                                                         \
    OPT_GROUP("What the image says"),                                                                                  \
        OPT_STR(0, "format", T, build.image.format, "oci|docker",                                                      \
                "The form of its documents (default oci); docker's has layers of gzip and no annotations",             \
                .words = words_image_form),                                                                            \
        OPT_STR(0, "from", T, build.image.from, "IMAGE", "The image of the first FROM, instead of its own"),           \
        OPT_STR(0, "arch", T, build.image.arch, "ARCH", "Its architecture, as with --platform"),                       \
        OPT_STR(0, "os", T, build.image.os, "OS", "Its operating system, as with --platform"),                         \
        OPT_STR(0, "variant", T, build.image.variant, "VARIANT", "Its architecture's variant, as with --platform"),    \
        OPT_FLAG(0, "all-platforms", T, build.how.all_platforms,                                                       \
                 "For all platforms that its base images are there for"),                                              \
        OPT_STR(0, "os-version", T, build.image.os_version, "VERSION",                                                 \
                "The version of the operating system that it asks for (default: its base image's)"),                   \
        OPT_STRS(0, "os-feature", T, build.image.os_features, "FEATURE[-]",                                            \
                 "A feature of the operating system that it asks for; with - behind it: no longer"),                   \
        OPT_STRS(0, "env", T, build.image.env, "NAME[=VALUE]",                                                         \
                 "A variable from FROM on, as ENV; without a value, our own variable's"),                              \
        OPT_STRS(0, "unsetenv", T, build.image.unset_env, "NAME", "The image has no such variable in the end"),        \
        OPT_SWITCH(0, "inherit-labels", T, build.image.inherit_labels,                                                 \
                   "Whether a stage has the labels of what it stands on (default true)"),                              \
        OPT_STRS(0, "unsetlabel", T, build.image.unset_labels, "KEY", "The image has no such label in the end"),       \
        OPT_SWITCH(0, "identity-label", T, build.image.identity_label,                                                 \
                   "Always false: there is no label with husk's version"),                                             \
        OPT_SWITCH(0, "inherit-annotations", T, build.image.inherit_annotations,                                       \
                   "Whether the manifest has its base image's annotations (default true)"),                            \
        OPT_STRS(0, "unsetannotation", T, build.image.unset_annotations, "KEY",                                        \
                 "The manifest has no such annotation in the end"),                                                    \
        OPT_SWITCH(0, "created-annotation", T, build.image.created_annotation,                                         \
                   "An annotation says when it was made, as its config does (default false)"),                         \
        OPT_FLAG(0, "omit-history", T, build.image.omit_history, "Its config has no history"),                         \
        OPT_I64(0, "source-date-epoch", T, build.image.epoch, "SECONDS",                                               \
                "Since 1970: when it was made; no file of a layer is younger (default: SOURCE_DATE_EPOCH)"),           \
        OPT_SWITCH(0, "rewrite-timestamp", T, build.image.rewrite_timestamp,                                           \
                   "Always true: files younger than the build's input have its time"),                                 \
        OPT_I64(0, "timestamp", T, build.image.timestamp, "SECONDS",                                                   \
                "Since 1970: when it was made, and the time of all that its new layers have"),                         \
        OPT_SWITCH('D', "disable-compression", T, build.image.plain_layers,                                            \
                   "Its layers are not packed (default false)")

/* How it is built. */
static const char *const words_world[] = { "private", "container", "host", NULL };
#define BUILD_HOW_OPTIONS(T)                                                                                           \
    OPT_STRS(0, "dns-search", T, build.create.dns_search, "DOMAIN", "Where names without a dot are looked for"),       \
        OPT_STRS(0, "dns-option", T, build.create.dns_option, "OPTION", "An option of /etc/resolv.conf"),              \
        OPT_FLAG(0, "no-hosts", T, build.create.no_hosts, "/etc/hosts is the image's"),                                \
        OPT_FLAG(0, "no-hostname", T, build.create.no_hostname, "/etc/hostname is the image's"),                       \
        OPT_STRS(0, "group-add", T, build.create.group_add, "GROUP", "One more group"),                                \
        OPT_FLAG(0, "http-proxy", T, build.create.http_proxy,                                                          \
                 "Our http_proxy, https_proxy, ftp_proxy, no_proxy; the image has none of them"),                      \
        OPT_STR(0, "ipc", T, build.create.ipc, "private|host", "Its IPC namespace (default private)",                  \
                .words = words_world),                                                                                 \
        OPT_STR(0, "pid", T, build.create.pid, "private|host", "Its PID namespace (default private)",                  \
                .words = words_world),                                                                                 \
        OPT_STR(0, "uts", T, build.create.uts, "private|host", "Its UTS namespace: the host's name (default private)", \
                .words = words_world),                                                                                 \
        OPT_STR(0, "cgroupns", T, build.create.cgroupns, "private|host", "Its cgroup namespace (default private)",     \
                .words = words_world),                                                                                 \
        OPT_STR(0, "userns", T, build.how.userns, "host", "It is in the build's user namespace, always"),              \
        OPT_STR(0, "isolation", T, build.how.isolation, "default|oci", "It is a container, always"),                   \
        OPT_STRS(0, "allow", T, build.how.allow, "network.host|security.insecure",                                     \
                 "security.insecure: RUN --security=insecure may have all rights; network.host is always allowed"),    \
        OPT_FLAG(0, "stdin", T, build.how.stdin_too, "It has our standard input"),                                     \
        OPT_FLAG(0, "compat-volumes", T, build.how.compat_volumes,                                                     \
                 "What RUN changes below a VOLUME is thrown away, as builders of old did"),                            \
        OPT_GROUP("How it is built"),                                                                                  \
        OPT_STRS(0, "build-arg-file", T, build.how.arg_files, "FILE",                                                  \
                 "A line for each --build-arg; # begins a comment. --build-arg wins"),                                 \
        OPT_STR(0, "logfile", T, build.how.logfile, "FILE",                                                            \
                "What the build says, also on standard output, goes into this file"),                                  \
        OPT_SWITCH(0, "logsplit", T, build.how.logsplit,                                                               \
                   "With --logfile and --platform: each platform has a file, FILE_OS_ARCH"),                           \
        OPT_STR(0, "ignorefile", T, build.how.ignore_file, "FILE", "Instead of .containerignore or .dockerignore"),    \
        OPT_I64(0, "jobs", T, build.how.jobs, "N",                                                                     \
                "Steps that work at a time (default: one more than cores); 0: without limit"),                         \
        OPT_SWITCH(0, "layers", T, build.how.layers,                                                                   \
                   "false: without the cache, and each stage's steps are one layer (default true)"),                   \
        OPT_SWITCH(0, "skip-unused-stages", T, build.how.skip_unused,                                                  \
                   "false: stages that the target does not need are built, too (default true)"),                       \
        OPT_SWITCH(0, "rm", T, build.how.rm, "Always true: no step leaves a container"),                               \
        OPT_SWITCH(0, "force-rm", T, build.how.force_rm, "Always true: nor does one that failed"),                     \
        OPT_FLAG(0, "compress", T, build.how.compress, "Nothing to do: the context is read in place, not sent")

/* Where it goes, seldom. */
#define BUILD_TO_OPTIONS(T)                                                                                            \
    OPT_STR(0, "manifest", T, build.manifest, "LIST", "Add it to a list of images, which is made when there is none"), \
        OPT_STR(0, "sbom-output", T, build.sbom_file, "FILE", "Which packages are in it, as a file (see --sbom)"),     \
        OPT_STR(0, "sbom-purl-output", T, build.purl_file, "FILE", "The packages' URLs alone, as a JSON list"),        \
        OPT_STR(0, "retry", T, build.create.retry, "N", "Try each request of a pull or push again so often"),          \
        OPT_STR(0, "retry-delay", T, build.create.retry_delay, "TIME",                                                 \
                "Wait so long before the first of them, doubled each time")

/* Refused: build/how.c says why. */
#define BUILD_REFUSED_OPTIONS(T)                                                                                       \
    OPT_GROUP("Refused, with the reason and what to do instead"),                                                      \
        OPT_STR(0, "builder", T, build.refused.builder, "NAME", "Refused but for default: there is one"),              \
        OPT_STR(0, "layer-label", T, build.refused.layer_label, "KEY[=VALUE]", "Refused: the cache has no images"),    \
        OPT_STR(0, "cw", T, build.refused.cw, "OPTIONS", "Refused: no images for confidential machines"),              \
        OPT_STR(0, "cpp-flag", T, build.refused.cpp_flag, "FLAG", "Refused: no preprocessor is run"),                  \
        OPT_STR(0, "decryption-key", T, build.refused.decryption_key, "KEY", "Refused: no encrypted layers"),          \
        OPT_STR(0, "hooks-dir", T, build.refused.hooks_dir, "DIR", "Refused: a step has no hooks"),                    \
        OPT_STR(0, "runtime", T, build.refused.runtime, "PATH", "Refused: husk is its own"),                           \
        OPT_STR(0, "runtime-flag", T, build.refused.runtime_flag, "FLAG", "Refused: husk is its own"),                 \
        OPT_STR(0, "sign-by", T, build.refused.sign_by, "KEY", "Refused: see husk image sign"),                        \
        OPT_STR(0, "userns-uid-map", T, build.refused.uid_map, "MAP", "Refused: owners are the image's"),              \
        OPT_STR(0, "userns-gid-map", T, build.refused.gid_map, "MAP", "Refused: owners are the image's"),              \
        OPT_STR(0, "userns-uid-map-user", T, build.refused.uid_map_user, "USER", "Refused: owners are the image's"),   \
        OPT_STR(0, "userns-gid-map-group", T, build.refused.gid_map_group, "GROUP",                                    \
                "Refused: owners are the image's"),                                                                    \
        OPT_STR(0, "sbom-scanner-image", T, build.refused.scanner_image, "IMAGE", "Refused: see --sbom"),              \
        OPT_STR(0, "sbom-scanner-command", T, build.refused.scanner_command, "COMMAND", "Refused: see --sbom"),        \
        OPT_STR(0, "sbom-merge-strategy", T, build.refused.merge_strategy, "METHOD", "Refused: see --sbom"),           \
        OPT_STR(0, "sbom-image-output", T, build.refused.in_image, "PATH", "Refused: see --sbom"),                     \
        OPT_STR(0, "sbom-image-purl-output", T, build.refused.purl_in_image, "PATH", "Refused: see --sbom")

#endif
