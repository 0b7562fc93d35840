"""Linear text classifiers in fastText's format: reading, scoring, training, judging and calibrating them.

`format` reads the file, `tables` makes it small, `model` scores texts by the kernels in `filters/kernels`,
`card` is the contract beside a model, `filter` the base of the filters that use one.
"""
