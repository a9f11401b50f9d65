/* SPDX-License-Identifier: MIT */
#include "api/loopback.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define AGREE_STEPS_MAX 100
#define READ_SIZE       (64 << 10)

/* The D-Bus specification, "Message Format": a fixed part of 16 bytes, of which the last four are
 * the size of the fields that follow, and those at BODY_SIZE_AT the size of the body, which begins
 * at the next multiple of 8. */
#define FIXED_SIZE     16
#define BODY_SIZE_AT   4
#define FIELDS_SIZE_AT 12

enum {
        PROTOCOL_VERSION = 1,
        FLAG_NO_REPLY_EXPECTED = 1,
        FIELD_REPLY_SERIAL = 5,
        FIELD_DESTINATION = 6,
        FIELD_SIGNATURE = 8,
};

struct Loopback {
        sd_bus *bus;
        int fd; /* the other end */
};

/* -- both ends -------------------------------------------------------------------------------- */

/* Takes the descriptor. */
static int open_end(int fd, bool is_server, sd_bus **ret)
{
        sd_bus *bus = NULL;
        sd_id128_t id;
        int r = sd_bus_new(&bus);

        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0)
                (void) close_fd(fd);
        if (r >= 0 && is_server && (r = sd_id128_randomize(&id)) >= 0)
                r = sd_bus_set_server(bus, true, id);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                (void) sd_bus_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

static int agree(sd_bus *a, sd_bus *b)
{
        for (unsigned i = 0; i < AGREE_STEPS_MAX; i++) {
                int r = sd_bus_process(a, NULL);
                if (r >= 0)
                        r = sd_bus_process(b, NULL);
                if (r < 0)
                        return r;
                if (sd_bus_is_ready(a) > 0 && sd_bus_is_ready(b) > 0)
                        return 0;
        }
        return -EPROTO;
}

/* The other end is sd-bus's, too, until they have agreed; then it is bytes. */
static int connect_ends(Loopback *l, int fd)
{
        sd_bus *server = NULL;
        int copy = fcntl(l->fd, F_DUPFD_CLOEXEC, 0), r = open_end(fd, false, &l->bus);

        if (r >= 0)
                r = copy < 0 ? -errno : open_end(TAKE_FD(copy), true, &server);
        if (r >= 0)
                r = agree(l->bus, server);
        (void) sd_bus_unref(server);
        (void) close_fd(copy);
        return r;
}

