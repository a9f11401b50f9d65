/* SPDX-License-Identifier: MIT */
#include "base/resolver-message.h"

#include "base/cleanup.h"
#include "tests/tap.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static ResolverMessage message(ResolverMessageType type)
{
        ResolverMessage m = {.version = RESOLVER_VERSION, .type = type};

        switch (type) {
        case RESOLVER_PATTERN:
                (void) g_strlcpy(m.pattern.text, "*.example.com", sizeof m.pattern.text);
                break;
        case RESOLVER_UPSTREAMS:
                m.upstreams.n = 1;
                m.upstreams.items[0].family = AF_INET6;
                break;
        case RESOLVER_REFUSED:
                m.refused.name[0] = 'a';
                break;
        case RESOLVER_FOUND:
                m.found.n = RESOLVER_ADDRESSES_MAX;
                for (size_t i = 0; i < RESOLVER_ADDRESSES_MAX; i++)
                        m.found.addresses[i] = UINT32_C(0x09090909);
                m.found.ttl_sec = RESOLVER_TTL_MIN_SEC;
                memset(m.found.name, 'a', DOMAIN_NAME_MAX - 1);
                break;
        default:
                break;
        }
        return m;
}

static int check(const ResolverMessage *m, bool is_of_daemon)
{
        return resolver_message_check(m, sizeof *m, is_of_daemon, NULL);
}

static void test_types(void)
{
        bool are_good = true, are_told_apart = true, others_are_bad = true;

        for (unsigned type = 0; type < _RESOLVER_RESOLVER_MAX + 10; type++) {
                ResolverMessage m = message(type);
                bool is_of_daemon = type >= RESOLVER_UPSTREAMS && type < _RESOLVER_DAEMON_MAX;
                bool is_of_other = type >= RESOLVER_READY && type < _RESOLVER_RESOLVER_MAX;

                if (is_of_daemon || is_of_other) {
                        are_good = are_good && check(&m, is_of_daemon) == 0;
                        are_told_apart = are_told_apart && check(&m, !is_of_daemon) < 0;
                } else {
                        others_are_bad =
                                others_are_bad && check(&m, true) < 0 && check(&m, false) < 0;
                }
        }
        tap_ok(are_good, "every type of message can be good");
        tap_ok(are_told_apart, "the daemon's are not the resolver's");
        tap_ok(others_are_bad, "other types are refused");
}

static void test_bounds(void)
{
        ResolverMessage m = message(RESOLVER_FOUND);

        tap_ok(resolver_message_check(&m, sizeof m - 1, false, NULL) < 0 &&
                       resolver_message_check(&m, sizeof m + 1, false, NULL) < 0 &&
                       resolver_message_check(&m, 0, false, NULL) < 0,
               "another size is refused");
        m.version++;
        tap_ok(check(&m, false) < 0, "another version is refused");
        m = message(RESOLVER_FOUND);
        m.found.ttl_sec--;
        tap_ok(check(&m, false) < 0, "a time that is too short is refused");
        m.found.ttl_sec = RESOLVER_TTL_MAX_SEC + 1;
        tap_ok(check(&m, false) < 0, "a time that is too long is refused");
        m = message(RESOLVER_FOUND);
        m.found.n++;
        tap_ok(check(&m, false) < 0, "too many addresses are refused");
        m.found.n = 0;
        tap_ok(check(&m, false) < 0, "no address is refused");
        m = message(RESOLVER_FOUND);
        m.found.addresses[RESOLVER_ADDRESSES_MAX - 1] = UINT32_C(0xa9fea9fe);
        tap_ok(check(&m, false) < 0, "a special address is refused");
        m = message(RESOLVER_FOUND);
        m.found.name[DOMAIN_NAME_MAX - 1] = 'a';
        tap_ok(check(&m, false) < 0, "a name without an end is refused");
        m.found.name[0] = '\0';
        tap_ok(check(&m, false) < 0, "no name is refused");
        m = message(RESOLVER_REFUSED);
        m.refused.reason = _RESOLVER_REASON_MAX;
        tap_ok(check(&m, false) < 0, "an unknown reason is refused");
        m = message(RESOLVER_REFUSED);
        memset(m.refused.name, 'a', sizeof m.refused.name);
        tap_ok(check(&m, false) < 0, "a refused name without an end is refused");
        m = message(RESOLVER_PATTERN);
        memset(m.pattern.text, 'a', sizeof m.pattern.text);
        tap_ok(check(&m, true) < 0, "a pattern without an end is refused");
        m = message(RESOLVER_UPSTREAMS);
        m.upstreams.n = RESOLVER_UPSTREAMS_MAX + 1;
        tap_ok(check(&m, true) < 0, "too many upstreams are refused");
        m = message(RESOLVER_UPSTREAMS);
        m.upstreams.items[0].family = AF_UNIX;
        tap_ok(check(&m, true) < 0, "an upstream of another family is refused");
}

static void test_channel(void)
{
        ResolverMessage m = message(RESOLVER_PATTERN), got;
        Fault fault = {0};
        int fds[2], r = 0;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                tap_bail_out("no sockets");
        autofd other = fds[1];
        tap_is_int(resolver_message_receive(fds[0], true, &got, NULL), 0,
                   "where no message is there is none");
        tap_ok(resolver_message_send(other, &m) == 0 &&
                       resolver_message_receive(fds[0], true, &got, NULL) == 1 &&
                       memcmp(&m, &got, sizeof m) == 0,
               "what was sent is received");
        got.type = 77;
        tap_ok(write(other, &m, sizeof m - 1) > 0 &&
                       resolver_message_receive(fds[0], true, &got, &fault) ==
                               fault_to_errno(FAULT_INTERNAL) &&
                       got.type == 77,
               "what is refused is not written");
        for (unsigned i = 0; i < 100000 && r == 0; i++)
                r = resolver_message_send(other, &m);
        tap_is_int(r, -EAGAIN, "who does not read is not waited for");
        (void) close_fd(fds[0]);
        r = resolver_message_send(other, &m);
        tap_ok(r < 0 && r != -EAGAIN, "who is gone is not sent to");
        fault_clear(&fault);
        tap_is_int(resolver_message_receive(other, true, &got, &fault), -EIO,
                   "who is gone says so");
}

int main(void)
{
        test_types();
        test_bounds();
        test_channel();
        return tap_done();
}
