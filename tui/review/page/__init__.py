"""Pages that are one file: clips, player and pictures inside, nothing fetched, opened from where they lie.

sounds     clips, level-matched and encoded, with their waveforms
document   the file around a page's content, its scripts and its styles
player.js  plays clips and switches between them at the same position
page.css   how such a page looks, light and dark, from a phone's width on
session.js, share*   the listening page: a session by the panel's rules, what is shown of it, what its keys do
"""
