"""Training over several processes: the same script on every machine.

    srun python train.py model.nir train.npz tuned.nir --dt 1e-4                      under SLURM
    python train.py model.nir train.npz tuned.nir --dt 1e-4 --place node1:9911 0 2    in two shells: 0 2, and 1 2

Every process reads its own samples of each batch, and all end with the same parameters.
"""

from __future__ import annotations

import argparse

import jax
import optax

import nirjax


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph")
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--dt", type=float, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--checkpoints", default="checkpoints")
    parser.add_argument("--place", nargs=3, metavar=("HOST:PORT", "I", "N"))
    args = parser.parse_args()

    # Before anything else of JAX. Under SLURM, Open MPI or Kubernetes it needs no arguments.
    if args.place:
        address, index, count = args.place
        jax.distributed.initialize(address, int(count), int(index))
    else:
        jax.distributed.initialize()

    model = nirjax.from_nir(args.graph, dt=args.dt)
    result = nirjax.finetune(
        model,
        args.data,
        optimizer=optax.adam(1e-3),
        epochs=args.epochs,
        batch_size=32 * jax.device_count(),
        checkpoints=args.checkpoints,
        resume=True,
    )
    if jax.process_index() == 0:
        nirjax.write(args.out, nirjax.to_nir(result.model, provenance=True))


if __name__ == "__main__":
    main()
