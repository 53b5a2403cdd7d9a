"""Paper bundles: what an experiment found, as the pieces of a LaTeX paper.

`study` holds one experiment; `numbers`, `tables`, `figures`, `methods`, `appendix` and `references`
make its pieces as text; `bundle` puts the files of a folder together, in memory; `folder` writes
them and never over what a hand has changed; `drift` compares a folder with what its results give,
and `prose` the text of an author. `template/` holds the files that are the same in every bundle.
"""
