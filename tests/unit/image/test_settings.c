// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "base/mem.h"
#include "image/settings.h"

TEST(what_is_written_is_read)
{
    struct settings s = { .keep_blobs = true };
    CHECK_OK(settings_parse(
        "husk.conf", "# how much\n\n[storage]\n budget = 20G # twenty\r\nkeep_blobs=no\n\tlayers = \"files\"", &s));
    CHECK(s.budget == 20LL << 30 && !s.keep_blobs && s.layers == SETTINGS_LAYERS_FILES);
    CHECK_OK(settings_parse("husk.conf", "[storage]\nshare_extents = yes", &s));
    CHECK(s.share_extents);
    CHECK_OK(settings_parse("husk.conf", "[ storage ] # and another file\nlayers=erofs", &s));
    CHECK(s.budget == 20LL << 30 && s.layers == SETTINGS_LAYERS_EROFS);
    CHECK_OK(settings_parse("husk.conf", "[network]\ncni_dirs = /a:/b\ncni_plugins=/c", &s));
    CHECK(str_eq(s.cni_dirs, "/a:/b") && str_eq(s.cni_plugins, "/c"));
    CHECK_OK(settings_parse("husk.conf", "", &s));
}

static const struct {
    const char *text, *message;
} wrong[] = {
    { "budget=1", "husk.conf:1: 'budget': a key before the first [SECTION]" },
    { "[storage]\nbugdet=1", "husk.conf:2: unknown key 'bugdet' in [storage]: did you mean 'budget'?" },
    { "[storage]\nx=1", "husk.conf:2: unknown key 'x' in [storage]" },
    { "[net]\nx=1", "husk.conf:2: unknown section [net]: there are [storage], [network] and [trash]" },
    { "[network]\ncni_dirs=/a:b", "husk.conf:2: cni_dirs: '/a:b' is not /FOLDER[:/FOLDER...]" },
    { "[network]\ncni_plugins=/a:", "husk.conf:2: cni_plugins: '/a:' is not /FOLDER[:/FOLDER...]" },
    { "[storage\n", "husk.conf:1: '[storage': expected [SECTION]" },
    { "[storage] budget=1", "husk.conf:1: '[storage] budget=1': expected [SECTION]" },
    { "[storage]\n\nbudget", "husk.conf:3: 'budget': expected KEY = VALUE" },
    { "[storage]\n=7", "husk.conf:2: '=7': expected KEY = VALUE" },
    { "[storage]\nbudget=", "husk.conf:2: a key without a value" },
    { "[storage]\nbudget=\"7", "husk.conf:2: '\"7': expected a value in double quotes" },
    { "[storage]\nbudget=\"7\" 8", "husk.conf:2: '\"7\" 8': expected a value in double quotes" },
    { "[storage]\nlayers=tar", "husk.conf:2: layers: 'tar' is none of auto, files, erofs" },
    { "[storage]\nshare_extents=2", "husk.conf:2: share_extents: '2' is neither true nor false" },
    { "[storage]\nkeep_blobs=perhaps", "husk.conf:2: keep_blobs: 'perhaps' is neither true nor false" },
};

TEST(what_is_not_understood_is_said_with_its_line)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct settings s = { 0 };
        CHECK_SAYS(settings_parse("husk.conf", wrong[i].text, &s), wrong[i].message);
    }
}
