"""The panel's view of run folders: summaries, following a log, starting and stopping engines, the queue, replay."""
