"""N-gram language models for the stage `perplexity`: CCNet's normalisation, tokens, KenLM scores, a small trainer."""
