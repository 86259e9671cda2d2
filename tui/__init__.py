"""The panel: shows runs, plays clips, collects what the listener says. Never imports torch."""
