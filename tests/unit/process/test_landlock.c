// SPDX-License-Identifier: GPL-2.0-or-later
#include "process/landlock.h"
#include "test.h"

TEST(words_become_rules_and_only_what_they_speak_of_is_handled)
{
    own(landlock_rules) struct landlock_rules r = { 0 };
    CHECK_OK(landlock_rules_read("ro:/usr,rw:/tmp,exec:/bin,bind:80,connect:443,scope:signal", &r));
    CHECK(r.n == 5 && r.fs == 0xffff && r.net == 3 && r.scoped == 2);
    CHECK(str_eq(r.rules[0].path, "/usr") && r.rules[0].access == 0xc);
    CHECK(str_eq(r.rules[1].path, "/tmp") && r.rules[1].access == 0xfffe);
    CHECK(str_eq(r.rules[2].path, "/bin") && r.rules[2].access == 0xd);
    CHECK(!r.rules[3].path && r.rules[3].port == 80 && r.rules[3].access == 1);
    CHECK(!r.rules[4].path && r.rules[4].port == 443 && r.rules[4].access == 2);
    landlock_rules_clear(&r);
    CHECK_OK(landlock_rules_read("bind:none", &r));
    CHECK(r.n == 0 && r.net == 1 && !r.fs && !r.scoped);
    landlock_rules_clear(&r);
    CHECK_OK(landlock_rules_read("unconfined", &r));
    CHECK(!r.n && !r.fs && !r.net && !r.scoped);
}

TEST(a_word_that_is_none_is_refused)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "ro:usr", "landlock: ro: 'usr' is not an absolute path" },
        { "bind:65536", "landlock: bind: '65536' is out of range: 0 to 65535" },
        { "connect:x", "landlock: connect: 'x' is not a number" },
        { "scope:moon", "landlock: scope: 'moon' is none of signal and abstract" },
        { "ro:/a,unconfined", "landlock: 'unconfined' is none of ro:PATH, rw:PATH, exec:PATH, bind:PORT, connect:PORT, "
                              "scope:signal, scope:abstract" },
        { "", "landlock: no rules: 'unconfined' asks for none" },
        { "ro", "landlock: 'ro' is none of ro:PATH, rw:PATH, exec:PATH, bind:PORT, connect:PORT, scope:signal, "
                "scope:abstract" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own(landlock_rules) struct landlock_rules r = { 0 };
        CHECK_SAYS(landlock_rules_read(rows[i].text, &r), rows[i].message);
    }
}
