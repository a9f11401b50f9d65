/* SPDX-License-Identifier: MIT */

/* Random texts as they would stand in a playbook: yaml-scalars COUNT SEED writes YAML to standard
 * output, and to descriptor 3 each text with its size before it (32 bits, little endian). */

#include "base/cleanup.h"
#include "base/file.h"
#include "diff/yaml-writer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What YAML, Jinja, Python, shells and terminals may take for something else. */
static const char *const traps[] = {
        "{{ x }}",
        "{%",
        "%}",
        "{#",
        "!!python/object:os.system",
        "!unsafe",
        "&a",
        "*a",
        "- ",
        ": ",
        " #",
        "\n",
        "\r\n",
        "\r",
        "\t",
        "\"",
        "'",
        "\\",
        "\\x41",
        "|",
        ">",
        "---",
        "...",
        "%YAML",
        "true",
        "null",
        "~",
        "0x1f",
        "1e3",
        "=",
        "<<",
        "@",
        "`",
        "\x7f",
        "\x1b[31m",
        "$HOME",
        " ",
        "\xc2\x85",
        "\xc2\xa0",
        "\xe2\x80\xa8",
        "\xe2\x80\xa9",
        "\xef\xbb\xbf",
        "\xef\xbf\xbe",
        "\xef\xbf\xbf",
        "\xf0\x9f\x98\x80",
        "\xf4\x8f\xbf\xbf",
        "\xc3\xa9",
};

static void append_character(GRand *random, GString *text)
{
        gunichar c;

        do {
                c = (gunichar) g_rand_int_range(random, 1, 0x110000);
        } while (c >= 0xd800 && c < 0xe000);
        g_string_append_unichar(text, c);
}

static void make_text(GRand *random, GString *text)
{
        int n = g_rand_int_range(random, 0, 12);

        g_string_truncate(text, 0);
        for (int i = 0; i < n; i++)
                switch (g_rand_int_range(random, 0, 5)) {
                case 0:
                        g_string_append(text,
                                        traps[g_rand_int_range(random, 0, G_N_ELEMENTS(traps))]);
                        break;
                case 1:
                        append_character(random, text);
                        break;
                case 2:
                        g_string_append_c(text, (char) g_rand_int_range(random, 1, 0x80));
                        break;
                default:
                        g_string_append_c(text, (char) g_rand_int_range(random, 0x20, 0x7f));
                }
}

int main(int argc, char **argv)
{
        unsigned long count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
        GRand *random = g_rand_new_with_seed(argc == 3 ? (guint32) strtoul(argv[2], NULL, 10) : 0);
        g_autoptr(GString) text = g_string_new(NULL), expected = g_string_new(NULL);
        g_autoptr(YamlWriter) writer = yaml_writer_new();
        g_autofree char *yaml = NULL;
        Fault fault = {0};

        yaml_writer_list(writer);
        for (unsigned long i = 0; i < count; i++) {
                uint32_t size;

                /* As in a role: below keys, in lists, deep and flat. */
                make_text(random, text);
                size = GUINT32_TO_LE((uint32_t) text->len);
                g_string_append_len(expected, (const char *) &size, sizeof(size));
                g_string_append_len(expected, text->str, (gssize) text->len);
                yaml_writer_map(writer);
                yaml_writer_ours(writer, "name");
                yaml_writer_ours(writer, "one");
                yaml_writer_ours(writer, "items");
                if (i % 3 == 0) {
                        yaml_writer_list(writer);
                        yaml_writer_theirs(writer, text->str, text->len);
                        yaml_writer_end_list(writer);
                } else {
                        yaml_writer_theirs(writer, text->str, text->len);
                }
                yaml_writer_end_map(writer);
        }
        yaml_writer_end_list(writer);
        g_rand_free(random);
        if (yaml_writer_end(writer, &yaml, &fault) < 0) {
                fprintf(stderr, "%s\n", fault.message);
                return EXIT_FAILURE;
        }
        return write_all(STDOUT_FILENO, yaml, strlen(yaml)) < 0 ||
                               write_all(3, expected->str, expected->len) < 0
                       ? EXIT_FAILURE
                       : EXIT_SUCCESS;
}
