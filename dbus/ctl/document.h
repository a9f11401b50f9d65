/* SPDX-License-Identifier: MIT */
#pragma once

/* JSON documents that arrive as file descriptors, read in pieces of bounded size. */

#include "base/json.h"

/* Calls `each` for every object in the array `member` of the document's top-level object, in order,
 * with memory for one of them at a time (at most DOCUMENT_ELEMENT_MAX bytes of text). A negative
 * return ends it. FAULT_INTERNAL where the text is damaged or cut. */
#define DOCUMENT_ELEMENT_MAX (1 << 20)
int document_each(int fd, const char *member, int (*each)(Json *element, void *userdata, Fault *f),
                  void *userdata, Fault *f);

/* Calls `each` for every line, each a JSON object. Same bound and errors. */
int document_each_line(int fd, int (*each)(Json *element, void *userdata, Fault *f), void *userdata,
                       Fault *f);

/* Copies all of it to stdout, as print_json_text() does. */
int document_copy(int fd, Fault *f);
