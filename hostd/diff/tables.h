/* SPDX-License-Identifier: MIT */
#pragma once

/* The inode tables of two file systems that have the same layout, as bytes.
 *
 * Read in pieces of a group's table, since most inodes are of interest for one look only. */

#include "diff/delta.h"
#include "diff/filesystem.h"

/* Whether an inode number, a block number and each bit of metadata mean the same in both: the same
 * size, groups, features and places of the inode tables, and these within the view. */
bool tables_match(const Filesystem *old, const Filesystem *new);

/* Appends the numbers (uint32_t, ascending) of the inodes whose bytes differ. */
int tables_find_changed(Filesystem *old, Filesystem *new, const Delta *delta, GArray *inodes,
                        Fault *f);

/* A run of inodes in one group. */
typedef struct TablePiece {
        uint32_t first, n; /* n is 0 where all are free and were never used */
        uint8_t *bytes;    /* of inode_size each */
} TablePiece;

/* Allocates room for any piece. */
void table_piece_init(TablePiece *piece);
void table_piece_done(TablePiece *piece);

/* Pieces are numbered from 0 in the order of the inodes. */
uint32_t table_piece_count(const Filesystem *fs);
uint32_t table_piece_per_group(const Filesystem *fs);
uint32_t table_groups_per_flex(const Filesystem *fs);
uint32_t table_piece_of_inode(const Filesystem *fs, uint32_t ino);
int table_piece_read(TablePiece *piece, Filesystem *fs, uint32_t number, Fault *f);
