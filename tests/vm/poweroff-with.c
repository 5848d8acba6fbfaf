// SPDX-License-Identifier: GPL-2.0-or-later
/* End the test machine through QEMU's isa-debug-exit port. */
#include <sys/io.h>
#include <sys/reboot.h>
#include <unistd.h>

int main(void)
{
    sync();
    if (iopl(3) == 0)
        outb(0, 0xf4);
    reboot(RB_POWER_OFF);
    return 1;
}
