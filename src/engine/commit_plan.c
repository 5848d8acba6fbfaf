// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/commit.h"

#define T struct commit_plan
static const struct bind_field plan_fields[] = {
    BIND_STR(T, upper, "upper", .flags = BIND_REQUIRED),
    BIND_STR(T, manifest, "manifest", .flags = BIND_REQUIRED),
    BIND_I64(T, first_id, "firstId"),
    BIND_STR(T, author, "author"),
    BIND_STR(T, message, "message"),
    BIND_STR(T, created_by, "createdBy"),
    BIND_STR(T, name, "name"),
    BIND_STR(T, container, "container"),
    BIND_STRS(T, skip, "skip"),
    BIND_STRS(T, changes, "changes"),
    BIND_OBJ(T, run, "run", oci_image_run_type, .flags = BIND_REQUIRED),
    BIND_END,
};
#undef T
const struct bind_type commit_plan_type = { .name = "commit plan",
                                            .size = sizeof(struct commit_plan),
                                            .fields = plan_fields };

void commit_plan_free(struct commit_plan *p)
{
    bind_free(&commit_plan_type, p);
}
