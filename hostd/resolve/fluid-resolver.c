/* SPDX-License-Identifier: MIT */

/* fluid-resolver: DNS for sandboxes that may reach some names only. */

#include "base/cleanup.h"
#include "base/confine.h"
#include "base/file.h"
#include "base/quantity.h"
#include "base/resolver-message.h"
#include "resolve/inquiry.h"
#include "resolve/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef FLUID_VERSION
#define FLUID_VERSION "0"
#endif

#define EXIT_USAGE 2

/* Lists of patterns are the most of it: 128 lists of 256 names. */
#define MEMORY_MAX (UINT64_C(128) << 20)
/* Each inquiry and each connection has a socket; and there are some more. */
#define DESCRIPTORS_MAX (INQUIRIES_MAX + CONNECTIONS_MAX + 64)

static const char usage[] =
        "Usage: fluid-resolver --listen ADDRESS:PORT\n"
        "\n"
        "Answers DNS questions of sandboxes whose network profile allows some names only, and tells\n"
        "fluid-hostd which addresses these names have. Its unit starts it for fluid-hostd, with a\n"
        "channel to that as descriptor 3; alone it is of no use.\n"
        "\n"
        "      --listen ADDRESS:PORT  where guests ask, IPv4; the address may come later. Where\n"
        "                             there are sockets for UDP and TCP as descriptors 4 and 5, which\n"
        "                             one before it opened there, these are taken\n"
        "      --help, --version\n"
        "\n"
        "Exit status: 0 fluid-hostd ended; 1 failed; 2 wrong usage.\n";

static void complain(const Fault *f)
{
        g_autofree char *line = g_strdup_printf("fluid-resolver: %s\n", f->message);

        (void) write_all(STDERR_FILENO, line, strlen(line));
}

static int parse_listen(const char *text, struct sockaddr_in *ret, Fault *f)
{
        const char *colon = strchr(text, ':');
        g_autofree char *host = g_strndup(text, colon ? (size_t) (colon - text) : 0);
        guint64 port = 0;

        ret->sin_family = AF_INET;
        if (!colon || inet_pton(AF_INET, host, &ret->sin_addr) != 1 ||
            !g_ascii_string_to_unsigned(colon + 1, 10, 1, UINT16_MAX, &port, NULL))
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "'%.100s' is not an address with a port, as 192.0.2.1:5353", text);
        ret->sin_port = htons((uint16_t) port);
        return 0;
}

static int parse_arguments(int argc, char **argv, struct sockaddr_in *ret, Fault *f)
{
        static const struct option long_options[] = {
                {"listen", required_argument, NULL, 'l'},
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, 'v'},
                {NULL, 0, NULL, 0},
        };
        int option;

        opterr = 0;
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
                if (option == '?')
                        return fault_set(f, FAULT_INVALID_ARGUMENT, "unknown option; see --help");
                if (option == 'l') {
                        int r = parse_listen(optarg, ret, f);
                        if (r < 0)
                                return r;
                        continue;
                }
                fputs(option == 'h' ? usage : "fluid-resolver " FLUID_VERSION "\n", stdout);
                exit(EXIT_SUCCESS);
        }
        if (optind != argc || ret->sin_family != AF_INET)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "give --listen and no arguments; see --help");
        return 0;
}

static int check_descriptor(int fd, int domain, int type, Fault *f)
{
        int value = 0;
        socklen_t size = sizeof value;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) < 0 || value != domain ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) < 0 || value != type)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "descriptor %d is not what fluid-hostd passes; see --help", fd);
        if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot set up descriptor %d", fd);
        return 0;
}

/* -- the sockets ---------------------------------------------------------------------------- */

/* As descriptor `number`. */
static int open_socket(const struct sockaddr_in *address, int type, int number, Fault *f)
{
        autofd fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int yes = 1;

        /* The bridge that has the address may come later, and go. */
        if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof yes) < 0 ||
            (type == SOCK_STREAM &&
             setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0) ||
            bind(fd, (const struct sockaddr *) address, sizeof *address) < 0 ||
            (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0))
                return fault_set_errno(
                        f, FAULT_IO, errno,
                        "cannot listen on port %u of %s for names that sandboxes ask for",
                        ntohs(address->sin_port), inet_ntoa(address->sin_addr));
        if (fd != number && dup3(fd, number, O_CLOEXEC) < 0)
                return fault_set_errno(f, FAULT_INTERNAL, errno, "cannot set up a socket");
        if (fd == number)
                (void) TAKE_FD(fd);
        return 0;
}

/* Those that outlive this program, with the daemon. */
static int open_sockets(const struct sockaddr_in *address, Fault *f)
{
        int r = open_socket(address, SOCK_DGRAM, RESOLVER_FD_UDP, f);

        if (r == 0)
                r = open_socket(address, SOCK_STREAM, RESOLVER_FD_TCP, f);
        if (r < 0)
                return r;
        r = resolver_message_send_sockets(RESOLVER_FD_CHANNEL, RESOLVER_FD_UDP, RESOLVER_FD_TCP);
        return r < 0 ? fault_set_errno(f, FAULT_IO, r, "cannot tell fluid-hostd of the sockets")
                     : 0;
}

static int run(const struct sockaddr_in *address, Fault *f)
{
        static const int keep[] = {RESOLVER_FD_CHANNEL, RESOLVER_FD_UDP, RESOLVER_FD_TCP};
        int r = check_descriptor(RESOLVER_FD_CHANNEL, AF_UNIX, SOCK_SEQPACKET, f);

        if (r == 0 && fcntl(RESOLVER_FD_UDP, F_GETFD) < 0)
                r = open_sockets(address, f);
        if (r == 0)
                r = check_descriptor(RESOLVER_FD_UDP, AF_INET, SOCK_DGRAM, f);
        if (r == 0)
                r = check_descriptor(RESOLVER_FD_TCP, AF_INET, SOCK_STREAM, f);
        if (r == 0)
                r = confine_limits(MEMORY_MAX, USEC_INFINITY, f);
        if (r == 0)
                r = confine_seal(keep, G_N_ELEMENTS(keep), DESCRIPTORS_MAX, f);
        if (r == 0)
                r = server_run(RESOLVER_FD_CHANNEL, RESOLVER_FD_UDP, RESOLVER_FD_TCP, f);
        return r;
}

int main(int argc, char **argv)
{
        Fault fault = {0};
        struct sockaddr_in address = {0};
        int r = parse_arguments(argc, argv, &address, &fault);

        if (r == 0)
                r = run(&address, &fault);
        if (r == 0)
                return EXIT_SUCCESS;
        complain(&fault);
        return fault.code == FAULT_INVALID_ARGUMENT ? EXIT_USAGE : EXIT_FAILURE;
}
