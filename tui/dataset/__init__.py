"""A data set as it is edited: captions, words, splits, prompts. No screen, no torch; the panel and the commands use it.

An edit is kept at once, in the file that the caption was read from and in that file's own format:

=========================== ==========================================================================================
metadata.json, .jsonl       the one value in the clip's own entry; every other byte of the file stays as it is
metadata.csv                the clip's own record; a split, where there is no such column, is a new last column
caption.txt, caption.json   the file beside the clip. It can hold no split: to move a clip or to take it out, all
                            captions go into a new metadata.json, which is read instead of them from then on
anything else               (a CSV whose records differ in length, parquet): a new metadata.json likewise; one of
                            another form than a list becomes a list, and is kept beside as it was
=========================== ==========================================================================================

A clip that is taken out stays in the file with the split "out of train" (or of whichever it was in), which neither
training nor the checks look at; that is also where it goes back to.

The file as it was before the first edit is kept beside as FILE.orig. Edits of this program wait for one another (the
folder is locked), and what another program has written meanwhile is never thrown away: an edit goes into the file as it
is by then, and is refused where the caption or split that it would change is no longer the one that was shown.
"""
