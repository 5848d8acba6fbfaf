/*
 * inspect_zeros.c: what docker's structs hold where nothing was said. docker's templates run over Go structs, whose
 * fields are there whether or not JSON shows them: '{{.Config.Entrypoint}}' of an image without one prints [].
 * inspect-zeros.json has them by the field that they are in, "" being the document itself.
 * Source: Docker Engine API 1.50, ContainerInspectResponse and ImageInspect.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "generated/inspect_zeros.h"
#include "cli/inspect_docs.h"

json_t *inspect_zeros(const json_t *doc)
{
    const char *kind = json_object_get(doc, "HostConfig") ? "container" : json_object_get(doc, "RootFS") ? "image" : "";
    own_json json_t *all = json_loadb((const char *)inspect_zeros_data, sizeof inspect_zeros_data, 0, NULL);
    return json_incref(json_object_get(all, kind));
}
