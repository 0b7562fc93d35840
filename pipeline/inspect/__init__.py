"""What the filters of a run did: shares, scores around the thresholds, examples, and whose text was dropped.

    runs      which steps and stages a run had, with the options of that time, and their files
    files     the same for plain files that `gristmill filter ... --dropped` wrote
    facts     one streaming pass over a step's shards: one small row a document, no text
    measures  thresholds, histograms, how many documents fail each rule
    rates     drop rates by language, page type and identity term
    terms     which identity terms a text names
    examples  documents nearest to a threshold, and random ones
    editors   the spans that editors took
    inspection  puts all of it together as one JSON value
    tables, svg  show that value

polars does the relational work, lazily and streaming: memory does not grow with the number of documents.
"""
