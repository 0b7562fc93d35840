"""Taking documents out of finished packs: opt-outs and takedowns without a rebuild.

lists   which documents: files of URLs, domains and ids, held against the set's `documents/`
files   a pack file with the documents' positions overwritten and marked as removed
apply   the new set: changed files under new names, the log, and the manifest last of all
"""
