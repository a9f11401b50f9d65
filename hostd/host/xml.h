/* SPDX-License-Identifier: MIT */
#pragma once

/* libxml2 as host/ uses it: documents without a DTD, entities or network, and trees that escape
 * what is put into them. */

#include "base/fault.h"

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>

typedef xmlDoc XmlDoc;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(XmlDoc, xmlFreeDoc)

/* Longer text is refused: libvirt itself sends at most 16 MiB. */
#define XML_SIZE_MAX (16 * 1024 * 1024)

/* Parses a document with the root element `root`; one with a DTD is refused. `what` goes into the
 * message. FAULT_INVALID_ARGUMENT. */
int xml_parse(const char *what, const char *text, const char *root, XmlDoc **ret, Fault *f);

/* The document's text with indentation; freed with g_free(). */
char *xml_format(XmlDoc *doc);

/* The text of an element and all below it; freed with g_free(). */
char *xml_format_node(xmlNode *node);

/* Whether an element is one of libvirt's own (in no namespace) and has that name. */
bool xml_is(const xmlNode *node, const char *name);

/* The first element below `node` of that name, or NULL; `node` may be NULL. */
xmlNode *xml_find(xmlNode *node, const char *name);

/* The first, respectively next, element among children of `node`, or NULL. */
xmlNode *xml_first(xmlNode *node);
xmlNode *xml_next(xmlNode *node);

/* The value of an attribute, or the text below an element, or NULL where there is none; freed with
 * g_free(). `node` may be NULL. */
char *xml_get(xmlNode *node, const char *attribute);
char *xml_text(xmlNode *node);

/* Whether an attribute is there and has that value. */
bool xml_has(xmlNode *node, const char *attribute, const char *value);

void xml_set(xmlNode *node, const char *attribute, const char *value);

/* A new last child with text, or without where `text` is NULL. */
xmlNode *xml_add(xmlNode *parent, const char *name, const char *text);

/* Takes an element and all below it out of its tree and frees it; NULL is allowed. */
void xml_remove(xmlNode *node);

/* Whether XML can carry the text: UTF-8 without control characters. */
bool xml_text_is_valid(const char *text);
