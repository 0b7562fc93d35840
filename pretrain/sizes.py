"""The named sizes of the model; kept apart from it so that they can be checked without torch."""

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"d_model": 128, "n_layers": 4, "n_heads": 4, "d_ff": 352},
    "small": {"d_model": 384, "n_layers": 6, "n_heads": 6, "d_ff": 1024},
    "base": {"d_model": 768, "n_layers": 12, "n_heads": 12, "d_ff": 2048},
}
