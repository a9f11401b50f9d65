/* SPDX-License-Identifier: MIT */
#include "base/cleanup.h"
#include "base/file.h"
#include "guestfs/nbd.h"
#include "tests/tap.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISK_SIZE 100000 /* no whole number of sectors */
#define NBD_SIZE  100352

typedef struct Server {
        int fd;
        const NbdExport *exports;
        unsigned n;
        int result; /* of the negotiation, then of the last request */
        unsigned served;
        Fault fault;
} Server;

static gpointer serve(gpointer data)
{
        Server *server = data;
        const NbdExport *export = NULL;

        server->result = nbd_negotiate(server->fd, server->exports, server->n, &export);
        while (server->result >= 0) {
                server->result = nbd_serve(server->fd, export, &server->fault);
                if (server->result <= 0)
                        break;
                server->served++;
        }
        (void) shutdown(server->fd, SHUT_RDWR);
        return NULL;
}

static Chain *make_disk(void)
{
        autofd fd = memfd_create("disk", MFD_CLOEXEC);
        g_autofree uint8_t *bytes = g_malloc(DISK_SIZE);
        DiskFormat format = DISK_RAW;
        Chain *chain = NULL;

        for (unsigned i = 0; i < DISK_SIZE; i++)
                bytes[i] = (uint8_t) (i % 251);
        if (fd < 0 || write_all(fd, bytes, DISK_SIZE) < 0 ||
            chain_open_fds(&fd, &format, 1, NULL, &chain, NULL) < 0)
                tap_bail_out("cannot make a disk");
        return chain;
}

/* Sends bytes, says that no more will come, and returns all that came back. */
static GByteArray *talk(Server *server, const GByteArray *bytes)
{
        GByteArray *answer = g_byte_array_new();
        uint8_t buffer[4096];
        int fds[2];
        ssize_t n;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                tap_bail_out("no sockets");
        server->fd = fds[0];
        server->served = 0;
        server->fault = (Fault){0};
        GThread *thread = g_thread_new("server", serve, server);
        if (write_all(fds[1], bytes->data, bytes->len) < 0)
                tap_note("the server hung up early");
        (void) shutdown(fds[1], SHUT_WR);
        while ((n = read(fds[1], buffer, sizeof(buffer))) > 0)
                g_byte_array_append(answer, buffer, (guint) n);
        (void) g_thread_join(thread);
        (void) close_fd(fds[0]);
        (void) close_fd(fds[1]);
        return answer;
}

static void put(GByteArray *out, uint64_t value, unsigned size)
{
        for (unsigned i = size; i-- > 0;) {
                uint8_t byte = (uint8_t) (value >> (8 * i));

                g_byte_array_append(out, &byte, 1);
        }
}

static uint64_t get(const GByteArray *in, unsigned at, unsigned size)
{
        uint64_t value = 0;

        if (at + size > in->len)
                return UINT64_MAX;
        for (unsigned i = 0; i < size; i++)
                value = value << 8 | in->data[at + i];
        return value;
}

static void put_option(GByteArray *out, uint32_t option, const char *name, unsigned more)
{
        unsigned size = name ? (unsigned) strlen(name) : 0;

        put(out, UINT64_C(0x49484156454f5054), 8);
        put(out, option, 4);
        if (option == 1) {
                put(out, size, 4);
                g_byte_array_append(out, (const guint8 *) name, size);
                return;
        }
        put(out, name ? 4 + size + 2 + more : more, 4);
        if (name) {
                put(out, size, 4);
                g_byte_array_append(out, (const guint8 *) name, size);
                put(out, more / 2, 2);
        }
        for (unsigned i = 0; i < more; i++)
                put(out, 0, 1);
}

static void put_request(GByteArray *out, unsigned type, uint64_t offset, uint32_t length)
{
        put(out, 0x25609513, 4);
        put(out, 0, 2);
        put(out, type, 2);
        put(out, UINT64_C(0x1122334455667788), 8);
        put(out, offset, 8);
        put(out, length, 4);
}

static GByteArray *begin(void)
{
        GByteArray *out = g_byte_array_new();

        put(out, 3, 4);
        return out;
}

/* hello 18, answer to GO: 20 + 12, ACK: 20 */
#define AFTER_GO 70

