// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "process/seccomp.h"
#include "spec/oci_runtime.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* What is found as the seccomp object's text is what the reader takes for it, and without it the rest stays the same.
 */
static void check_profile(const char *data, size_t size, struct oci_spec *spec)
{
    struct seccomp_text t = seccomp_text_find(data, size);
    own(oci_spec) struct oci_spec *rest = NULL;
    void *found = NULL;
    if (!t.n)
        return;
    if (!spec->linux_ || !spec->linux_->seccomp)
        abort();
    own(err) err *e = bind_read(&oci_seccomp_type, data + t.at, t.n, &found);
    if (e)
        abort();
    own_mem char *whole = bind_write(&oci_seccomp_type, spec->linux_->seccomp, BIND_COMPACT);
    own_mem char *part = bind_write(&oci_seccomp_type, found, BIND_COMPACT);
    if (strcmp(whole, part) != 0)
        abort();
    bind_free(&oci_seccomp_type, found);
    own_mem char *copy = mem_strndup(data, size);
    own(err) err *e2 = oci_spec_read(copy, seccomp_text_cut(copy, size, t), &rest);
    if (e2)
        abort();
    struct oci_seccomp *profile = spec->linux_->seccomp;
    spec->linux_->seccomp = NULL;
    own_mem char *left = bind_write(&oci_spec_type, spec, BIND_COMPACT);
    spec->linux_->seccomp = profile;
    own_mem char *read = bind_write(&oci_spec_type, rest, BIND_COMPACT);
    if (strcmp(left, read) != 0)
        abort();
}

/* Any bytes are a configuration or an error; a configuration that is written is read again as the same one. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own(oci_spec) struct oci_spec *spec = NULL;
    own(oci_spec) struct oci_spec *again = NULL;
    own(err) err *e = oci_spec_read((const char *)data, size, &spec);
    if (!e != !!spec)
        abort();
    if (!spec)
        return 0;
    own_mem char *text = bind_write(&oci_spec_type, spec, BIND_COMPACT);
    own(err) err *e2 = oci_spec_read(text, strlen(text), &again);
    if (e2)
        abort();
    own_mem char *text2 = bind_write(&oci_spec_type, again, BIND_COMPACT);
    if (strcmp(text, text2) != 0)
        abort();
    check_profile((const char *)data, size, spec);
    return 0;
}
