// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/terminal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "monitor/monitor.h"
#include "os/linux.h"

/* File-scope because signal handlers get no other argument. Written while the signals are blocked. */
static struct {
    struct terminal now;
    int raw_fd, size_fd; /* -1: none */
    struct termios saved, raw;
    sigset_t caught;
    struct sigaction before[65];
} state = { .raw_fd = -1, .size_fd = -1 };

/* Those that a handler must not take: they mean this process, or cannot be caught. */
static bool is_ours(int signal)
{
    static const int ours[] = { SIGKILL,  SIGSTOP, SIGCHLD, SIGPIPE, SIGURG, SIGTTIN, SIGTTOU, SIGTSTP, SIGCONT,
                                SIGWINCH, SIGSEGV, SIGBUS,  SIGFPE,  SIGILL, SIGTRAP, SIGABRT, SIGSYS };
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (signal == ours[i])
            return true;
    return signal == 32 || signal == 33; /* the C library's own */
}

static bool ends_by_default(int signal)
{
    static const int ending[] = { SIGHUP,  SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE,
                                  SIGSEGV, SIGBUS, SIGFPE,  SIGILL,  SIGTRAP, SIGABRT, SIGSYS };
    for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
        if (signal == ending[i])
            return true;
    return false;
}

/* A background process that puts its terminal back would be stopped by SIGTTOU. */
static void set_terminal(const struct termios *mode)
{
    sigset_t ttou, before;
    if (state.raw_fd < 0)
        return;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    (void)sigprocmask(SIG_BLOCK, &ttou, &before);
    (void)tcsetattr(state.raw_fd, TCSADRAIN, mode);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

static void send_size(void)
{
    struct winsize size;
    char frame[5] = { MONITOR_RESIZE };
    if (state.size_fd < 0 || ioctl(state.size_fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
        return;
    if (state.now.master_fd >= 0)
        (void)ioctl(state.now.master_fd, TIOCSWINSZ, &size);
    if (state.now.sock < 0)
        return;
    uint16_t cells[2] = { size.ws_row, size.ws_col };
    memcpy(frame + 1, cells, sizeof cells);
    (void)send(state.now.sock, frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void proxy(int signal)
{
    char frame[5] = { MONITOR_SIGNAL };
    uint32_t number = (uint32_t)signal;
    int errnum = errno;
    memcpy(frame + 1, &number, sizeof number);
    if (state.now.pidfd >= 0)
        (void)pidfd_send_signal(state.now.pidfd, signal, NULL, 0);
    else if (state.now.sock >= 0)
        (void)send(state.now.sock, frame, sizeof frame, MSG_NOSIGNAL | MSG_DONTWAIT);
    errno = errnum;
}

static void die_of(int signal_)
{
    set_terminal(&state.saved);
    (void)signal(signal_, SIG_DFL); /* blocked until the handler returns: then it ends us, with the right status */
    (void)raise(signal_);
}

static void stop(int unused)
{
    int errnum = errno;
    set_terminal(&state.saved);
    (void)raise(SIGSTOP);
    errno = errnum;
}

static void come_back(int unused)
{
    int errnum = errno;
    set_terminal(&state.raw);
    send_size();
    errno = errnum;
}

static void resized(int unused)
{
    int errnum = errno;
    send_size();
    errno = errnum;
}

static void catch (int signal, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    sigfillset(&action.sa_mask);
    if (sigaddset(&state.caught, signal) == 0 && sigaction(signal, &action, &state.before[signal]) == 0)
        return;
    (void)sigdelset(&state.caught, signal);
}

/* What is ignored stays so, as nohup(1) wants it. To set and to look in one is half the calls. */
static void catch_unless_ignored(int signal, void (*handler)(int))
{
    catch (signal, handler);
    if (!sigismember(&state.caught, signal) || state.before[signal].sa_handler != SIG_IGN)
        return;
    (void)sigdelset(&state.caught, signal);
    (void)sigaction(signal, &state.before[signal], NULL);
}

static void catch_all(void)
{
    for (int s = 1; s < 65; s++) {
        if (state.now.sig_proxy && !is_ours(s))
            catch_unless_ignored(s, proxy);
        else if (state.raw_fd >= 0 && ends_by_default(s))
            catch_unless_ignored(s, die_of);
    }
    if (state.raw_fd >= 0) {
        catch (SIGTSTP, stop);
        catch (SIGCONT, come_back);
    }
    if (state.size_fd >= 0)
        catch (SIGWINCH, resized);
}

fallible terminal_begin(const struct terminal *t)
{
    state.now = *t;
    sigemptyset(&state.caught);
    state.raw_fd = state.size_fd = -1;
    if (t->sizes)
        state.size_fd = isatty(0) ? 0 : isatty(1) ? 1 : isatty(2) ? 2 : -1;
    if (t->raw && isatty(0)) {
        if (tcgetattr(0, &state.saved) < 0)
            return err_sys(errno, "read the terminal's settings");
        state.raw = state.saved;
        cfmakeraw(&state.raw);
        state.raw_fd = 0;
    }
    catch_all(); /* before the change, so that no signal finds the terminal raw and us dead */
    if (state.raw_fd >= 0 && tcsetattr(state.raw_fd, TCSADRAIN, &state.raw) < 0) {
        err *e = err_sys(errno, "set the terminal to raw");
        terminal_end();
        return e;
    }
    send_size();
    return NULL;
}

void terminal_end(void)
{
    set_terminal(&state.saved);
    for (int s = 1; s < 65; s++)
        if (sigismember(&state.caught, s) == 1)
            (void)sigaction(s, &state.before[s], NULL);
    state.raw_fd = state.size_fd = -1;
    state.now = (struct terminal){ .sock = -1, .master_fd = -1, .pidfd = -1 };
    sigemptyset(&state.caught);
}
