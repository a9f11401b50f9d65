/* SPDX-License-Identifier: MIT */
#include "guestfs/nbd.h"

#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512

#define GREETING       UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define OPTION_MAGIC   UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define ANSWER_MAGIC   UINT64_C(0x0003e889045565a9)
#define REQUEST_MAGIC  UINT32_C(0x25609513)
#define REPLY_MAGIC    UINT32_C(0x67446698)
#define OPTION_MAX     4096 /* bytes of its data */
#define OPTIONS_MAX    64   /* of one client */
#define LENGTH_MAX     (UINT32_C(32) << 20)
#define PAD_OLD_EXPORT 124

enum { FLAG_FIXED_NEWSTYLE = 1, FLAG_NO_ZEROES = 2 };
enum { EXPORT_HAS_FLAGS = 1, EXPORT_READ_ONLY = 2, EXPORT_CAN_MULTI_CONN = 256 };
enum { OPTION_EXPORT_NAME = 1, OPTION_ABORT = 2, OPTION_INFO = 6, OPTION_GO = 7 };
enum { COMMAND_READ = 0, COMMAND_DISCONNECT = 2, COMMAND_FLUSH = 3 };

#define ANSWER_ACK     UINT32_C(1)
#define ANSWER_INFO    UINT32_C(3)
#define ANSWER_UNKNOWN UINT32_C(0x80000001)
#define ANSWER_INVALID UINT32_C(0x80000003)
#define ANSWER_NO_SUCH UINT32_C(0x80000006)

typedef struct __attribute__((packed)) Hello {
        uint64_t greeting, option_magic;
        uint16_t flags;
} Hello;

typedef struct __attribute__((packed)) OptionHeader {
        uint64_t magic;
        uint32_t option, size;
} OptionHeader;

typedef struct __attribute__((packed)) AnswerHeader {
        uint64_t magic;
        uint32_t option, type, size;
} AnswerHeader;

typedef struct __attribute__((packed)) ExportInfo {
        uint16_t type; /* NBD_INFO_EXPORT, 0 */
        uint64_t size;
        uint16_t flags;
} ExportInfo;

typedef struct __attribute__((packed)) Request {
        uint32_t magic;
        uint16_t flags, type;
        uint64_t handle, offset;
        uint32_t length;
} Request;

typedef struct __attribute__((packed)) Reply {
        uint32_t magic, error;
        uint64_t handle;
} Reply;

uint64_t nbd_export_size(const NbdExport *export)
{
        return (volume_size(export->volume) + SECTOR - 1) / SECTOR * SECTOR;
}

/* 1; 0 at the end before the first byte; or a negative errno. */
static int read_all(int fd, void *buffer, size_t size)
{
        char *p = buffer;

        for (size_t done = 0; done < size;) {
                ssize_t n = read(fd, p + done, size - done);

                if (n == 0)
                        return done == 0 ? 0 : -ECONNRESET;
                if (n < 0 && errno != EINTR)
                        return -errno;
                done += n > 0 ? (size_t) n : 0;
        }
        return 1;
}

static int must_read(int fd, void *buffer, size_t size)
{
        int r = size > 0 ? read_all(fd, buffer, size) : 1;

        return r == 0 ? -ECONNRESET : MIN(r, 0);
}

/* ---- negotiation ---- */

static int answer(int fd, uint32_t option, uint32_t type, const void *data, uint32_t size)
{
        AnswerHeader header = {GUINT64_TO_BE(ANSWER_MAGIC), GUINT32_TO_BE(option),
                               GUINT32_TO_BE(type), GUINT32_TO_BE(size)};
        int r = write_all(fd, &header, sizeof(header));

        return r < 0 || size == 0 ? r : write_all(fd, data, size);
}

static const NbdExport *find_export(const NbdExport *exports, unsigned n, const char *name,
                                    size_t size)
{
        for (unsigned i = 0; i < n; i++)
                if (strlen(exports[i].name) == size && memcmp(exports[i].name, name, size) == 0)
                        return &exports[i];
        return NULL;
}

static ExportInfo info_of(const NbdExport *export)
{
        return (ExportInfo){
                .size = GUINT64_TO_BE(nbd_export_size(export)),
                .flags = GUINT16_TO_BE(EXPORT_HAS_FLAGS | EXPORT_READ_ONLY | EXPORT_CAN_MULTI_CONN),
        };
}

/* The old way to choose, which has no answer but the export itself. */
static int choose(int fd, const NbdExport *export, bool no_zeroes)
{
        static const uint8_t zeroes[PAD_OLD_EXPORT];

        if (!export)
                return -ENOENT;
        const ExportInfo info = info_of(export);
        /* The same without its type. */
        int r = write_all(fd, (const uint8_t *) &info + sizeof(info.type),
                          sizeof(info) - sizeof(info.type));
        return r < 0 || no_zeroes ? r : write_all(fd, zeroes, sizeof(zeroes));
}

/* The name that begins the data of INFO and GO: a length and so many bytes; a list of what else is
 * wanted follows, and is not looked at. */
