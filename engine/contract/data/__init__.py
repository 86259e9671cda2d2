"""A data set as its user keeps it: which clip has which caption, in which split, a piece of which track."""