int loopback_new(Loopback **ret)
{
        Loopback *l;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        l = g_new0(Loopback, 1);
        l->fd = fds[0];
        r = connect_ends(l, fds[1]);
        if (r < 0) {
                (void) loopback_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

Loopback *loopback_free(Loopback *l)
{
        if (!l)
                return NULL;
        (void) sd_bus_close_unref(l->bus);
        (void) close_fd(l->fd);
        g_free(l);
        return NULL;
}

/* -- from sd-bus to bytes --------------------------------------------------------------------- */

int loopback_begin(Loopback *l, sd_bus_message **ret)
{
        return sd_bus_message_new_signal(l->bus, ret, "/", "sh.fluid.Loopback", "Part");
}

static size_t round_up(size_t size, size_t to)
{
        return (size + to - 1) / to * to;
}

static uint32_t read_size(const GByteArray *message, size_t at)
{
        uint32_t size;

        memcpy(&size, message->data + at, sizeof size);
        return size;
}

static size_t body_at(const GByteArray *message)
{
        return round_up(FIXED_SIZE + read_size(message, FIELDS_SIZE_AT), 8);
}

static bool is_whole(const GByteArray *message)
{
        return message->len >= FIXED_SIZE &&
               message->len >= body_at(message) + read_size(message, BODY_SIZE_AT);
}

static int receive(Loopback *l, GByteArray *message)
{
        g_autofree uint8_t *buffer = g_malloc(READ_SIZE);

        while (!is_whole(message)) {
                ssize_t n = recv(l->fd, buffer, READ_SIZE, 0);
                int r = n >= 0 ? 1 : -errno;
                if (r == -EAGAIN) /* what the socket did not take at once */
                        r = sd_bus_process(l->bus, NULL);
                if (r <= 0)
                        return r < 0 ? r : -EIO;
                (void) g_byte_array_append(message, buffer, (guint) MAX(n, 0));
        }
        return 0;
}

int loopback_encode(Loopback *l, sd_bus_message *m, GBytes **ret)
{
        g_autoptr(GByteArray) message = g_byte_array_new();
        int r = sd_bus_send(l->bus, m, NULL);

        if (r >= 0)
                r = receive(l, message);
        if (r < 0)
                return r;
        size_t at = body_at(message);
        *ret = g_bytes_new(message->data + at, message->len - at);
        return 0;
}

/* -- from bytes to sd-bus --------------------------------------------------------------------- */

static void pad(GByteArray *to, guint alignment)
{
        static const uint8_t zeros[8];

        (void) g_byte_array_append(to, zeros, (guint) round_up(to->len, alignment) - to->len);
}

static void put_number(GByteArray *to, uint32_t number)
{
        (void) g_byte_array_append(to, (const uint8_t *) &number, sizeof number);
}

static void put_text(GByteArray *to, const char *text)
{
        (void) g_byte_array_append(to, (const uint8_t *) text, (guint) strlen(text) + 1);
}

static void put_field(GByteArray *to, uint8_t field, char type)
{
        const uint8_t head[] = {field, 1, (uint8_t) type, '\0'};

        pad(to, 8);
        (void) g_byte_array_append(to, head, sizeof head);
}

/* The serial is never asked for: nobody answers a reply. */
static void put_fixed(GByteArray *to, size_t body_size)
{
        const uint8_t head[] = {G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B',
                                SD_BUS_MESSAGE_METHOD_RETURN, FLAG_NO_REPLY_EXPECTED,
                                PROTOCOL_VERSION};

        (void) g_byte_array_append(to, head, sizeof head);
        put_number(to, (uint32_t) body_size);
        put_number(to, 1);
        put_number(to, 0);
}

static void put_fields(GByteArray *to, uint32_t serial, const char *destination,
                       const char *signature)
{
        uint8_t length = (uint8_t) strlen(signature);
        uint32_t size;

        put_field(to, FIELD_REPLY_SERIAL, SD_BUS_TYPE_UINT32);
        put_number(to, serial);
        if (destination) {
                put_field(to, FIELD_DESTINATION, SD_BUS_TYPE_STRING);
                put_number(to, (uint32_t) strlen(destination));
                put_text(to, destination);
        }
        put_field(to, FIELD_SIGNATURE, SD_BUS_TYPE_SIGNATURE);
        (void) g_byte_array_append(to, &length, 1);
        put_text(to, signature);
        size = to->len - FIXED_SIZE;
        memcpy(to->data + FIELDS_SIZE_AT, &size, sizeof size);
        pad(to, 8);
}

/* Written as far as the socket takes it, and read as far as it was written, in turn. */
static int pass(Loopback *l, const GByteArray *message, sd_bus_message **ret)
{
        size_t done = 0;

        for (;;) {
                ssize_t n = send(l->fd, message->data + done, message->len - done, MSG_NOSIGNAL);
                if (n < 0 && errno != EAGAIN)
                        return -errno;
                done += (size_t) MAX(n, 0);
                int r = sd_bus_process(l->bus, ret);
                if (r < 0 || *ret)
                        return r;
                if (r == 0 && n <= 0)
                        return -EIO;
        }
}

void loopback_append(GByteArray *elements, GBytes *element)
{
        gsize size;
        const void *data = g_bytes_get_data(element, &size);

        pad(elements, 8);
        (void) g_byte_array_append(elements, data, (guint) size);
}

int loopback_reply(Loopback *l, sd_bus_message *call, const char *signature,
                   const GByteArray *elements, sd_bus_message **ret)
{
        g_autoptr(GByteArray) message = g_byte_array_sized_new(elements->len + 256);
        uint64_t serial;
        int r = sd_bus_message_get_cookie(call, &serial);

        if (r < 0)
                return r;
        put_fixed(message, 8 + elements->len);
        put_fields(message, (uint32_t) serial, sd_bus_message_get_sender(call), signature);
        put_number(message, elements->len);
        pad(message, 8);
        (void) g_byte_array_append(message, elements->data, elements->len);
        return pass(l, message, ret);
}
