// SPDX-License-Identifier: GPL-2.0-or-later
/* What nft.h writes, read by libnftnl: another hand's idea of the same messages. */
#include "test.h"

#include <endian.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "network/nft.h"

/* The only message of a batch that has this type. */
static const struct nlmsghdr *message_of(struct nft *n, int message)
{
    size_t len = 0;
    const char *bytes = nft_bytes(n, &len);
    const struct nlmsghdr *found = NULL;
    for (size_t at = 0; at < len;) {
        const struct nlmsghdr *m = (const void *)(bytes + at);
        assert_true(m->nlmsg_len >= sizeof *m && m->nlmsg_len <= len - at);
        if (m->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | message)) {
            assert_null(found);
            found = m;
        }
        at += NLMSG_ALIGN(m->nlmsg_len);
    }
    assert_non_null(found);
    return found;
}

static void squeeze(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++)
        if (!(*from == ' ' && (to == text || to[-1] == ' ')) && *from != '\n')
            *to++ = *from;
    while (to > text && to[-1] == ' ')
        to--;
    *to = '\0';
}

static void expect_rule(struct nft *n, const char *wanted)
{
    char text[4096];
    struct nftnl_rule *r = nftnl_rule_alloc();
    nft_rule_end(n);
    assert_int_equal(nftnl_rule_nlmsg_parse(message_of(n, NFT_MSG_NEWRULE), r), 0);
    assert_string_equal(nftnl_rule_get_str(r, NFTNL_RULE_TABLE), "t");
    assert_string_equal(nftnl_rule_get_str(r, NFTNL_RULE_CHAIN), "c");
    assert_true(nftnl_rule_snprintf(text, sizeof text, r, NFTNL_OUTPUT_DEFAULT, 0) > 0);
    squeeze(text);
    const char *at = strchr(text, '['); /* behind family, table, chain and handle */
    assert_non_null(at);
    assert_string_equal(at, wanted);
    nftnl_rule_free(r);
    nft_clear(n);
}

static struct nft rule(void)
{
    struct nft n;
    nft_begin(&n, "t", 0);
    nft_rule_begin(&n, "c");
    return n;
}

TEST(a_rule_of_each_expression_is_what_libnftnl_reads)
{
    struct nft n = rule();
    nft_meta(&n, NFT_META_IIFNAME, NFT_R0);
    nft_compare(&n, NFT_UNEQUAL, NFT_R0, "\1\2\3\4", 4);
    nft_verdict(&n, NF_DROP);
    expect_rule(&n, "[ meta load iifname => reg 8 ] [ cmp neq reg 8 0x04030201 ] [ immediate reg 0 drop ]");

    n = rule();
    nft_payload(&n, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_R0 + 1);
    nft_lookup(&n, "nets4", NFT_R0 + 1, 0);
    nft_unless(&n, "same4", NFT_R0 + 1);
    nft_masquerade(&n);
    expect_rule(&n, "[ payload load 4b @ network header + 12 => reg 9 ] [ lookup reg 9 set nets4 ] "
                    "[ lookup reg 9 set same4 0x1 ] [ masq ]");

    n = rule();
    nft_payload_write(&n, NFT_PAYLOAD_TRANSPORT_HEADER, 12, 2, NFT_R0, 16);
    expect_rule(&n, "[ payload write reg 8 => 2b @ transport header + 12 csum_type 1 csum_off 16 csum_flags 0x0 ]");

    n = rule();
    nft_ct(&n, NFT_CT_STATE, NFT_R0);
    nft_bits(&n, NFT_R0, 1 << (IP_CT_ESTABLISHED + 1));
    nft_compare(&n, NFT_UNEQUAL, NFT_R0, &(uint32_t){ 0 }, 4);
    nft_verdict(&n, NF_ACCEPT);
    expect_rule(&n, "[ ct load state => reg 8 ] [ bitwise reg 8 = ( reg 8 & 0x00000002 ) ^ 0x00000000 ] "
                    "[ cmp neq reg 8 0x00000000 ] [ immediate reg 0 accept ]");

    n = rule();
    nft_lookup(&n, "ports4", NFT_R0, NFT_R0 + 2);
    nft_dnat(&n, NFPROTO_IPV4, NFT_R0 + 2, NFT_R0 + 3);
    expect_rule(&n, "[ lookup reg 8 set ports4 dreg 10 ] "
                    "[ nat dnat ip addr_min reg 10 proto_min reg 11 ]");

    n = rule();
    nft_number(&n, NFT_R0, 7);
    nft_set_mark(&n, NFT_MARK_OF_PACKET, NFT_R0);
    nft_set_mark(&n, NFT_MARK_OF_CONNECTION, NFT_R0);
    nft_goto(&n, "refused");
    expect_rule(&n, "[ immediate reg 8 0x00000007 ] [ meta set mark with reg 8 ] [ ct set mark with reg 8 ] "
                    "[ immediate reg 0 goto -> refused ]");

    n = rule();
    nft_address_type(&n, NFT_R0);
    nft_transparent(&n, NFT_R0 + 1);
    nft_reject(&n);
    expect_rule(&n, "[ fib daddr type => reg 8 ] [ socket load transparent => reg 9 ] [ reject type 2 code 3 ]");

    n = rule();
    nft_reset(&n);
    nft_jump(&n, "dropped");
    expect_rule(&n, "[ reject type 1 code 0 ] [ immediate reg 0 jump -> dropped ]");
}

