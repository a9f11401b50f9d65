/* SPDX-License-Identifier: MIT */

/* libvirtd's hook: `fluid DOMAIN OPERATION SUB-OPERATION EXTRA`, with the domain's XML on stdin. No
 * sandbox starts, nor goes on after a restart of libvirtd, without its rules in the kernel, also
 * where fluid-hostd is not there; a domain without fluid's metadata is never touched. Neither
 * libvirtd, which waits for this, nor the daemon is asked. To refuse is to exit with 1 and a line
 * on stderr. Sources: libvirt, docs/hooks.html; linux/netfilter/nf_tables.h. */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/ether.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_SIZE (1 << 20)
#define PATH_SIZE 4096
#define IN        "/domain/devices/"
#define RULESET   FLUID_FIREWALL "/ruleset.nft"

/* -- the domain's XML --------------------------------------------------------------------------
 * As libvirt writes it (virDomainDefFormat(), and xmlNodeDump() for the metadata): no DTD, all tags
 * closed, no `<` in values, none in text but in comments and CDATA. All else is refused. */

typedef struct Domain {
        char id[13];          /* of the sandbox, by the metadata; "" where it is not fluid's */
        char nics[PATH_SIZE]; /* lines: "interface", type, MAC, bridge if known, tap; "hostdev" */
} Domain;

static bool take(char **at, const char *text)
{
        bool is_there = strncmp(*at, text, strlen(text)) == 0;

        *at += is_there ? strlen(text) : 0;
        return is_there;
}

static bool skip_past(char **at, const char *text)
{
        char *found = strstr(*at, text);

        *at = found ? found + strlen(text) : *at;
        return found;
}

static bool take_name(char **at, char name[256])
{
        size_t size = strcspn(*at, " \t\r\n/>=<'\"");

        (void) snprintf(name, 256, "%.*s", (int) size, *at);
        *at += size;
        return size > 0 && size < 256;
}

/* Adds a line where `path` and attribute, or "", say what `nics` is about. */
static void note(Domain *d, const char *path, const char *name, const char *value)
{
        static const char about[] =
                "|" IN "hostdev |" IN "interface |" IN "interface type|" IN
                "interface/mac address|" IN "interface/source bridge|" IN "interface/target dev|";
        size_t used = strlen(d->nics);
        char key[128];

        (void) snprintf(key, sizeof key, "|%s %s|", path, name);
        if (strstr(about, key))
                (void) snprintf(d->nics + used, sizeof d->nics - used, "%s\n", value);
}

/* `path` is of the element that `at` is in, like "/domain/devices". */
static bool take_tag(char **at, char path[PATH_SIZE], Domain *d)
{
        char name[256];
        const char *id = "";
        bool is_ours = false, is_mark = strcmp(path, "/domain/metadata") == 0;
        size_t length = strlen(path);

        if (!take_name(at, name) || length + sizeof name >= PATH_SIZE)
                return false;
        (void) snprintf(path + length, PATH_SIZE - length, "/%s", name);
        note(d, path, "", name);
        while (*at += strspn(*at, " \t\r\n"), **at != '>' && **at != '/') {
                if (!take_name(at, name) || !take(at, "="))
                        return false;
                char *value = *at + 1;
                char *end = **at == '"' || **at == '\'' ? strchr(value, **at) : NULL;
                if (!end || memchr(value, '<', (size_t) (end - value)))
                        return false;
                *end = '\0';
                *at = end + 1;
                is_ours |= !strncmp(name, "xmlns", 5) && strchr(":", name[5]) &&
                           !strcmp(value, "urn:fluid:sandbox:1");
                id = strcmp(name, "id") == 0 ? value : id;
                note(d, path, name, value);
        }
        if (is_mark && is_ours && strlen(id) == 12 && strspn(id, "0123456789abcdef") == 12)
                memcpy(d->id, id, sizeof d->id);
        if (take(at, "/"))
                path[length] = '\0';
        return take(at, ">");
}

