/*
 * husk-oci features: what config.json may ask for.
 * Source: runtime-spec features.md, features-linux.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "namespaces/namespaces.h"
#include "oci/oci.h"
#include "process/program.h"
#include "process/seccomp.h"
#include "rootfs/options.h"

static const char *const hooks[] = {
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop", NULL
};
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

/* Of a module's words: the names are its own, so that none can be forgotten here. */
static json_t *words(const char *(*word)(size_t i), bool (*works)(size_t i))
{
    json_t *a = json_array();
    for (size_t i = 0; word(i); i++)
        if (!works || works(i))
            json_array_append_new(a, json_string(word(i)));
    return a;
}

static json_t *seccomp_features(void)
{
    return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "enabled", 1, "actions", words(seccomp_action_word, NULL),
                     "operators", words(seccomp_operator_word, NULL), "archs", words(seccomp_arch_word, NULL),
                     "knownFlags", words(seccomp_flag_word, NULL), "supportedFlags",
                     words(seccomp_flag_word, seccomp_flag_works));
}

static json_t *linux_features(void)
{
    return json_pack("{s:o, s:o, s:{s:b, s:b, s:b, s:b, s:b}, s:o, s:{s:b}, s:{s:b}, s:{s:b, s:b, s:b}, "
                     "s:{s:{s:b}}, s:{s:b}, s:{s:o, s:o}}",
                     "namespaces", list(namespace_types()), "capabilities", capability_list(),         /**/
                     "cgroup", "v1", 1, "v2", 1, "systemd", 1, "systemdUser", 1, "rdma", 1,            /**/
                     "seccomp", seccomp_features(), "apparmor", "enabled", 1, "selinux", "enabled", 1, /**/
                     "intelRdt", "enabled", 1, "schemata", 1, "monitoring", 1,                         /**/
                     "mountExtensions", "idmap", "enabled", 1, "netDevices", "enabled", 1,             /**/
                     "memoryPolicy", "modes", words(program_policy_mode, NULL), "flags",
                     words(program_policy_flag, NULL));
}

static fallible features_run(const void *opts, struct args args)
{
    (void)opts, (void)args;
    own_json json_t *doc = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:{s:s}, s:[s, s]}", "ociVersionMin", "1.0.0", "ociVersionMax", OCI_RUNTIME_VERSION,
        "hooks", list(hooks), "mountOptions", list(mount_option_words()), "linux", linux_features(), "annotations",
        "dev.husk.version", HUSK_VERSION, "potentiallyUnsafeConfigAnnotations", "org.systemd.property.", "run.oci.");
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