TEST(a_chain_says_its_hook_and_one_without_says_none)
{
    struct nft n;
    nft_begin(&n, "t", 0);
    nft_add_chain(&n, &(struct nft_chain){ "post", "nat", NF_INET_POST_ROUTING, 100 });
    struct nftnl_chain *c = nftnl_chain_alloc();
    assert_int_equal(nftnl_chain_nlmsg_parse(message_of(&n, NFT_MSG_NEWCHAIN), c), 0);
    assert_string_equal(nftnl_chain_get_str(c, NFTNL_CHAIN_NAME), "post");
    assert_string_equal(nftnl_chain_get_str(c, NFTNL_CHAIN_TYPE), "nat");
    assert_int_equal(nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM), NF_INET_POST_ROUTING);
    assert_int_equal(nftnl_chain_get_s32(c, NFTNL_CHAIN_PRIO), 100);
    assert_int_equal(nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY), NF_ACCEPT);
    nftnl_chain_free(c);
    nft_clear(&n);

    nft_begin(&n, "t", 0);
    nft_add_chain(&n, &(struct nft_chain){ "refused", NULL, 0, 0 });
    c = nftnl_chain_alloc();
    assert_int_equal(nftnl_chain_nlmsg_parse(message_of(&n, NFT_MSG_NEWCHAIN), c), 0);
    assert_false(nftnl_chain_is_set(c, NFTNL_CHAIN_HOOKNUM));
    nftnl_chain_free(c);
    nft_clear(&n);
}

