"""Packing: documents' tokens, in a drawn order, become sequences of fixed length.

    draws      which documents, how often and in which order: partitioned files of (shard, row, copy, ...)
    bestfit    the kernel: best-fit decreasing over bins by their free room
    layout     which tokens of which draw go where in which sequence (concatenate, best fit, several lengths)
    write      the pack files
    statistics truncation and utilisation

Every pack file is made by itself from its partitions of the draws and the token shards that they name,
in any process and any order, so the bytes don't depend on the workers.
"""