static bool scan(char *at, Domain *d)
{
        char path[PATH_SIZE] = "", *last;
        bool has_begun = false, good = true;

        for (; good && skip_past(&at, "<"); has_begun |= *path != '\0')
                if (take(&at, "!--"))
                        good = skip_past(&at, "-->");
                else if (take(&at, "![CDATA["))
                        good = skip_past(&at, "]]>");
                else if (take(&at, "?"))
                        good = skip_past(&at, "?>");
                else if (!take(&at, "/"))
                        good = (!has_begun || *path) && take_tag(&at, path, d);
                else if ((good = (last = strrchr(path, '/')) && take(&at, last + 1) &&
                                 take(&at, ">")))
                        *last = '\0';
        return good && has_begun && !*path;
}

/* -- the kernel's rules ------------------------------------------------------------------------ */

/* The base chains of nft/tables.nft that hold a sandbox, by their hooks. */
static const char *const bridge_chains[] = {"prerouting", "input", "forward", "", "postrouting"};
static const char *const inet_chains[] = {"arriving", "input", "forward", "output", ""};

static struct {
        struct nlmsghdr h;
        struct nfgenmsg info;
        char attributes[8192];
} message;

static void put(int type, const void *value, size_t size)
{
        struct nlattr a = {(uint16_t) (NLA_HDRLEN + size), (uint16_t) type};

        memcpy((char *) &message + message.h.nlmsg_len, &a, sizeof a);
        memcpy((char *) &message + message.h.nlmsg_len + NLA_HDRLEN, value, size);
        message.h.nlmsg_len += NLA_ALIGN(a.nla_len);
}

/* About table fluid of that family, which each type of message names first. */
static void begin(uint16_t type, uint8_t family)
{
        memset(&message, 0, sizeof message);
        message.h = (struct nlmsghdr){NLMSG_LENGTH(sizeof message.info),
                                      NFNL_SUBSYS_NFTABLES << 8 | type, NLM_F_REQUEST, 0, 0};
        message.info.nfgen_family = family;
        put(NFTA_TABLE_NAME, "fluid", sizeof "fluid");
}

/* The kernel answers with one message: what it has, or an error. */
static bool ask(int fd)
{
        return send(fd, &message, message.h.nlmsg_len, 0) >= 0 &&
               recv(fd, &message, sizeof message, 0) > 0 &&
               message.h.nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES;
}

/* Whether its answer has that number, itself or inside. */
static bool says(uint16_t type, uint32_t value)
{
        uint32_t bytes[2] = {(uint32_t) type << 16 | sizeof bytes, htonl(value)};

        return memmem(message.attributes, sizeof message.attributes, bytes, sizeof bytes);
}

/* A dormant table has a flag; its chains see nothing. A flushed chain is used by no rule. */
static bool has_table(int fd, uint8_t family, const char *const chains[5])
{
        begin(NFT_MSG_GETTABLE, family);
        bool is_whole = ask(fd) && says(NFTA_TABLE_FLAGS, 0);
        for (uint32_t hook = 0; is_whole && hook < 5; hook++) {
                begin(NFT_MSG_GETCHAIN, family);
                put(NFTA_CHAIN_NAME, chains[hook], strlen(chains[hook]) + 1);
                is_whole = !*chains[hook] ||
                           (ask(fd) && says(NFTA_HOOK_HOOKNUM, hook) && !says(NFTA_CHAIN_USE, 0));
        }
        return is_whole;
}

/* Of the set that pins interfaces, in which each part of an element takes a multiple of 4 bytes. */
static bool has_element(int fd, const char *id, const char *mac, const char *address)
{
        struct {
                struct nlattr element, key, value;
                char interface[16];
                struct ether_addr mac;
                char padding[2];
                struct in_addr address;
        } e = {.element = {sizeof e, NFTA_LIST_ELEM | NLA_F_NESTED},
               .key = {sizeof e - NLA_HDRLEN, NFTA_SET_ELEM_KEY | NLA_F_NESTED},
               .value = {sizeof e - 2 * NLA_HDRLEN, NFTA_DATA_VALUE}};

        if (!ether_aton_r(mac, &e.mac) || !inet_aton(address, &e.address))
                return false;
        (void) snprintf(e.interface, sizeof e.interface, "fl-%.12s", id);
        begin(NFT_MSG_GETSETELEM, NFPROTO_BRIDGE);
        put(NFTA_SET_ELEM_LIST_SET, "pinned", sizeof "pinned");
        put(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, &e, sizeof e);
        return ask(fd);
}

/* -- the decision ------------------------------------------------------------------------------ */

