// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/names.h"

#include <stdint.h>
#include <sys/random.h>
#include <sys/types.h>

#include "base/mem.h"

static const char *const adjectives[] = {
    "agile",   "amber",    "ample",  "ardent", "autumn",   "bold",   "brave",  "brief",   "bright", "brisk",
    "calm",    "candid",   "cedar",  "clear",  "clever",   "coral",  "cosmic", "crisp",   "daring", "deft",
    "dewy",    "dusky",    "eager",  "early",  "earnest",  "elated", "fair",   "fleet",   "fluent", "fond",
    "frank",   "fresh",    "gentle", "gifted", "glad",     "golden", "grand",  "hardy",   "hearty", "honest",
    "humble",  "ivory",    "jolly",  "jovial", "keen",     "kind",   "lively", "loyal",   "lucid",  "lucky",
    "lunar",   "mellow",   "merry",  "mild",   "mirthful", "modest", "mossy",  "neat",    "nimble", "noble",
    "patient", "plucky",   "polite", "proud",  "prudent",  "quaint", "quick",  "quiet",   "rapid",  "ready",
    "rosy",    "sandy",    "serene", "sharp",  "silent",   "silver", "simple", "sincere", "sleek",  "smooth",
    "snowy",   "solar",    "solid",  "spry",   "steady",   "stoic",  "sturdy", "sunny",   "swift",  "tender",
    "tidy",    "tranquil", "upbeat", "vivid",  "warm",     "wise",
};
static const char *const nouns[] = {
    "acorn",   "almond", "anchor", "apricot", "aspen",   "badger",  "barley",   "basil",  "beacon",  "beech",
    "birch",   "bison",  "brook",  "canyon",  "cashew",  "cherry",  "chestnut", "cliff",  "clover",  "cocoon",
    "comet",   "copper", "corn",   "cove",    "crane",   "dune",    "ember",    "falcon", "fern",    "fig",
    "finch",   "fjord",  "forest", "garnet",  "geyser",  "glacier", "grove",    "harbor", "hazel",   "heron",
    "hickory", "hull",   "island", "kernel",  "kestrel", "lagoon",  "lantern",  "larch",  "lark",    "lentil",
    "linden",  "lotus",  "maple",  "marten",  "meadow",  "millet",  "mulberry", "nutmeg", "oak",     "oat",
    "olive",   "opal",   "otter",  "oyster",  "pebble",  "pecan",   "petal",    "pine",   "pinon",   "plum",
    "pod",     "pollen", "poppy",  "quail",   "quartz",  "raven",   "reed",     "ridge",  "river",   "rowan",
    "saffron", "sage",   "seed",   "sesame",  "shell",   "sparrow", "spruce",   "summit", "thistle", "tulip",
    "valley",  "walnut", "wheat",  "willow",  "wren",    "yew",
};

char *names_random(int attempt)
{
    uint32_t random[3] = { 0 };
    ssize_t n = getrandom(random, sizeof random, 0);
    (void)n; /* without randomness the name is a fixed one, and the next attempt adds a number */
    const char *a = adjectives[random[0] % ARRAY_SIZE(adjectives)], *b = nouns[random[1] % ARRAY_SIZE(nouns)];
    return attempt ? mem_printf("%s_%s%u", a, b, random[2] % 1000 + (unsigned)attempt) : mem_printf("%s_%s", a, b);
}
