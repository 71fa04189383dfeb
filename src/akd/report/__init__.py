"""A run made visible: its folder becomes values (`gather`), values become a page (`page`) or a terminal's frame (`live`)."""
