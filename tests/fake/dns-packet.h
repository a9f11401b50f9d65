/* SPDX-License-Identifier: MIT */
#pragma once

/* DNS packets for tests, built and read without the code under test. */

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <glib.h>
#include <resolv.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define DNS_REPLY 0x8180 /* an answer, recursion desired and available */
#define DNS_ASK   0x0100

typedef GByteArray DnsPacket;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DnsPacket, g_byte_array_unref)

static inline void dns_put16(DnsPacket *p, unsigned value)
{
        uint8_t bytes[] = {(uint8_t) (value >> 8), (uint8_t) value};

        g_byte_array_append(p, bytes, sizeof bytes);
}

static inline void dns_put32(DnsPacket *p, uint32_t value)
{
        dns_put16(p, value >> 16);
        dns_put16(p, value & 0xffff);
}

/* A header, with no sections yet. */
static inline DnsPacket *dns_packet(unsigned id, unsigned flags)
{
        static const uint8_t counts[8];
        DnsPacket *p = g_byte_array_new();

        dns_put16(p, id);
        dns_put16(p, flags);
        g_byte_array_append(p, counts, sizeof counts);
        return p;
}

/* `section` is 0 to 3: question, answer, authority, additional. */
static inline void dns_count(DnsPacket *p, unsigned section, unsigned count)
{
        p->data[4 + 2 * section] = (uint8_t) (count >> 8);
        p->data[5 + 2 * section] = (uint8_t) count;
}

static inline unsigned dns_get_count(const DnsPacket *p, unsigned section)
{
        return ns_get16(p->data + 4 + (size_t) 2 * section);
}

/* In the escaped form of master files; "." is the root. */
static inline void dns_put_name(DnsPacket *p, const char *name)
{
        uint8_t wire[NS_MAXCDNAME];

        g_assert(ns_name_pton(name, wire, sizeof wire) >= 0);
        for (size_t i = 0;; i += wire[i] + 1u) {
                g_byte_array_append(p, wire + i, wire[i] + 1u);
                if (wire[i] == 0)
                        break;
        }
}

static inline void dns_put_question(DnsPacket *p, const char *name, unsigned type)
{
        dns_count(p, 0, dns_get_count(p, 0) + 1);
        dns_put_name(p, name);
        dns_put16(p, type);
        dns_put16(p, ns_c_in);
}

static inline void dns_put_record(DnsPacket *p, unsigned section, const char *owner, unsigned type,
                                  uint32_t ttl_sec, const DnsPacket *data)
{
        dns_count(p, section, dns_get_count(p, section) + 1);
        dns_put_name(p, owner);
        dns_put16(p, type);
        dns_put16(p, ns_c_in);
        dns_put32(p, ttl_sec);
        dns_put16(p, data->len);
        g_byte_array_append(p, data->data, data->len);
}

static inline void dns_put_a(DnsPacket *p, const char *owner, uint32_t ttl_sec, const char *address)
{
        g_autoptr(DnsPacket) data = g_byte_array_new();

        dns_put32(data, ntohl(inet_addr(address)));
        dns_put_record(p, 1, owner, ns_t_a, ttl_sec, data);
}

static inline void dns_put_cname(DnsPacket *p, const char *owner, uint32_t ttl_sec,
                                 const char *target)
{
        g_autoptr(DnsPacket) data = g_byte_array_new();

        dns_put_name(data, target);
        dns_put_record(p, 1, owner, ns_t_cname, ttl_sec, data);
}

static inline void dns_put_edns(DnsPacket *p, unsigned udp_max, unsigned version)
{
        dns_count(p, 3, dns_get_count(p, 3) + 1);
        dns_put_name(p, ".");
        dns_put16(p, ns_t_opt);
        dns_put16(p, udp_max);
        dns_put32(p, version << 16);
        dns_put16(p, 0);
}

/* What a guest would make of a reply: "NOERROR www.example.com 60 A 9.9.9.9", records separated by
 * ", "; "damaged" where it is. The caller frees it. */
static inline char *dns_describe(const void *bytes, size_t size)
{
        static const char *const codes[] = {"NOERROR",  "FORMERR", "SERVFAIL",
                                            "NXDOMAIN", "NOTIMP",  "REFUSED"};
        GString *text = g_string_new(NULL);
        ns_msg m;
        ns_rr rr;

        if (ns_initparse(bytes, (int) size, &m) < 0 || !ns_msg_getflag(m, ns_f_qr))
                return g_string_free(g_string_assign(text, "damaged"), FALSE);
        (void) g_string_append(text, codes[MIN(ns_msg_getflag(m, ns_f_rcode), 5)]);
        if (ns_msg_getflag(m, ns_f_tc))
                (void) g_string_append(text, " truncated");
        for (int i = 0; i < ns_msg_count(m, ns_s_an); i++) {
                char data[NS_MAXDNAME] = "?";

                if (ns_parserr(&m, ns_s_an, i, &rr) < 0)
                        return g_string_free(g_string_assign(text, "damaged"), FALSE);
                if (ns_rr_type(rr) == ns_t_a)
                        (void) inet_ntop(AF_INET, ns_rr_rdata(rr), data, sizeof data);
                else if (ns_rr_type(rr) == ns_t_cname)
                        (void) ns_name_uncompress(bytes, (const uint8_t *) bytes + size,
                                                  ns_rr_rdata(rr), data, sizeof data);
                g_string_append_printf(text, "%s %s %u %s %s", i > 0 ? "," : "", ns_rr_name(rr),
                                       (unsigned) ns_rr_ttl(rr),
                                       ns_rr_type(rr) == ns_t_a ? "A" : "CNAME", data);
        }
        return g_string_free(text, FALSE);
}
