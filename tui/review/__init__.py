"""What a listener hears, says, and what can be concluded from it.

Pure Python: no textual, no torch, no sound. A listening session is plain data in one JSON file,
``review/LISTENER.json``; everything else here (blind order, statistics, notes, advice) is computed from it,
from the evaluation folder and from the run's events.

    evaluation   open an evaluation folder, ours or another script's
    order        the blind order, drawn from a stored seed
    state        what is stored of a session
    session      one listener's judgements, saved at every key
    loudness     BS.1770 loudness and the fixed gains that match the clips of a prompt
    envelope     waveform peaks and mel spectrogram of a clip
    statistics   sign test, permutation interval, power, consistency; and the sentences
    across       one session across runs: its folder; alike: which clips stand beside one another
    tournament   more models than letters: which pair comes next, and the scores
    pooled       several listeners together: who is preferred, how far they agree
    results      all listeners of a run, joined for statistics, notes and advice
    shared       the key to a page that is sent to a listener
    answers      what such a page gives to send back
    collect      brings that in, and picks of other tools
    report       what the notes say of a run, gathered
    plain_words  the run in one paragraph; course: its log in few lines; curve: its picture
    content      the notes as blocks, which markdown and page/ render
    notes        their export, as markdown, page, CSV and JSON
    page         pages in one file: sounds, player, the notes, the session to share
    advice       the next run, with reasons
"""
