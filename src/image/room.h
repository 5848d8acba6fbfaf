/*
 * room.h: <store>/room, half a megabyte that only a removal may have. On a full disk a removal needs a few blocks (a
 * row of husk.db, a new index.json) before it frees many; without them nobody could make room. It is made with the
 * store and by whoever adds images, while there is plenty, and let go of by the first removal that fails for want of
 * it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_ROOM_H
#define HUSK_IMAGE_ROOM_H

#include "base/err.h"

/* Makes it when it is missing, and the disk has far more than that, and the file system can promise blocks. */
void room_keep(int store_fd);
/* Is *e that the disk is full, and was there a room to give? Then *e is freed and NULL, and what failed is worth
 * another try: do e = act(); while (room_given(fd, &e)); */
bool room_given(int store_fd, err **e);

/* Where *take_e is that the disk is full or a quota used up: which store has no room, and what is free there now. Other
 * errors, and NULL, stay as they are. */
fallible room_say(const char *store, err *take_e);

#endif
