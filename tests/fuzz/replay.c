/* SPDX-License-Identifier: MIT */

/* Runs one fuzzer's entry point over the files that are named: the corpus, in every test run. */

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                g_autofree char *bytes = NULL;
                size_t size;
                Fault fault = {0};
                if (file_read(argv[i], 16 << 20, &bytes, &size, &fault) < 0) {
                        (void) fprintf(stderr, "%s\n", fault.message);
                        return EXIT_FAILURE;
                }
                (void) LLVMFuzzerTestOneInput((const uint8_t *) bytes, size);
        }
        return EXIT_SUCCESS;
}
