"""The demo: a real model on real flights, watched while its input breaks."""
