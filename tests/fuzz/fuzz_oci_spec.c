// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "spec/oci_runtime.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

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
    return 0;
}