static int answer_info(int fd, uint32_t option, const uint8_t *data, uint32_t size,
                       const NbdExport *exports, unsigned n, const NbdExport **ret)
{
        uint32_t length = 0;

        if (size >= sizeof(length))
                memcpy(&length, data, sizeof(length));
        length = GUINT32_FROM_BE(length);
        if (size < sizeof(length) + sizeof(uint16_t) ||
            length > size - sizeof(length) - sizeof(uint16_t))
                return answer(fd, option, ANSWER_INVALID, NULL, 0);
        const NbdExport *export =
                find_export(exports, n, (const char *) data + sizeof(length), length);
        if (!export)
                return answer(fd, option, ANSWER_NO_SUCH, NULL, 0);
        ExportInfo info = info_of(export);
        int r = answer(fd, option, ANSWER_INFO, &info, sizeof(info));
        if (r == 0)
                r = answer(fd, option, ANSWER_ACK, NULL, 0);
        if (r == 0 && option == OPTION_GO)
                *ret = export;
        return r;
}

static int handle_option(int fd, bool no_zeroes, const NbdExport *exports, unsigned n,
                         const NbdExport **ret)
{
        uint8_t data[OPTION_MAX];
        OptionHeader header;

        int r = must_read(fd, &header, sizeof(header));
        if (r < 0)
                return r;
        uint32_t option = GUINT32_FROM_BE(header.option), size = GUINT32_FROM_BE(header.size);
        if (GUINT64_FROM_BE(header.magic) != OPTION_MAGIC || size > sizeof(data))
                return -EPROTO;
        r = must_read(fd, data, size);
        if (r < 0)
                return r;
        switch (option) {
        case OPTION_EXPORT_NAME:
                *ret = find_export(exports, n, (const char *) data, size);
                return choose(fd, *ret, no_zeroes);
        case OPTION_INFO:
        case OPTION_GO:
                return answer_info(fd, option, data, size, exports, n, ret);
        case OPTION_ABORT:
                (void) answer(fd, option, ANSWER_ACK, NULL, 0);
                return -ECONNABORTED;
        default:
                return answer(fd, option, ANSWER_UNKNOWN, NULL, 0);
        }
}

int nbd_negotiate(int fd, const NbdExport *exports, unsigned n, const NbdExport **ret)
{
        const Hello hello = {GUINT64_TO_BE(GREETING), GUINT64_TO_BE(OPTION_MAGIC),
                             GUINT16_TO_BE(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES)};
        const NbdExport *export = NULL;
        uint32_t flags = 0;

        int r = write_all(fd, &hello, sizeof(hello));
        if (r == 0)
                r = must_read(fd, &flags, sizeof(flags));
        flags = GUINT32_FROM_BE(flags);
        if (r == 0 && flags & ~(uint32_t) (FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES))
                r = -EPROTO;
        for (unsigned i = 0; r == 0 && !export && i < OPTIONS_MAX; i++)
                r = handle_option(fd, flags & FLAG_NO_ZEROES, exports, n, &export);
        if (r < 0)
                return r;
        if (!export)
                return -EPROTO;
        *ret = export;
        return 0;
}

/* ---- requests ---- */

static int reply(int fd, uint64_t handle, uint32_t error)
{
        const Reply header = {GUINT32_TO_BE(REPLY_MAGIC), GUINT32_TO_BE(error), handle};

        return write_all(fd, &header, sizeof(header));
}

/* 1 or a negative errno. */
static int end_request(int r)
{
        return r < 0 ? r : 1;
}

static int serve_read(int fd, const NbdExport *export, const Request *request, Fault *f)
{
        uint64_t offset = GUINT64_FROM_BE(request->offset), size = nbd_export_size(export);
        uint32_t length = GUINT32_FROM_BE(request->length);
        Fault why = {0};

        if (length == 0 || length > LENGTH_MAX || offset > size || length > size - offset)
                return end_request(reply(fd, request->handle, EINVAL));
        g_autofree uint8_t *buffer = g_malloc(length);
        if (volume_read(export->volume, offset, buffer, length, &why) < 0) {
                if (f->code == FAULT_NONE)
                        *f = why;
                return end_request(reply(fd, request->handle, EIO));
        }
        int r = reply(fd, request->handle, 0);
        return end_request(r < 0 ? r : write_all(fd, buffer, length));
}

int nbd_serve(int fd, const NbdExport *export, Fault *f)
{
        Request request;

        int r = read_all(fd, &request, sizeof(request));
        if (r <= 0)
                return r;
        if (GUINT32_FROM_BE(request.magic) != REQUEST_MAGIC)
                return -EPROTO;
        switch (GUINT16_FROM_BE(request.type)) {
        case COMMAND_READ:
                return serve_read(fd, export, &request, f);
        case COMMAND_DISCONNECT:
                return 0;
        case COMMAND_FLUSH:
                return end_request(reply(fd, request.handle, 0));
        default:
                /* A write would be followed by its data: it is not told from the next request. */
                (void) reply(fd, request.handle, EPERM);
                return -EPROTO;
        }
}
