#!/bin/bash
# A million recordings on 4 machines of 8 accelerators: one process for each accelerator.
#
#   sbatch slurm.sh model.nir recordings.npy 1e-4 /shared/results
#
# SLURM tells JAX who is who. A job that is cut off (time limit, a machine that dies) is submitted again as it is: what
# lies in the folder is not scored again.
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00
#SBATCH --requeue
srun --kill-on-bad-exit=1 nirjax evaluate "$1" "$2" --dt "$3" --output "$4" --distributed
