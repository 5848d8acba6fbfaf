/*
 * retry.h: when a request is worth another try, and how long to wait before it: doubled each time, and by chance up to
 * a half more or less, so that many who were sent away do not come back at once; or what the server asks for. Source:
 * RFC 9110, 10.2.3 (Retry-After).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_RETRY_H
#define HUSK_IMAGE_RETRY_H

#include "image/http.h"

/* Where nothing else was asked for. */
enum { RETRY_ATTEMPTS = 5, RETRY_FIRST_MS = 200 };

/* Is it a "not now": 408, 429, 5xx? false: there is no answer. */
bool retry_is_worth(const struct http_answer *a);
/* Seconds that its Retry-After names, or until the time that it names; -1: there is none, or no answer. */
int64_t retry_asked_s(const struct http_answer *a);
/**
 * retry_wait - sleep before the next attempt.
 * @first_ms: before the second attempt, unless the answer asks for another time.
 * @attempt: that has failed, from 1.
 * @a: its answer, or NULL.
 * false: the server asks for more than is worth waiting for; it has not slept.
 */
bool retry_wait(int64_t first_ms, int attempt, const struct http_answer *a);

#endif
