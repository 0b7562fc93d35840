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
    segments.word_tokens(column)        -> Tokens of `words`, made in the same pass

    from filters.kernels import measures

    measures.signs(column)              -> Signs: characters, line feeds, "#" and ellipses of each document
    measures.classes(column)            -> Classes: characters of each document by class
    measures.line_holds(text, lines)    -> flags of each line: blank, bullet, ellipsis or terminal mark at its end
    measures.repeats(text, spans)       -> Repeats: repeated lines or paragraphs, by count and by characters
    measures.repeated_ngrams(...)       -> characters in the top n-gram (n = 2 to 4) and in repeated ones (5 to 10)
    measures.token_sums(tokens, spans)  -> words, their characters, words with a letter, of each document
    measures.word_counts(spans)         -> words of each document
    measures.StopWords(words).count(..) -> distinct stop words of each document
"""
