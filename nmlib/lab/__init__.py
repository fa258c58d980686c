"""The suite around the library: one room for each notebook, and what they share.

`toy` 01, `theory` 02, `corruptions` 03, `blocks` 04, `cifar` 05, `ablation` 06, `paper` 07,
`imagenet` 08. A room holds the displays, the panel with its static files, the study and the
exercises of its notebook. `display` and `panel` hold what all rooms use for drawing and for
messages; `speed` draws what `benchmarks/` measured. The library imports nothing from here.
"""
