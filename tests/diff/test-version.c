/* SPDX-License-Identifier: MIT */
#include "diff/version.h"
#include "tests/tap.h"

typedef struct Case {
        const char *a, *b;
        int order; /* -1: a is older */
} Case;

static int sign(int n)
{
        return (n > 0) - (n < 0);
}

static void test_table(const char *what, int (*compare)(Span, Span), const Case *cases, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                Span a = span_of(cases[i].a), b = span_of(cases[i].b);

                tap_is_int(sign(compare(a, b)), cases[i].order, "%s: '%s' and '%s'", what,
                           cases[i].a, cases[i].b);
                tap_is_int(sign(compare(b, a)), -cases[i].order, "and the other way round");
                tap_ok(compare(a, a) == 0, "each is equal to itself");
        }
}

/* From deb-version(7), and from what dpkg --compare-versions says. */
static const Case debian[] = {
        {"1.0", "1.0", 0},
        {"1.0", "1.1", -1},
        {"1.9", "1.10", -1},
        {"1.2", "1.2.1", -1},
        {"1.0-1", "1.0-2", -1},
        {"1.0", "1.0-1", -1},
        {"1.0", "1.0-0", 0},
        {"1:0.9", "1.0", 1},
        {"0:1.0", "1.0", 0},
        {"2:1.0", "10:1.0", -1},
        {"1.0~rc1", "1.0", -1},
        {"1.0~rc1", "1.0~rc2", -1},
        {"1.0~", "1.0~~", 1},
        {"1.0~~a", "1.0~", -1},
        {"1.0~", "1.0a", -1},
        {"1.0a", "1.0+", -1},
        {"1.0", "1.0a", -1},
        {"1.0a", "1.0b", -1},
        {"1.0Z", "1.0a", -1},
        {"1.007", "1.7", 0},
        {"1.0+deb12u1", "1.0+deb12u2", -1},
        {"2.36-9+deb12u9", "2.36-9+deb12u14", -1},
        {"1.22.1-9", "1.22.1-9+b1", -1},
        {"1-1-2", "1-1-10", -1},
        {"99999999999999999999", "100000000000000000000", -1},
        {"", "0", 0},
        {"", "a", -1},
        {"a.", "a", 1},
};

/* From rpm-version(7), and from what rpm's own vercmp says. */
static const Case rpm[] = {
        {"1.0", "1.0", 0},
        {"1.0", "2.0", -1},
        {"2.0.1", "2.0", 1},
        {"2.0.1a", "2.0.1", 1},
        {"5.5p1", "5.5p2", -1},
        {"5.5p1", "5.5p10", -1},
        {"10xyz", "10.1xyz", -1},
        {"xyz10", "xyz10.1", -1},
        {"xyz.4", "8", -1},
        {"1.0010", "1.9", 1},
        {"1.05", "1.5", 0},
        {"4.999.9", "5.0", -1},
        {"20101121", "20101122", -1},
        {"2_0", "2.0", 0},
        {"2_0", "2_0", 0},
        {"a+", "a_", 0},
        {"+", "_", 0},
        {"1.0~rc1", "1.0", -1},
        {"1.0~rc1", "1.0~rc2", -1},
        {"1.0~rc1~git123", "1.0~rc1", -1},
        {"1.0^", "1.0", 1},
        {"1.0^git1", "1.0", 1},
        {"1.0^git1", "1.0^git2", -1},
        {"1.0^git1", "1.01", -1},
        {"1.0^20160101", "1.0.1", -1},
        {"1.0^20160101^git1", "1.0^20160102", -1},
        {"1.0~rc1^git1", "1.0~rc1", 1},
        {"1.0^git1~pre", "1.0^git1", -1},
        {"1:1.0-1", "2.0-1", 1},
        {"0:1.0-1", "1.0-1", 0},
        {"1.0-1.fc38", "1.0-2.fc38", -1},
        {"1.0-1", "1.0", 0},
        {"1.0-1.fc38", "1.0-1.fc39", -1},
};

int main(void)
{
        test_table("dpkg", version_compare_dpkg, debian, G_N_ELEMENTS(debian));
        test_table("rpm", version_compare_rpm, rpm, G_N_ELEMENTS(rpm));
        return tap_done();
}
