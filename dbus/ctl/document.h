/* SPDX-License-Identifier: MIT */
#pragma once

/* JSON documents that arrive as file descriptors, read in pieces of bounded size. */

#include "base/json.h"

/* The text of one value: of a member of the top-level object, or of an element where that member is
 * an array. */
typedef struct DocumentPart {
        const char *member;
        bool in_array;
        bool is_end;    /* of an array: after its last element; there is no text */
        uint64_t index; /* of the element; at the end: how many there are */
        const char *text;
        size_t size;
} DocumentPart;

/* Returned by a callback: enough, without an error. */
#define DOCUMENT_STOP 1

/* Calls `each` for every part, in order, with memory for one of them at a time: at most
 * DOCUMENT_PART_MAX bytes of text. Parts that `wants` (may be NULL) does not want are passed over.
 * A negative return ends it. FAULT_INTERNAL where the text is damaged or cut. */
#define DOCUMENT_PART_MAX (16 << 20)
typedef struct DocumentReader {
        bool (*wants)(const char *member, uint64_t index, void *userdata);
        int (*each)(const DocumentPart *part, void *userdata, Fault *f);
        void *userdata;
} DocumentReader;
int document_read(int fd, const DocumentReader *reader, Fault *f);

/* FAULT_INTERNAL where it is not JSON. */
int document_parse(const DocumentPart *part, Json **ret, Fault *f);

/* A copy of what is a pipe, at its beginning, so that it can be read again; -1 for a file, which
 * can be as it is. The caller closes it. */
int document_keep(int fd, int *ret_copy, Fault *f);

/* To its beginning. */
int document_rewind(int fd, Fault *f);

/* Calls `each` for every line, each a JSON object of at most DOCUMENT_LINE_MAX bytes. Same errors.
 */
#define DOCUMENT_LINE_MAX (1 << 20)
int document_each_line(int fd, int (*each)(Json *element, void *userdata, Fault *f), void *userdata,
                       Fault *f);

/* Copies all of it to stdout, as print_json_text() does. */
int document_copy(int fd, Fault *f);
