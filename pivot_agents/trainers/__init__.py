"""Trainers: supervised fine-tuning and policy gradient."""
