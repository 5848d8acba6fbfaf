// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/events.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "codec/bind.h"
#include "os/fs.h"
#include "test.h"

static char dir[64];

static const char *fresh_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/husk-events-XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    return dir;
}

static void drop_dir(void)
{
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
}

TEST(an_event_is_dockers_message)
{
    own(events) struct events *e = NULL;
    own_json json_t *doc = NULL;
    const char *line = NULL;
    event_say(fresh_dir(), "container", "die", "abc", "exitCode", "3", "name", "a\"b\n\xc3\xa9\xff", "none", NULL,
              NULL);
    CHECK_OK(events_open(dir, EVENTS_SO_FAR, &e));
    CHECK_OK(events_next(e, -1, &line));
    CHECK(line != NULL);
    CHECK_OK(json_parse("event", line, strlen(line), &doc));
    const json_t *actor = json_object_get(doc, "Actor"), *attributes = json_object_get(actor, "Attributes");
    assert_string_equal(json_string_value(json_object_get(doc, "Type")), "container");
    assert_string_equal(json_string_value(json_object_get(doc, "Action")), "die");
    assert_string_equal(json_string_value(json_object_get(actor, "ID")), "abc");
    assert_string_equal(json_string_value(json_object_get(attributes, "exitCode")), "3");
    assert_string_equal(json_string_value(json_object_get(attributes, "name")), "a\"b\n\xc3\xa9\xef\xbf\xbd");
    CHECK(json_object_get(attributes, "none") == NULL);
    CHECK(json_integer_value(json_object_get(doc, "timeNano")) / 1000000000 ==
          json_integer_value(json_object_get(doc, "time")));
    CHECK_OK(events_next(e, -1, &line));
    CHECK(line == NULL);
    drop_dir();
}

TEST(a_line_that_would_be_too_long_loses_its_last_values)
{
    own(events) struct events *e = NULL;
    own_json json_t *doc = NULL;
    const char *line = NULL;
    char large[EVENT_MAX + 1];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    event_say(fresh_dir(), "container", "create", "abc", "name", "short", "label", large, NULL);
    CHECK_OK(events_open(dir, EVENTS_SO_FAR, &e));
    CHECK_OK(events_next(e, -1, &line));
    CHECK(line && strlen(line) < EVENT_MAX);
    CHECK_OK(json_parse("event", line, strlen(line), &doc));
    CHECK(strstr(line, "\"short\"") && !strstr(line, "\"label\""));
    drop_dir();
}

enum { WRITERS = 4, EACH = 6000 };

/* More than one file holds, by several at once, while it is followed from the beginning: none is lost or torn. */
TEST(followers_see_every_event_across_rotations)
{
    own(events) struct events *e = NULL;
    const char *line = NULL;
    char id[32];
    struct stat st;
    int next[WRITERS] = { 0 };
    CHECK_OK(events_open(fresh_dir(), EVENTS_FOLLOW, &e));
    CHECK_OK(events_next(e, 0, &line));
    CHECK(line == NULL);
    int turn[2];
    CHECK(pipe2(turn, O_CLOEXEC) == 0);
    for (int w = 0; w < WRITERS; w++)
        if (fork() == 0) {
            for (int i = 0; i < EACH; i++) { /* a slow follower may miss a whole file: they wait for it */
                char c;
                if (i % 1000 == 0 && read(turn[0], &c, 1) != 1)
                    _exit(1);
                snprintf(id, sizeof id, "%d/%d", w, i);
                event_say(dir, "container", "start", id, "name", "some-name-that-is-long-enough", NULL);
            }
            _exit(0);
        }
    for (int n = 0; n < WRITERS * EACH; n++) {
        int w = -1, i = -1;
        if (n % (WRITERS * 1000) == 0)
            CHECK(write(turn[1], "0000", WRITERS) == WRITERS);
        CHECK_OK(events_next(e, 30000, &line));
        CHECK(line && sscanf(strstr(line, "\"ID\":\"") + 6, "%d/%d", &w, &i) == 2);
        CHECK(w >= 0 && w < WRITERS && i == next[w]);
        next[w]++;
    }
    for (int w = 0; w < WRITERS; w++)
        CHECK(wait(NULL) > 0);
    own_mem char *old = mem_printf("%s/events.1", dir);
    CHECK(stat(old, &st) == 0 && st.st_size >= EVENTS_FILE_MAX && st.st_size < 2 * EVENTS_FILE_MAX);
    drop_dir();
}