TEST(a_set_says_its_key_its_data_and_its_flags)
{
    static const struct {
        struct nft_set set;
        uint32_t flags, key_type, key_len, data_len;
    } rows[] = {
        { { .name = "b", .key = { NFT_TYPE_IFNAME } }, 0, NFT_TYPE_IFNAME, 16, 0 },
        { { .name = "n", .key = { NFT_TYPE_IP4 }, .interval = true }, NFT_SET_INTERVAL, NFT_TYPE_IP4, 4, 0 },
        { { .name = "r", .key = { NFT_TYPE_IP6, NFT_TYPE_IP6, NFT_TYPE_PORT }, .interval = true, .timeout = true },
          NFT_SET_INTERVAL | NFT_SET_TIMEOUT | NFT_SET_CONCAT,
          (NFT_TYPE_IP6 << 12) | (NFT_TYPE_IP6 << 6) | NFT_TYPE_PORT,
          36,
          0 },
        { { .name = "p", .key = { NFT_TYPE_PROTO, NFT_TYPE_PORT }, .data = { NFT_TYPE_IP4, NFT_TYPE_PORT } },
          NFT_SET_MAP,
          (NFT_TYPE_PROTO << 6) | NFT_TYPE_PORT,
          8,
          8 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct nft n;
        struct nftnl_set *s = nftnl_set_alloc();
        nft_begin(&n, "t", 0);
        nft_add_set(&n, &rows[i].set);
        assert_int_equal(nftnl_set_nlmsg_parse(message_of(&n, NFT_MSG_NEWSET), s), 0);
        assert_string_equal(nftnl_set_get_str(s, NFTNL_SET_NAME), rows[i].set.name);
        assert_int_equal(nftnl_set_get_u32(s, NFTNL_SET_FLAGS), rows[i].flags);
        assert_int_equal(nftnl_set_get_u32(s, NFTNL_SET_KEY_TYPE), rows[i].key_type);
        assert_int_equal(nftnl_set_get_u32(s, NFTNL_SET_KEY_LEN), rows[i].key_len);
        if (rows[i].data_len)
            assert_int_equal(nftnl_set_get_u32(s, NFTNL_SET_DATA_LEN), rows[i].data_len);
        nftnl_set_free(s);
        nft_clear(&n);
    }
}

static struct nftnl_set_elem *first_of(struct nftnl_set *s)
{
    struct nftnl_set_elems_iter *all = nftnl_set_elems_iter_create(s);
    struct nftnl_set_elem *e = nftnl_set_elems_iter_next(all);
    nftnl_set_elems_iter_destroy(all);
    assert_non_null(e);
    return e;
}

TEST(an_element_has_its_key_its_end_its_data_and_its_time)
{
    struct nft n;
    uint32_t len = 0;
    struct nftnl_set *s = nftnl_set_alloc();
    nft_begin(&n, "t", 0);
    nft_element(
        &n, NFT_ADD, "reach4",
        &(struct nft_element){
            .key = "abcdefgh", .end = "abcdefgz", .key_len = 8, .data = "DATA", .data_len = 4, .timeout_ms = 1500 });
    assert_int_equal(nftnl_set_elems_nlmsg_parse(message_of(&n, NFT_MSG_NEWSETELEM), s), 0);
    assert_string_equal(nftnl_set_get_str(s, NFTNL_SET_NAME), "reach4");
    struct nftnl_set_elem *e = first_of(s);
    const void *bytes = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);
    assert_int_equal(len, 8);
    assert_memory_equal(bytes, "abcdefgh", 8);
    bytes = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY_END, &len);
    assert_int_equal(len, 8);
    assert_memory_equal(bytes, "abcdefgz", 8);
    bytes = nftnl_set_elem_get(e, NFTNL_SET_ELEM_DATA, &len);
    assert_int_equal(len, 4);
    assert_memory_equal(bytes, "DATA", 4);
    assert_int_equal(nftnl_set_elem_get_u64(e, NFTNL_SET_ELEM_TIMEOUT), 1500);
    nftnl_set_free(s);
    nft_clear(&n);

    s = nftnl_set_alloc();
    nft_begin(&n, "t", 0);
    nft_element(&n, NFT_DELETE, "bridges", &(struct nft_element){ .key = "husk0", .key_len = 5 });
    assert_int_equal(nftnl_set_elems_nlmsg_parse(message_of(&n, NFT_MSG_DELSETELEM), s), 0);
    bytes = nftnl_set_elem_get(first_of(s), NFTNL_SET_ELEM_KEY, &len);
    assert_int_equal(len, 5);
    assert_memory_equal(bytes, "husk0", 5);
    nftnl_set_free(s);
    nft_clear(&n);
}
