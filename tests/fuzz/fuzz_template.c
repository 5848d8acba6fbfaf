/*
 * Any text: template_render() answers what it makes or an error, in both modes, and its output is UTF-8 where the
 * template is.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "codec/template.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const char document[] =
    "{\"A\":\"text\",\"B\":[1,2.5,true,null,\"x\"],\"C\":{\"k\":{\"D\":[{\"E\":1}]}},\"N\":7,"
    "\"Labels\":{\"a\":\"b\"},\"\":{\"Label\":{\"k\":\"v\"}}}";

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    own_mem char *text = mem_strndup((const char *)data, size);
    own_json json_t *doc = NULL;
    err_ignore(json_parse("document", document, strlen(document), &doc), "it is ours");
    for (int mode = 0; mode < 2; mode++) {
        own_str struct str out = { 0 };
        err_ignore(template_render(text, doc, mode ? TEMPLATE_HEADERS : TEMPLATE_VALUES, &out), "either is fine");
        own_json json_t *whole = json_string(text), *made = json_string(out.text ? out.text : "");
        if (whole && !made && out.len == strlen(out.text ? out.text : ""))
            abort();
    }
    return 0;
}
