/* SPDX-License-Identifier: MIT */

/* Sends the frames of attacks.c from inside a guest, whose root it has to be:
 *
 *     attacker INTERFACE MAC ADDRESS PEER-MAC PEER-ADDRESS GATEWAY-MAC GATEWAY HOST-ADDRESS
 * LAN-ADDRESS [NAME]
 *
 * It prints a line "REASON NAME" for each that it sent ("nowhere" for one that dies without rules,
 * too, and is not counted), and ends with 1 where one could not be. The
 * sandboxes' network and the LAN are taken for /16 and /24. */

#include "tests/net/attacks.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool take_mac(const char *text, uint8_t mac[6])
{
        return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
                      &mac[4], &mac[5]) == 6;
}

static bool take_address(const char *text, uint32_t *ret)
{
        struct in_addr a;

        if (inet_pton(AF_INET, text, &a) != 1)
                return false;
        *ret = ntohl(a.s_addr);
        return true;
}

static bool take_place(char **argv, AttackPlace *p)
{
        return take_mac(argv[0], p->mac) && take_address(argv[1], &p->address) &&
               take_mac(argv[2], p->peer_mac) && take_address(argv[3], &p->peer_address) &&
               take_mac(argv[4], p->gateway_mac) && take_address(argv[5], &p->gateway) &&
               take_address(argv[6], &p->host_address) && take_address(argv[7], &p->lan_host);
}

int main(int argc, char *argv[])
{
        static const char *const reasons[] = {
                [ATTACK_FORGED] = "forged",
                [ATTACK_PROTOCOL] = "protocol",
                [ATTACK_HOST] = "host",
                [ATTACK_REACH] = "reach",
        };
        AttackPlace place = {0};
        struct sockaddr_ll to = {.sll_family = AF_PACKET};
        int failed = 0;

        if (argc < 10 || !take_place(argv + 2, &place)) {
                (void) fprintf(stderr, "attacker: see the head of tests/net/attacker.c\n");
                return 2;
        }
        place.range_last = place.gateway | 0xffff;
        place.lan_last = place.lan_host | 0xff;
        to.sll_ifindex = (int) if_nametoindex(argv[1]);
        int fd = socket(AF_PACKET, SOCK_RAW, 0);
        for (size_t i = 0; i < attacks_count; i++) {
                uint8_t frame[ATTACK_FRAME_MAX];
                size_t size = attack_build(&attacks[i], &place, frame);

                if (argc > 10 && strcmp(argv[10], attacks[i].name) != 0)
                        continue;
                if (sendto(fd, frame, size, 0, (struct sockaddr *) &to, sizeof to) < 0) {
                        perror(attacks[i].name);
                        failed = 1;
                } else
                        (void) printf("%s %s\n",
                                      attacks[i].contained ? "nowhere" : reasons[attacks[i].reason],
                                      attacks[i].name);
        }
        (void) close(fd);
        return failed;
}
