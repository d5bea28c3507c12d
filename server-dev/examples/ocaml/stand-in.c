/* What bin/main.ml does, for machines without OCaml. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t is_over;
static void end(int signal) { (void)signal; is_over = 1; }

int main(void) {
    struct sigaction action = {.sa_handler = end};
    sigset_t term, none;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    /* So that it is only taken while nothing is answered. */
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (!is_over) {
        struct pollfd listener = {.fd = 3, .events = POLLIN};
        if (ppoll(&listener, 1, NULL, &none) < 1) continue;
        /* The process that is replaced accepts from the same queue. */
        int connection = accept4(3, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0) continue;
        char request[4096], text[4096];
        if (read(connection, request, sizeof request) > 0) {
            int length = snprintf(text, sizeof text,
                "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n%s",
                strlen(GREETING), GREETING);
            if (write(connection, text, length) != length) perror("write");
        }
        close(connection);
    }
    return 0;
}
