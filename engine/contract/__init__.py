"""What engine and panel agree on: settings, events, the run folder, liveness. Imports neither torch nor textual."""
