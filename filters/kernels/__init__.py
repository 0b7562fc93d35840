"""Text kernels over Arrow buffers: segments, counts and repetition of a whole column at once.

Input is a text column (`pa.Array` or `pa.ChunkedArray` of strings; null = empty text) or a `columns.Text`. Output
are flat arrays. Spans are absolute byte positions in the column's bytes; `offsets[i]:offsets[i + 1]` are those of
document i. Nothing here is imported with `filters`: import the modules where they are used, they load numba.

    from filters.kernels import segments

    segments.words(column)              -> Spans with kinds: UAX #29 words; one token a character in Han, Thai ...
    segments.whitespace_words(column)   -> Spans: as Python's str.split()
    segments.lines(column)              -> Spans: as text.split("\\n"), "\\r\\n" is one break
    segments.breaks(column, 2, ...)     -> Spans: parts between runs of at least so many line breaks (paragraphs)
    segments.sentences(column)          -> Spans: UAX #29 sentences without the white space around them
    segments.describe(text, spans)      -> Tokens: characters, character classes, ids and hashes of spans

    from filters.kernels import measures

    measures.characters(column)         -> Counts: characters by class, "#", ellipses, line breaks of each document
    measures.lines(text, spans)         -> LineCounts: blank, short, bulleted, terminal ... lines of each document
    measures.duplicates(tokens, spans)  -> Duplicates: repeated lines or paragraphs, by count and by characters
    measures.repeated_ngrams(...)       -> characters in the top n-gram (n = 2 to 4) and in repeated ones (5 to 10)
    measures.stop_words(...)            -> distinct stop words of each document
"""