static const char lost[] = "its rules are not in the kernel; restart fluid-hostd";
static const char broken[] = "its rules in " FLUID_FIREWALL " are damaged; restart fluid-hostd";
static const char foreign[] = "it has a device that fluid did not give it; take it out";
static volatile sig_atomic_t is_ours; /* by its name, as long as nothing better is known */

static void on_alarm(int signal)
{
        static const char text[] = "fluid: it may not run: the check of its rules took too long\n";

        if (signal == SIGALRM && is_ours && write(STDERR_FILENO, text, strlen(text)) != 0)
                _exit(1);
        _exit(0);
}

/* All of it as a string; false with errno where it cannot be read, is too long, or is no text. */
static bool read_text(FILE *file, char text[TEXT_SIZE])
{
        size_t size = file ? fread(text, 1, TEXT_SIZE, file) : TEXT_SIZE;

        if (size == TEXT_SIZE || ferror(file))
                return false;
        text[size] = '\0';
        return strlen(text) == size;
}

/* Why it may not run, or NULL. The bridge that it gets is not known before `start`. */
static const char *judge(const Domain *d, bool is_early)
{
        static char text[TEXT_SIZE];
        char line[256], mac[18], address[16], *at;
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

        (void) snprintf(line, sizeof line, FLUID_FIREWALL "/sandboxes/%s.nft", d->id);
        errno = 0;
        if (!read_text(fopen(line, "re"), text))
                return errno != ENOENT ? broken : d->nics[0] ? foreign : NULL;
        (void) snprintf(line, sizeof line, " bridge fluid pinned { \"fl-%s\" . ", d->id);
        if (!(at = strstr(text, line)) ||
            sscanf(at + strlen(line), "%17s . %15s }", mac, address) != 2 ||
            !read_text(fopen(RULESET, "re"), text) || !(at = strstr(text, "\" goto from-bridge\n")))
                return broken;
        *at = '\0'; /* so that the bridge's name comes last, after a quote */
        const char *bridge = is_early ? NULL : strrchr(text, '"');
        (void) snprintf(line, sizeof line, "interface\nnetwork\n%s\n%s%sfl-%s\n", mac,
                        bridge ? bridge + 1 : "", bridge ? "\n" : "", d->id);
        if (d->nics[0] && strcmp(d->nics, line) != 0)
                return foreign;
        bool is_whole = has_table(fd, NFPROTO_BRIDGE, bridge_chains) &&
                        has_table(fd, NFPROTO_INET, inet_chains) &&
                        has_element(fd, d->id, mac, address);
        return is_whole ? NULL : lost;
}

int main(int argc, char **argv)
{
        static char xml[TEXT_SIZE];
        const char *operation = argc > 2 ? argv[2] : "", *why;
        bool is_move = !strcmp(operation, "migrate") || !strcmp(operation, "restore");
        bool is_early = !strcmp(operation, "prepare"), is_late = !strcmp(operation, "reconnect");
        Domain d = {0};

        if (!is_move && !is_early && !is_late && strcmp(operation, "start") != 0)
                return 0;
        is_ours = !strncmp(argv[1], "fluid-", 6) && strspn(argv[1] + 6, "0123456789abcdef") >= 12;
        (void) signal(SIGALRM, on_alarm);
        (void) alarm(5);
        bool is_read = read_text(stdin, xml) && scan(xml, &d);
        if (!(is_ours = is_read ? d.id[0] != '\0' : is_ours))
                return 0;
        why = !is_read  ? "its definition cannot be read; define it again"
              : is_move ? "only fluid may save or move it; see virsh managedsave-remove"
                        : judge(&d, is_early);
        if (why == lost && is_late) {
                (void) flock(open(FLUID_FIREWALL, O_RDONLY | O_CLOEXEC), LOCK_EX);
                if (judge(&d, is_early) == lost && fork() == 0) {
                        (void) execle("/usr/sbin/nft", "nft", "-f", RULESET, NULL, (char *[]){0});
                        _exit(127);
                }
                (void) wait(NULL);
                why = judge(&d, is_early);
        }
        if (why)
                (void) fprintf(stderr, "fluid: sandbox %.12s may not run: %s\n",
                               is_read ? d.id : argv[1] + 6, why);
        return why ? 1 : 0;
}
