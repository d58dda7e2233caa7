"""Fine-tuning: what is trained, by which loss, within which bounds, and how nothing of it is lost.

what is trained     partition; optimizers (one for each pattern); constraints (physical bounds)
what is minimised   losses, made of comparisons (with a target), activity (regularisers), time_folds (statistics
                    over time) and folded_loss; scores (accuracy, rates); objectives, the one type of all of them
how it is measured  measures (of one batch), in pieces over time where it can be; scoring (of a whole source);
                    final_state; firing (does anything spike?); monitor (which is the best?)
for hardware        transforms; quantization, with layers (what shares a scale) and targets (the chips)
the loop            loop (`finetune`), training (a run), update (a step), state, checkpoints, interruption,
                    spreading (over devices and processes), callbacks, progress
compiled once       compiling, by the content of settings
"""
