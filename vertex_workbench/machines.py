"""Machine types of Workbench instances: which GPUs they have, and what an hour costs."""

import re
from typing import NamedTuple

PRICES_DATE = "autumn 2026"  # of the prices below: third-party, for us-central1, to be checked
N1_ACCELERATORS = ("NVIDIA_TESLA_T4", "NVIDIA_TESLA_P4", "NVIDIA_TESLA_P100", "NVIDIA_TESLA_V100")


class Machine(NamedTuple):
    """What a machine type has built in."""

    accelerator: str  # as the Notebooks API names it
    count: int
    usd_per_hour: float | None = None  # None: not known


_L4, _A100, _A100_80GB = "NVIDIA_L4", "NVIDIA_TESLA_A100", "NVIDIA_A100_80GB"
_L4_COUNTS = {4: 1, 12: 1, 16: 1, 24: 2, 32: 1, 48: 4, 96: 8}  # by number of processors
MACHINES = {
    "g2-standard-8": Machine(_L4, 1, 0.85),
    "a2-highgpu-1g": Machine(_A100, 1, 3.67),
    "a2-ultragpu-1g": Machine(_A100_80GB, 1, 5.07),
    **{f"g2-standard-{cpus}": Machine(_L4, count) for cpus, count in _L4_COUNTS.items()},
    **{f"a2-highgpu-{count}g": Machine(_A100, count) for count in (2, 4, 8)},
    "a2-megagpu-16g": Machine(_A100, 16),
    **{f"a2-ultragpu-{count}g": Machine(_A100_80GB, count) for count in (2, 4, 8)},
}


def gpu_of(machine: str, accelerator: str = "", count: int = 0) -> tuple[str, int]:
    """Accelerator type and count of an instance; ("", 0) on a machine without.

    Args:
        machine: type of the machine.
        accelerator: wanted; empty: what it has built in.
        count: wanted; 0: what it has built in, else one.

    Raises:
        ValueError: the machine type cannot have them.
    """
    family = machine.split("-")[0]
    if machine in MACHINES:
        built_in = MACHINES[machine][:2]
        if accelerator not in ("", built_in[0]) or count not in (0, built_in[1]):
            raise ValueError(
                f"accelerator and accelerator_count are {accelerator!r} and {count}, but {machine} "
                f"has {built_in[0]!r} and {built_in[1]} built in; leave them out"
            )
        return built_in
    if family in ("g2", "a2"):
        known = sorted(name for name in MACHINES if name.startswith(family))
        raise ValueError(f"machine is {machine!r}; needed: one of {', '.join(known)}")
    if re.fullmatch(r"[ag]\d.*", family):
        raise ValueError(
            f"machine is {machine!r}, whose GPU the client of the Notebooks API v2 does not know; "
            "needed: a g2 or a2 type, or an n1 type with an accelerator"
        )
    if not accelerator and not count:
        return "", 0
    if family != "n1" or accelerator not in N1_ACCELERATORS:
        raise ValueError(
            f"accelerator is {accelerator!r} on {machine}; needed: an n1 type with one of "
            f"{', '.join(N1_ACCELERATORS)}"
        )
    return accelerator, count or 1
