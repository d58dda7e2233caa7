"""Fine-tuning: losses, what is trained, physical bounds, the loop, checkpoints."""
