"""Sound for the panel: one worker process, one mixer, several outputs behind one port.

The panel talks to :class:`tui.audio.player.Player` only. It imports neither textual nor sounddevice, no
method blocks, and none raises for anything that sound hardware, a tunnel or a browser can do: such things
arrive as messages and stand in ``status.error``::

    from tui.audio.player import Player, PlayerMessage

    player = Player(port=8765, latency=0.2, restart_on_switch=False, remote_keys=True)
    player.listen(on_message)        # called in a thread of the player: hand it on with app.call_from_thread
    player.start("auto")             # or local, browser, pulse, pacat, none (the setting audio.output)
    player.load([a_wav, b_wav, c_wav], gains_db=[-1.5, 0.0, -3.2], title="the prompt", names=["A", "B", "C"])
    player.play(0)                   # from where the last stop, seek or switch left the position
    player.play(0, position=0.0)     # from the start
    player.switch(1)                 # the other clip at the same position, 5 ms out, then 5 ms in
    player.seek(-2.0, relative=True) # seconds
    player.loop((3.0, 6.5))          # a region; (0.0, None) is the whole clip; None ends looping
    player.pause()                   # keeps the position; stop() goes back to the start
    player.cycle_output()            # the next output in the order of trial
    player.prove()                   # a chirp, heard back where the output can be recorded
    player.answer(True)              # the listener's "yes, I heard it" where it cannot
    player.close()                   # ends the worker; idempotent

``player.status`` is a frozen :class:`~tui.audio.player.PlayerStatus`, cheap to read at any time from any
thread; its ``position`` moves on by itself between two messages of the worker. The fields:

========== ============================================================================================
output     "local", "browser", "pulse", "pacat", "none"; "" while the outputs are being tried
label      a few characters for the header: "laptop (browser)", "speakers", "no sound"
proven     sound was heard coming back (a chirp, or the first clip that plays), or the listener said so
playing    whether the position moves
index      the clip that plays or would play, an index into ``load``'s list
position   seconds from the start of the clip
duration   seconds, of the clip at ``index``
heard      seconds of each clip played since it was loaded (what was rendered while playing, not wall time)
loop       None, or (start, end) in seconds; an end of None is the end of the clip
error      "" or one sentence: what is wrong and what to do
hint       "" or what to type on the laptop to get sound (several lines; the browser's address is among them)
url        "" or the address of the page, as seen from the laptop through the tunnel
========== ============================================================================================

Messages are :class:`~tui.audio.player.PlayerMessage` ``(kind, text, data)``. ``kind`` is one of

========== ============================================================================================
output     the output or its label changed (also: a page connected or went away)
loaded     the clips given to ``load`` can be played; data["durations"] in seconds
changed    playing, index or loop changed: redraw from ``status``
ended      the clip came to its end without a loop
error      ``text`` is a sentence for the listener; playing has stopped if it had to
proof      the result of ``prove``: data["proven"] is True or False, or None when the listener must say
           (ask "did you hear it?" and call ``answer``)
key        a key pressed in the browser page, by Textual's name (data["key"]: "a", "3", "space", "comma",
           "left" ...), to be treated like the same key in the panel
========== ============================================================================================

Clips of unequal length are legal: each ends at its own end; a switch to a clip that is already over ends
there, or goes to the start of the loop. ``play`` at the end of a clip starts it again. Loops are at least
0.5 s long; a shorter region is lengthened.

The worker (``python -m tui.audio.worker``) reads commands as JSON lines on stdin and writes messages as JSON
lines on stdout. Whatever native libraries write to its stderr stays out of the terminal. It is ended after
two seconds without a sign of life, started again with the clips it held, and the listener is told.
"""
