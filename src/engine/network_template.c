// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_template.h"

#include <stddef.h>
#include <string.h>

enum kind { LIST, TEXT, FLAG };
/* BESIDE: may be said, too, when a network is made of a configuration. */
enum who { TEMPLATE_ALONE, BESIDE };

#define LIST_KEY(word, field, who)                                                                                     \
    {                                                                                                                  \
        word, LIST, who, offsetof(struct network_options, field)                                                       \
    }
#define TEXT_KEY(word, field, who)                                                                                     \
    {                                                                                                                  \
        word, TEXT, who, offsetof(struct network_options, field)                                                       \
    }
#define FLAG_KEY(word, field, who)                                                                                     \
    {                                                                                                                  \
        word, FLAG, who, offsetof(struct network_options, field)                                                       \
    }
static const struct key {
    const char *word; /* of the option, too */
    enum kind kind;
    enum who who;
    size_t at;
} keys[] = {
    LIST_KEY("subnet", subnet, TEMPLATE_ALONE),
    LIST_KEY("gateway", gateway, TEMPLATE_ALONE),
    LIST_KEY("ip-range", range, TEMPLATE_ALONE),
    LIST_KEY("aux-address", aux_address, TEMPLATE_ALONE),
    LIST_KEY("opt", opt, TEMPLATE_ALONE),
    LIST_KEY("label", label, BESIDE),
    LIST_KEY("dns", dns, TEMPLATE_ALONE),
    LIST_KEY("route", route, TEMPLATE_ALONE),
    TEXT_KEY("driver", driver, BESIDE),
    TEXT_KEY("ipam-driver", ipam_driver, TEMPLATE_ALONE),
    TEXT_KEY("interface-name", interface_name, TEMPLATE_ALONE),
    TEXT_KEY("policy", policy, BESIDE),
    FLAG_KEY("ipv6", ipv6, TEMPLATE_ALONE),
    FLAG_KEY("ipv4=false", ipv4_off, TEMPLATE_ALONE),
    FLAG_KEY("disable-dns", disable_dns, TEMPLATE_ALONE),
    FLAG_KEY("internal", internal, BESIDE),
    FLAG_KEY("flows", flows, BESIDE),
};

static void *field(struct network_options *o, const struct key *k)
{
    return (char *)o + k->at;
}

static const void *field_of(const struct network_options *o, const struct key *k)
{
    return (const char *)o + k->at;
}

void network_template_write(const struct network_options *o, struct strv *ret_words)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const struct strv *list = field_of(o, &keys[i]);
        const char *const *text = field_of(o, &keys[i]);
        const bool *flag = field_of(o, &keys[i]);
        for (size_t j = 0; keys[i].kind == LIST && j < list->n; j++)
            strv_add_printf(ret_words, "%s=%s", keys[i].word, list->items[j]);
        if (keys[i].kind == TEXT && *text)
            strv_add_printf(ret_words, "%s=%s", keys[i].word, *text);
        if (keys[i].kind == FLAG && *flag)
            strv_add(ret_words, keys[i].word);
    }
}

static bool is_said(const struct network_options *o, const struct key *k)
{
    switch (k->kind) {
    case LIST:
        return ((const struct strv *)field_of(o, k))->n > 0;
    case TEXT:
        return *(const char *const *)field_of(o, k) != NULL;
    case FLAG:
        return *(const bool *)field_of(o, k);
    }
    return false;
}

static void read_word(const char *word, struct network_options *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const size_t n = strlen(keys[i].word);
        if (!str_starts(word, keys[i].word) || (keys[i].kind == FLAG ? word[n] != '\0' : word[n] != '='))
            continue;
        if (keys[i].kind == LIST)
            strv_add(field(ret, &keys[i]), word + n + 1);
        else if (keys[i].kind == FLAG)
            *(bool *)field(ret, &keys[i]) = true;
        else if (!is_said(ret, &keys[i]))
            *(const char **)field(ret, &keys[i]) = word + n + 1;
        return;
    }
}

fallible network_template_read(const struct strv *words, const struct network_options *beside,
                               struct network_options *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].who == TEMPLATE_ALONE && is_said(beside, &keys[i]))
            return err_new(ERR_INVALID, "--config-from: the configuration says what the network is: leave out --%s",
                           keys[i].word);
    struct network_options all = *beside;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].kind == LIST) {
            const struct strv *list = field_of(beside, &keys[i]);
            struct strv *copy = field(&all, &keys[i]);
            *copy = (struct strv){ 0 };
            strv_copy(copy, list->items, list->n);
        }
    for (size_t i = 0; i < words->n; i++)
        read_word(words->items[i], &all);
    *ret = all;
    return NULL;
}

void network_template_clear(struct network_options *o)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].kind == LIST)
            strv_free(field(o, &keys[i]));
}
