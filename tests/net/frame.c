/* SPDX-License-Identifier: MIT */
#include "tests/net/frame.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

typedef struct Writer {
        uint8_t *bytes;
        size_t size;
} Writer;

static void put(Writer *w, const void *bytes, size_t size)
{
        assert(w->size + size <= ATTACK_FRAME_MAX);
        memcpy(w->bytes + w->size, bytes, size);
        w->size += size;
}

static void put_zeros(Writer *w, size_t n)
{
        assert(w->size + n <= ATTACK_FRAME_MAX);
        memset(w->bytes + w->size, 0, n);
        w->size += n;
}

static void put8(Writer *w, uint8_t value)
{
        put(w, &value, 1);
}

static void put16(Writer *w, uint16_t value)
{
        uint16_t wire = htons(value);

        put(w, &wire, 2);
}

static void put32(Writer *w, uint32_t value)
{
        uint32_t wire = htonl(value);

        put(w, &wire, 4);
}

static void put_hex(Writer *w, const char *hex)
{
        for (unsigned byte; hex && sscanf(hex, "%2x", &byte) == 1; hex += 2) {
                put8(w, (uint8_t) byte);
                if (hex[2] == '\0')
                        break;
        }
}

/* What tells it from other traffic when a person looks at it. */
static void put_marker(Writer *w)
{
        static const char marker[] = "fluid attack: this must not arrive";

        put(w, marker, sizeof marker);
}

static void put_mac(Writer *w, Who who, const AttackPlace *p)
{
        static const uint8_t stranger[6] = {2, 0xba, 0xd0, 0, 0, 1};
        static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, none[6];

        put(w,
            who == WHO_SELF        ? p->mac
            : who == WHO_PEER      ? p->peer_mac
            : who == WHO_GATEWAY   ? p->gateway_mac
            : who == WHO_BROADCAST ? all
            : who == WHO_NOBODY    ? none
                                   : stranger,
            6);
}

static uint32_t address_of(Who who, const AttackPlace *p)
{
        switch (who) {
        case WHO_SELF:
                return p->address;
        case WHO_PEER:
                return p->peer_address;
        case WHO_GATEWAY:
                return p->gateway;
        case WHO_BROADCAST:
                return 0xffffffff;
        case WHO_HOST:
                return p->host_address;
        case WHO_LAN:
                return p->lan_host;
        case WHO_RANGE_LAST:
                return p->range_last;
        case WHO_LAN_LAST:
                return p->lan_last;
        case WHO_STRANGER:
                return p->address + 77;
        case WHO_DEFAULT:
        case WHO_NOBODY:
                break;
        }
        return 0;
}

static Who or (Who who, Who otherwise)
{
        return who == WHO_DEFAULT ? otherwise : who;
}

static void put_ethernet(Writer *w, const AttackFrame *f, const AttackPlace *p, Who to,
                         uint16_t type)
{
        unsigned m[6];

        if (f->to_group) {
                int n = sscanf(f->to_group, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4],
                               &m[5]);
                assert(n == 6);
                for (size_t i = 0; i < 6; i++)
                        put8(w, (uint8_t) m[i]);
        } else
                put_mac(w, or (f->to, to), p);
        put_mac(w, or (f->from, WHO_SELF), p);
        for (size_t i = 0; i < 2 && f->tags[i]; i++) {
                put16(w, f->tags[i]);
                put16(w, f->vlan);
        }
        put16(w, f->type ? f->type : type);
}

static uint16_t sum(const uint8_t *bytes, size_t size, uint32_t start)
{
        for (size_t i = 0; i < size; i++)
                start += i % 2 ? bytes[i] : (uint32_t) bytes[i] << 8;
        while (start >> 16)
                start = (start & 0xffff) + (start >> 16);
        return (uint16_t) ~start;
}

static void write16(uint8_t *at, uint16_t value)
{
        at[0] = (uint8_t) (value >> 8);
        at[1] = (uint8_t) value;
}

static size_t put_ipv4(Writer *w, const AttackFrame *f, uint8_t protocol, uint32_t source,
                       uint32_t destination)
{
        size_t at = w->size, options = f->options ? strlen(f->options) / 2 : 0;

        put8(w, f->version_and_length ? f->version_and_length : (uint8_t) (0x45 + options / 4));
        put8(w, 0);
        put16(w, 0); /* the length, later */
        put16(w, 0x1234);
        put16(w, f->fragment);
        put8(w, 64);
        put8(w, protocol);
        put16(w, 0);
        put32(w, source);
        put32(w, destination);
        put_hex(w, f->options);
        return at;
}

/* Lengths and checksums. */
static void finish_ipv4(Writer *w, const AttackFrame *f, size_t at, size_t header)
{
        uint8_t *ip = w->bytes + at, *body = ip + header;
        size_t length = w->size - at, body_length = length - header;
        uint8_t protocol = ip[9];
        uint32_t pseudo = protocol + (uint32_t) body_length;

        write16(ip + 2, f->total_length ? f->total_length : (uint16_t) length);
        write16(ip + 10, sum(ip, header, 0));
        for (size_t i = 12; i < 20; i += 2)
                pseudo += (uint32_t) (ip[i] << 8 | ip[i + 1]);
        if (protocol == IPPROTO_UDP && body_length >= 8)
                write16(body + 6, sum(body, body_length, pseudo));
        else if (protocol == IPPROTO_TCP && body_length >= 20)
                write16(body + 16, sum(body, body_length, pseudo));
        else if (protocol == IPPROTO_ICMP && body_length >= 8)
                write16(body + 2, sum(body, body_length, 0));
}

