/*
 * Any bytes, read as index, manifest and config: each reader answers a document or an error, and what was read can be
 * written and read again. The same bytes, as text, are a WWW-Authenticate header and a file of credentials.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "image/auth.h"
#include "image/layout.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void index_too(const char *text, size_t size)
{
    own(oci_index) struct oci_index *x = NULL;
    own(oci_index) struct oci_index *again = NULL;
    const struct oci_descriptor *chosen = NULL;
    own(err) err *e = oci_index_read(text, size, &x);
    if (!e != !!x)
        abort();
    if (e)
        return;
    own_mem char *written = bind_write(&oci_index_type, x, BIND_COMPACT);
    own(err) err *e2 = oci_index_read(written, strlen(written), &again);
    own(err) err *e3 = platform_choose(x, NULL, &chosen);
    if (e2 || !e3 != !!chosen)
        abort();
}

static void manifest_too(const char *text, size_t size)
{
    own(oci_manifest) struct oci_manifest *x = NULL;
    own(oci_manifest) struct oci_manifest *again = NULL;
    own(err) err *e = oci_manifest_read(text, size, &x);
    if (!e != !!x)
        abort();
    if (e)
        return;
    own_mem char *written = bind_write(&oci_manifest_type, x, BIND_COMPACT);
    own(err) err *e2 = oci_manifest_read(written, strlen(written), &again);
    if (e2)
        abort();
}

static void config_too(const char *text, size_t size)
{
    own(oci_image_config) struct oci_image_config *x = NULL;
    own(oci_image_config) struct oci_image_config *again = NULL;
    own(err) err *e = oci_image_config_read(text, size, &x);
    if (!e != !!x)
        abort();
    if (e)
        return;
    own_mem char *written = bind_write(&oci_image_config_type, x, BIND_COMPACT);
    own(err) err *e2 = oci_image_config_read(written, strlen(written), &again);
    if (e2)
        abort();
}

static void credentials_too(const char *text, size_t size)
{
    own(credentials) struct credentials *c = NULL;
    own(challenge) struct challenge *challenge = NULL;
    own_mem char *helper = NULL;
    own_mem char *decoded = NULL;
    own(err) err *e = credentials_in_file(text, size, "x.io", "a/b", &c, &helper);
    own(err) err *e2 = challenge_parse(text, &challenge);
    own(err) err *e3 = base64_decode(text, &decoded);
    if ((e && (c || helper)) || !e2 != !!challenge || !e3 != !!decoded)
        abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *text = mem_alloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    index_too(text, size);
    manifest_too(text, size);
    config_too(text, size);
    credentials_too(text, size);
    return 0;
}
