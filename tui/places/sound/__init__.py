"""How sound travels, and the levels clips are played at."""