static void test_go(Server *server)
{
        g_autoptr(GByteArray) out = begin();

        put_option(out, 8, NULL, 0); /* structured replies */
        put_option(out, 7, "nothing", 0);
        put_option(out, 7, "new-3", 2);
        put_request(out, 0, 250, 4);
        put_request(out, 0, DISK_SIZE - 2, 4);
        put_request(out, 3, 0, 0);
        put_request(out, 2, 0, 0);
        g_autoptr(GByteArray) in = talk(server, out);
        tap_ok(get(in, 0, 8) == UINT64_C(0x4e42444d41474943) && get(in, 16, 2) == 3,
               "it greets in the new style");
        tap_ok(get(in, 18 + 12, 4) == 0x80000001, "an option that it does not know is refused");
        tap_ok(get(in, 38 + 12, 4) == 0x80000006, "so is an export that there is not");
        tap_ok(get(in, 58 + 8, 4) == 7 && get(in, 58 + 12, 4) == 3 && get(in, 58 + 20, 2) == 0 &&
                       get(in, 58 + 22, 8) == NBD_SIZE,
               "one that there is has whole sectors");
        tap_ok((get(in, 58 + 30, 2) & 3) == 3, "and is read-only");
        unsigned at = 40 + AFTER_GO;
        tap_ok(get(in, at, 8) == UINT64_C(0x6744669800000000) &&
                       get(in, at + 8, 8) == UINT64_C(0x1122334455667788) &&
                       get(in, at + 16, 4) == 0xfa000102,
               "it is read where it was asked for");
        tap_ok(get(in, at + 20 + 16, 4) ==
                       ((DISK_SIZE - 2) % 251 << 24 | (DISK_SIZE - 1) % 251 << 16),
               "zeros follow its end");
        tap_ok(get(in, at + 40, 8) == UINT64_C(0x6744669800000000) && in->len == at + 40 + 16,
               "a flush does nothing");
        tap_is_int(server->result, 0, "and the end is an end");
}

static void test_old_way(Server *server)
{
        g_autoptr(GByteArray) out = begin();

        put_option(out, 1, "old-0", 0);
        put_request(out, 0, 1, 2);
        g_autoptr(GByteArray) in = talk(server, out);
        tap_ok(get(in, 18, 8) == NBD_SIZE && get(in, 28 + 16, 2) == 0x0102,
               "an export can be named in the old way");
        tap_is_int(server->result, 0, "hanging up between requests is an end, too");
}

static void expect_refusal(Server *server, unsigned type, uint64_t offset, uint32_t length,
                           uint32_t error, const char *sentence)
{
        g_autoptr(GByteArray) out = begin();

        put_option(out, 7, "old-0", 0);
        put_request(out, type, offset, length);
        g_autoptr(GByteArray) in = talk(server, out);
        tap_ok(get(in, AFTER_GO + 4, 4) == error && in->len == AFTER_GO + 16, "%s", sentence);
}

static void test_refusals(Server *server)
{
        expect_refusal(server, 0, NBD_SIZE - 1, 2, EINVAL, "reading beyond the end is refused");
        expect_refusal(server, 0, UINT64_MAX, 2, EINVAL, "however far beyond");
        expect_refusal(server, 0, 0, 0, EINVAL, "so is reading nothing");
        expect_refusal(server, 0, 0, UINT32_MAX, EINVAL, "and too much");
        expect_refusal(server, 1, 0, 512, EPERM, "a write is refused");
        tap_is_int(server->result, -EPROTO, "and ends the connection");
}

static void expect_end(Server *server, const GByteArray *out, const char *sentence)
{
        g_autoptr(GByteArray) in = talk(server, out);

        tap_ok(server->result < 0 && server->served == 0 && in->len >= 18, "%s", sentence);
}

static void test_bad_clients(Server *server)
{
        g_autoptr(GByteArray) flags = g_byte_array_new(), magic = begin(), large = begin();
        g_autoptr(GByteArray) many = begin(), name = begin(), gone = begin(), request = begin();

        put(flags, 0xff, 4);
        expect_end(server, flags, "flags that there are not end the connection");
        put(magic, 1, 8);
        put(magic, 1, 8);
        expect_end(server, magic, "so does what is no option");
        put(large, UINT64_C(0x49484156454f5054), 8);
        put(large, 7, 4);
        put(large, UINT32_MAX, 4);
        expect_end(server, large, "one that is too large");
        for (unsigned i = 0; i < 100; i++)
                put_option(many, 3, NULL, 0);
        expect_end(server, many, "too many of them");
        put_option(name, 1, "nothing", 0);
        expect_end(server, name, "a name that has no export, asked for in the old way");
        put(gone, UINT64_C(0x49484156454f5054), 8);
        expect_end(server, gone, "and a client that is gone in the middle");
        put_option(request, 7, "old-0", 0);
        put(request, 1, 8);
        put(request, 1, 8);
        put(request, 1, 8);
        put(request, 1, 8);
        expect_end(server, request, "what is no request ends it as well");
        g_byte_array_set_size(request, 4);
        put(request, UINT64_C(0x49484156454f5054), 8);
        put(request, 7, 4);
        put(request, 6, 4);
        put(request, UINT32_MAX, 4);
        put(request, 0, 2);
        g_autoptr(GByteArray) in = talk(server, request);
        tap_ok(get(in, 18 + 12, 4) == 0x80000003, "a name longer than its option is refused");
}

int main(void)
{
        g_autoptr(Chain) chain = make_disk();
        g_autoptr(Volume) volume = volume_new_disk(0, chain);
        const NbdExport exports[] = {{"old-0", volume}, {"new-3", volume}};
        Server server = {.exports = exports, .n = G_N_ELEMENTS(exports)};

        test_go(&server);
        test_old_way(&server);
        test_refusals(&server);
        test_bad_clients(&server);
        return tap_done();
}
