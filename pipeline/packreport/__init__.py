"""`gristmill packs report`: what is in finished packs.

counts    queries over the documents tables and the packs' columns (polars, streaming)
samples   most frequent tokens, a few sequences decoded with their boundaries
build     the whole report as JSON, its sections and its page
"""
