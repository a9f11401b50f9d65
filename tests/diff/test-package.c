/* SPDX-License-Identifier: MIT */
#include "diff/deb822.h"
#include "diff/package-source.h"
#include "diff/package.h"
#include "tests/tap.h"

static void test_deb822(void)
{
        static const char text[] = "\n\nA: one\nB : two\n more\n .\n# c: no\n\tlast\nbad\nC:\n\n"
                                   "   \nA: three";
        Span rest = span_of(text), stanza, value, name;

        tap_ok(deb822_next_stanza(&rest, &stanza), "a stanza begins behind empty lines");
        tap_ok(deb822_find(stanza, "a", &value) && span_is(value, "one"),
               "a field is found whatever its case");
        tap_ok(deb822_find(stanza, "B", &value) && span_is(value, "two\n more\n ."),
               "lines that go on belong to it");
        tap_ok(deb822_find(stanza, "C", &value) && value.size == 0, "a field may be empty");
        tap_ok(!deb822_find(stanza, "D", &value) && !deb822_find(stanza, "c: no", &value),
               "what is no field is none");
        unsigned n = 0;
        for (Span s = stanza; deb822_next_field(&s, &name, &value);)
                n++;
        tap_is_int(n, 3, "each field comes once");
        tap_ok(deb822_next_stanza(&rest, &stanza) && deb822_find(stanza, "A", &value) &&
                       span_is(value, "three"),
               "the next stanza needs no newline at its end");
        tap_ok(!deb822_next_stanza(&rest, &stanza), "and then there is no more");
}

static void test_status(void)
{
        static const char text[] =
                "Package: b\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n"
                "Multi-Arch: same\nConffiles:\n /etc/b 0123\n /etc/c 4567 obsolete\n\n"
                "Package: a\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 2\n\n"
                "Package: ../evil\nStatus: install ok installed\nVersion: 1\n\n"
                "Package: c/d\nStatus: install ok installed\nVersion: 1\n\n"
                "Package: no-status\nVersion: 1\n\n"
                "Package: odd\nStatus: install ok wondrous\nVersion: 1\n\n"
                "Package: half\nStatus: install reinstreq half-installed\n";
        g_autoptr(GPtrArray) packages = package_list_new(), distroless = package_list_new();

        tap_ok(package_parse_status(span_of(text), false, packages), "a status database is read");
        package_list_sort(packages);
        tap_is_int(packages->len, 3, "what is no package is passed over");
        const Package *a = packages->pdata[0], *b = packages->pdata[1], *half = packages->pdata[2];
        tap_is_str(a->name, "a", "packages are sorted");
        tap_ok(!package_is_present(a) && a->state == STATE_CONFIG_FILES,
               "one of which only configuration is left is not there");
        tap_ok(package_is_present(b) && b->multi_arch_same && strcmp(b->version, "1.0") == 0 &&
                       strcmp(b->architecture, "amd64") == 0,
               "one that is installed is");
        tap_ok(span_starts_with(b->conffiles, "/etc/b") || span_has(b->conffiles, '/'),
               "with its configuration files");
        tap_is_str(package_state_to_string(half->state), "half-installed",
                   "and one that is half there");
        tap_ok(package_parse_status(span_of("Package: base\nVersion: 1\n"), true, distroless) &&
                       distroless->len == 1 && package_is_present(distroless->pdata[0]),
               "a file in status.d has no state");
}

typedef struct SourceCase {
        GPtrArray *(*parse)(Span text);
        const char *text;
        const char *expected; /* each source and a newline; "-" before one that is off */
} SourceCase;

static void test_sources(void)
{
        static const SourceCase cases[] = {
                {sources_parse_list,
                 "# deb http://no x main\n deb  http://a b c\ndeb-src http://a b\n",
                 "deb  http://a b c\ndeb-src http://a b\n"},
                {sources_parse_list, "deb [trusted=yes] https://user:pass@h/d x y\n",
                 "deb [trusted=yes] https://***@h/d x y\n"},
                {sources_parse_list, "rpm http://a\n\n", ""},
                {sources_parse_deb822,
                 "Types: deb deb-src\nURIs: http://a\nSuites: b\n b-updates\nComponents: main\n\n"
                 "Types: deb\nURIs: http://c\nSuites: ./\nEnabled: no\nTrusted: yes\n",
                 "deb deb-src http://a b b-updates main\n-deb http://c ./ [trusted]\n"},
                {sources_parse_deb822, "Enabled: yes\n\n\n", ""},
                {sources_parse_repo,
                 "[main]\nbaseurl=http://a\nenabled=1\n# x\n[extra]\nname=x\nmetalink = http://b\n"
                 "enabled = 0\ngpgcheck=0\n",
                 "main http://a\n-extra http://b (signatures not checked)\n"},
                {sources_parse_repo, "baseurl=http://nobody\n", ""},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GPtrArray) list = cases[i].parse(span_of(cases[i].text));
                g_autoptr(GString) got = g_string_new(NULL);

                for (unsigned j = 0; j < list->len; j++) {
                        const PackageSource *source = list->pdata[j];

                        g_string_append_printf(got, "%s%s\n", source->enabled ? "" : "-",
                                               source->text);
                }
                tap_is_str(got->str, cases[i].expected, "sources of text %zu", i);
        }
}

int main(void)
{
        test_deb822();
        test_status();
        test_sources();
        return tap_done();
}
