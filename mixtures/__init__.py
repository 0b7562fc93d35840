"""Which documents are trained on: mixtures of sources, and data selection.

recipe     mixture files, validated; `page` makes docs/mixtures.md of them
sources    token shards of a mixture's sources
catalogue  what is known of each document; `near` finds clusters of near-duplicates
planning   what is held out and thrown away, and strata; `amounts` has the arithmetic of targets
cuts       where each phase of each stratum ends (`positions`); `drawing` writes the draws
step       the run step `mix`; `estimate` and `show` are `gristmill mix plan`
dsir, selection   selection of documents
"""
