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
    pooled       several listeners together: who is preferred, how far they agree
    results      all listeners of a run, joined for statistics, notes and advice
    shared       the key to a page that is sent to a listener
    answers      what such a page gives to send back
    collect      brings that in, and picks of other tools
    notes        the markdown export
    advice       the next run, with reasons
"""
