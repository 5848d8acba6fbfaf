/*
 * husk-oci features: what config.json may ask for.
 * Source: runtime-spec features.md, features-linux.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "namespaces/namespaces.h"
#include "oci/oci.h"
#include "process/program.h"
#include "rootfs/options.h"

static const char *const hooks[] = {
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop", NULL
};
static const char *const actions[] = {
    "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO",  "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",   "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",         NULL
};
static const char *const operators[] = { "SCMP_CMP_EQ", "SCMP_CMP_GE",        "SCMP_CMP_GT", "SCMP_CMP_LE",
                                         "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE", NULL };
static const char *const flags[] = { "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                     "SECCOMP_FILTER_FLAG_TSYNC", NULL };

static json_t *list(const char *const *words)
{
    json_t *a = json_array();
    for (; *words; words++)
        json_array_append_new(a, json_string(*words));
    return a;
}

static json_t *capability_list(void)
{
    json_t *a = json_array();
    for (int i = 0; capability_name(i); i++)
        json_array_append_new(a, json_string(capability_name(i)));
    return a;
}

static json_t *linux_features(void)
{
    return json_pack("{s:o, s:o, s:{s:b, s:b, s:b, s:b, s:b}, s:{s:b, s:o, s:o, s:o, s:o}, s:{s:b}, s:{s:b}, s:{s:b}, "
                     "s:{s:{s:b}}, s:{s:b}, s:{s:o}}",
                     "namespaces", list(namespace_types()), "capabilities", capability_list(), /**/
                     "cgroup", "v1", 1, "v2", 1, "systemd", 1, "systemdUser", 1, "rdma", 1,    /**/
                     "seccomp", "enabled", 1, "actions", list(actions), "operators", list(operators), "knownFlags",
                     list(flags), "supportedFlags", list(flags),                                  /**/
                     "apparmor", "enabled", 1, "selinux", "enabled", 1, "intelRdt", "enabled", 1, /**/
                     "mountExtensions", "idmap", "enabled", 1, "netDevices", "enabled", 1, "memoryPolicy", "modes",
                     json_array());
}

static fallible features_run(const void *opts, struct args args)
{
    (void)opts, (void)args;
    own_json json_t *doc =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:{s:s}}", "ociVersionMin", "1.0.0", "ociVersionMax", OCI_RUNTIME_VERSION,
                  "hooks", list(hooks), "mountOptions", list(mount_option_words()), "linux", linux_features(),
                  "annotations", "dev.husk.version", HUSK_VERSION);
    if (!doc)
        return err_new(ERR_INTERNAL, "features: the document could not be made");
    own_mem char *text = json_text(doc, BIND_INDENTED);
    printf("%s\n", text);
    return NULL;
}

static const struct opt no_options[] = { OPT_END };
const struct command oci_cmd_features = {
    .name = "features",
    .args = "",
    .summary = "Print what config.json may ask for, as JSON",
    .opts = no_options,
    .max_args = 0,
    .fail_exit = 1,
    .run = features_run,
};