static void put_udp(Writer *w, uint16_t from, uint16_t to, size_t payload)
{
        put16(w, from);
        put16(w, to);
        put16(w, (uint16_t) (8 + payload));
        put16(w, 0);
}

static void put_tcp(Writer *w, const AttackFrame *f)
{
        put16(w, f->source_port ? f->source_port : 40000);
        put16(w, f->port ? f->port : 9);
        put32(w, 1000);
        put32(w, 0);
        put8(w, 5 << 4);
        put8(w, f->flags ? f->flags : 2);
        put16(w, 1024);
        put32(w, 0);
}

static void put_packet(Writer *w, const AttackFrame *f, const AttackPlace *p)
{
        static const uint8_t protocols[] = {
                [FRAME_UDP] = IPPROTO_UDP, [FRAME_TCP] = IPPROTO_TCP, [FRAME_ICMP] = IPPROTO_ICMP};
        uint8_t protocol = f->kind == FRAME_PROTOCOL ? f->protocol : protocols[f->kind];
        uint32_t source =
                f->source_address ? f->source_address : address_of(or (f->source, WHO_SELF), p);
        uint32_t destination = f->destination_address ? f->destination_address
                                                      : address_of(or (f->destination, WHO_LAN), p);

        put_ethernet(w, f, p, WHO_GATEWAY, 0x0800);
        size_t at = put_ipv4(w, f, protocol, source, destination), header = w->size - at;
        if (f->kind == FRAME_UDP)
                put_udp(w, f->source_port ? f->source_port : 40000, f->port ? f->port : 9, 35);
        else if (f->kind == FRAME_TCP)
                put_tcp(w, f);
        else if (f->kind == FRAME_ICMP) {
                put8(w, f->icmp_type ? f->icmp_type : 8);
                put8(w, f->icmp_code);
                put16(w, 0);
                put32(w, 0x00010001);
        }
        put_hex(w, f->body);
        if (f->kind != FRAME_TCP)
                put_marker(w);
        finish_ipv4(w, f, at, header);
}

static void put_arp(Writer *w, const AttackFrame *f, const AttackPlace *p)
{
        put_ethernet(w, f, p, WHO_BROADCAST, 0x0806);
        put16(w, 1);
        put16(w, 0x0800);
        put8(w, f->hardware_size ? f->hardware_size : 6);
        put8(w, 4);
        put16(w, f->operation ? f->operation : 1);
        put_mac(w, or (f->sender_mac, WHO_SELF), p);
        put32(w, address_of(or (f->sender, WHO_SELF), p));
        put_mac(w, f->operation == 2 ? WHO_GATEWAY : WHO_NOBODY, p);
        put32(w, address_of(or (f->target, WHO_GATEWAY), p));
}

static void put_dhcp(Writer *w, const AttackFrame *f, const AttackPlace *p)
{
        static const char options[] = "63825363"
                                      "350101ff";
        uint32_t source = address_of(or (f->source, WHO_NOBODY), p);
        uint32_t destination = address_of(or (f->destination, WHO_BROADCAST), p);

        put_ethernet(w, f, p, WHO_BROADCAST, 0x0800);
        size_t at = put_ipv4(w, f, IPPROTO_UDP, source, destination), header = w->size - at;
        put_udp(w, f->source_port ? f->source_port : 68, f->port ? f->port : 67, 300);
        size_t begin = w->size;
        put8(w, f->boot_operation ? f->boot_operation : 1);
        put8(w, 1);
        put8(w, 6);
        put8(w, 0);
        put32(w, 0xf10d0001);
        put_zeros(w, 16);
        put32(w, f->is_relayed ? p->peer_address : 0);
        put_mac(w, or (f->client, WHO_SELF), p);
        put_zeros(w, 10 + 64 + 128);
        put_hex(w, options);
        put_zeros(w, 300 - (w->size - begin));
        finish_ipv4(w, f, at, header);
}

static void put_ipv6(Writer *w, const AttackFrame *f, const AttackPlace *p)
{
        put_ethernet(w, f, p, WHO_GATEWAY, 0x86dd);
        put32(w, 0x60000000);
        put16(w, (uint16_t) (f->body ? strlen(f->body) / 2 : 0));
        put8(w, f->next);
        put8(w, 255);
        put_hex(w, "fe80000000000000000000fffe000002");
        put_hex(w, f->to_group ? "ff020000000000000000000000000001"
                               : "fe80000000000000000000fffe000001");
        put_hex(w, f->body);
}

size_t frame_build(const AttackFrame *f, const AttackPlace *p, uint8_t ret[ATTACK_FRAME_MAX])
{
        Writer w = {.bytes = ret};

        switch (f->kind) {
        case FRAME_UDP:
        case FRAME_TCP:
        case FRAME_ICMP:
        case FRAME_PROTOCOL:
                put_packet(&w, f, p);
                break;
        case FRAME_ARP:
                put_arp(&w, f, p);
                break;
        case FRAME_DHCP:
                put_dhcp(&w, f, p);
                break;
        case FRAME_IPV6:
                put_ipv6(&w, f, p);
                break;
        case FRAME_RAW:
                put_ethernet(&w, f, p, WHO_GATEWAY, 0);
                put_hex(&w, f->body);
                put_marker(&w);
                break;
        }
        return f->cut && f->cut < w.size ? f->cut : w.size;
}
