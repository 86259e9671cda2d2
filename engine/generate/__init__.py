"""Clips from models: decoding, evaluation of models on prompts, measures of what comes out."""
