// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "network/acl.h"

static err *text_of(const char *words, char **ret)
{
    own_strv struct strv l = { 0 };
    strv_split(&l, words, '|');
    return acl_rule_text(&l, ret);
}

TEST(a_rule_has_one_form_whatever_the_order_of_its_words)
{
    static const char *const rows[][2] = {
        { "to=db|from=web", "from=web to=db" },
        { "port=80,53/udp,icmp|from=*|to=label=tier", "from=* to=label=tier port=80,53/udp,icmp" },
        { "from=label=a=x y|to=b|port=8000-8010/sctp", "from=label=a=x y to=b port=8000-8010/sctp" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_mem char *text = NULL;
        own(acl) struct acl a = { 0 };
        CHECK_OK(text_of(rows[i][0], &text));
        assert_string_equal(text, rows[i][1]);
        struct strv one = { &text, 1 };
        CHECK_OK(acl_read(&one, &a));
        assert_int_equal(a.n, 1);
    }
}

TEST(what_is_no_rule_is_refused)
{
    static const char *const wrong[] = { "",
                                         "from=a",
                                         "to=b",
                                         "from=a|to=b|port=",
                                         "from=a|to=b|port=0",
                                         "from=a|to=b|port=9-8",
                                         "from=a|to=b|port=65536",
                                         "from=a|to=b|port=80/icmp",
                                         "from=a|to=b|port=80/",
                                         "from=a|to=b|port=/tcp",
                                         "from=a|to=b|port=http",
                                         "from=a|from=c|to=b",
                                         "from=a*|to=b",
                                         "from=label=|to=b",
                                         "from=label==x|to=b",
                                         "from=a|to=b|also=c" };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own_mem char *text = NULL;
        own(err) err *e = text_of(wrong[i], &text);
        if (!err_is(e, ERR_INVALID))
            fail_msg("'%s' was taken", wrong[i]);
    }
}

TEST(an_identity_is_of_its_network_its_rules_and_who_it_is)
{
    static const char network[] = "0123456789abcdef", other[] = "fedcba9876543210";
    own_strv struct strv rules = { 0 }, names = { 0 }, strangers = { 0 };
    own(acl) struct acl a = { 0 }, b = { 0 };
    const struct strmap none = { 0 };
    strv_add(&rules, "from=web to=db port=80");
    strv_add(&names, "WEB");
    strv_add(&strangers, "x");
    CHECK_OK(acl_read(&rules, &a));
    struct acl_identity web = acl_identity(&a, network, &names, &none);
    struct acl_identity x = acl_identity(&a, network, &strangers, &none);
    assert_true(acl_is_of(&web, network));
    assert_false(acl_is_of(&web, other));
    assert_memory_not_equal(&web, &x, sizeof web);
    strv_add(&rules, "from=web to=db port=81");
    CHECK_OK(acl_read(&rules, &b));
    struct acl_identity later = acl_identity(&b, network, &names, &none);
    assert_memory_not_equal(&web, &later, sizeof web);
}

TEST(a_network_speaks_of_so_many_names_as_an_identity_has_bits)
{
    own_strv struct strv rules = { 0 };
    own(acl) struct acl a = { 0 }, b = { 0 };
    for (int i = 0; i < ACL_BITS; i++)
        strv_add_take(&rules, mem_printf("from=n%d to=n0", i));
    CHECK_OK(acl_read(&rules, &a));
    assert_int_equal(a.whos_n, ACL_BITS);
    strv_add(&rules, "from=more to=n0");
    own(err) err *e = acl_read(&rules, &b);
    assert_true(err_is(e, ERR_INVALID));
}

static int by_mark(const void *a, const void *b)
{
    uint32_t x = firewall_mark(((const struct acl_identity *)a)->bytes);
    uint32_t y = firewall_mark(((const struct acl_identity *)b)->bytes);
    return x < y ? -1 : x > y;
}

/* Among half a million there are some thirty such pairs. */
TEST(two_identities_of_one_number_are_refused)
{
    enum { MANY = 1 << 19 };
    own_mem struct acl_identity *all = mem_array(NULL, MANY, sizeof *all);
    struct acl_identity same[2] = { { { 1 } }, { { 1 } } };
    size_t found = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        uint64_t mask = i * UINT64_C(0x9e3779b97f4a7c15);
        all[i] = (struct acl_identity){ { 0 } };
        memcpy(all[i].bytes + FIREWALL_IDENTITY - sizeof mask, &mask, sizeof mask);
    }
    CHECK_OK(acl_distinct(all, 100));
    CHECK_OK(acl_distinct(same, 2));
    qsort(all, MANY, sizeof *all, by_mark);
    while (found + 1 < MANY && by_mark(&all[found], &all[found + 1]))
        found++;
    assert_true(found + 1 < MANY);
    own(err) err *e = acl_distinct(&all[found], 2);
    assert_true(err_is(e, ERR_CONFLICT));
}
