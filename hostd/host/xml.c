/* SPDX-License-Identifier: MIT */
#include "host/xml.h"

#include <libxml/parser.h>
#include <string.h>

static void ignore_error(void *context, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
static void ignore_error(void *context, const char *format, ...)
{
        (void) context;
        (void) format;
}

static char *take_xml_string(xmlChar *text)
{
        char *copy = g_strdup((const char *) text);

        xmlFree(text);
        return copy;
}

static int check_document(const char *what, xmlDoc *doc, const char *root, Fault *f)
{
        if (!doc)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%s is not well-formed XML", what);
        if (doc->intSubset || doc->extSubset)
                return fault_set(f, FAULT_INVALID_ARGUMENT,
                                 "%s declares a document type; remove the DOCTYPE", what);
        if (!xml_is(xmlDocGetRootElement(doc), root))
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%s has no <%s> at its root", what,
                                 root);
        return 0;
}

int xml_parse(const char *what, const char *text, const char *root, XmlDoc **ret, Fault *f)
{
        size_t size = strlen(text);
        if (size > XML_SIZE_MAX)
                return fault_set(f, FAULT_INVALID_ARGUMENT, "%s is longer than %d bytes", what,
                                 XML_SIZE_MAX);

        xmlParserCtxt *parser = xmlNewParserCtxt();
        if (!parser)
                return fault_set(f, FAULT_NO_MEMORY, "no memory to parse %s", what);
        parser->sax->error = ignore_error;
        parser->sax->warning = ignore_error;
        g_autoptr(XmlDoc) doc =
                xmlCtxtReadMemory(parser, text, (int) size, NULL, NULL,
                                  XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                          XML_PARSE_NOBLANKS | XML_PARSE_NOCDATA);
        xmlFreeParserCtxt(parser);
        int r = check_document(what, doc, root, f);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&doc);
        return 0;
}

char *xml_format(XmlDoc *doc)
{
        xmlChar *text = NULL;

        xmlDocDumpFormatMemoryEnc(doc, &text, NULL, "UTF-8", 1);
        return take_xml_string(text);
}

char *xml_format_node(xmlNode *node)
{
        xmlBuffer *buffer = xmlBufferCreate();

        (void) xmlNodeDump(buffer, node->doc, node, 0, 0);
        char *text = g_strdup((const char *) xmlBufferContent(buffer));
        xmlBufferFree(buffer);
        return text;
}

bool xml_is(const xmlNode *node, const char *name)
{
        return node && node->type == XML_ELEMENT_NODE && !node->ns &&
               g_str_equal((const char *) node->name, name);
}

xmlNode *xml_first(xmlNode *node)
{
        return node ? xmlFirstElementChild(node) : NULL;
}

xmlNode *xml_next(xmlNode *node)
{
        return xmlNextElementSibling(node);
}

xmlNode *xml_find(xmlNode *node, const char *name)
{
        for (xmlNode *child = xml_first(node); child; child = xml_next(child))
                if (xml_is(child, name))
                        return child;
        return NULL;
}

char *xml_get(xmlNode *node, const char *attribute)
{
        if (!node)
                return NULL;
        return take_xml_string(xmlGetNoNsProp(node, (const xmlChar *) attribute));
}

char *xml_text(xmlNode *node)
{
        if (!node)
                return NULL;
        return take_xml_string(xmlNodeGetContent(node));
}

bool xml_has(xmlNode *node, const char *attribute, const char *value)
{
        g_autofree char *actual = xml_get(node, attribute);

        return actual && g_str_equal(actual, value);
}

void xml_set(xmlNode *node, const char *attribute, const char *value)
{
        xmlSetProp(node, (const xmlChar *) attribute, (const xmlChar *) value);
}

xmlNode *xml_add(xmlNode *parent, const char *name, const char *text)
{
        return xmlNewTextChild(parent, NULL, (const xmlChar *) name, (const xmlChar *) text);
}

void xml_remove(xmlNode *node)
{
        if (!node)
                return;
        xmlUnlinkNode(node);
        xmlFreeNode(node);
}

bool xml_text_is_valid(const char *text)
{
        if (!g_utf8_validate(text, -1, NULL))
                return false;
        for (const char *p = text; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);
                if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xfffe || c == 0xffff)
                        return false;
        }
        return true;
}
