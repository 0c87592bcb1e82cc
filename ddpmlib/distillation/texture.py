"""How alike the textures of two sets of mel-spectrograms are, wherever in them they are."""

import torch
from torch.nn import functional

SIDE, STRIDE = 8, 2  # of a patch: bands and frames; and from one to the next
SCALES = (1, 4)  # what is averaged before, in bands and frames
ZONES = 4  # of bands, at the finest scale: fricatives are up there, harmonics down here
DIRECTIONS = 64
LEAST = 1e-2  # variance; that of mel-spectrograms is 0.17


def texture_distance(mels: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Sliced Wasserstein distance of their patches (Bonneel et al. 2015, "Sliced and Radon
    Wasserstein Barycenters of Measures"): the mean over directions of the distance of what is there
    in order of size.

    The patches of `wanted` are whitened, and the others like them: else the loudness of a patch
    would hide all the rest. Each zone of bands has its own.

    Args:
        mels, wanted: (batch, 1, n_mels, n_frames).
    """
    distances = []
    for scale in SCALES:
        if scale > 1 and min(mels.shape[2:]) < scale * SIDE:
            continue
        pair = [functional.avg_pool2d(images, scale) for images in (mels, wanted)]
        zones, spare = (ZONES if scale == 1 else 1), max(0, pair[0].shape[2] - SIDE)
        for zone in range(zones):
            bands = slice(zone * spare // zones, (zone + 1) * spare // zones + SIDE)
            distances.append(_distance(*(_patches(images[:, :, bands]) for images in pair)))
    return torch.stack(distances).mean()


def _patches(images: torch.Tensor) -> torch.Tensor:
    """(values of a patch, patches of all images)."""
    side = min(SIDE, *images.shape[2:])
    return functional.unfold(images, side, stride=STRIDE).transpose(0, 1).flatten(1)


def _distance(patches: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    centred = wanted - wanted.mean(dim=1, keepdim=True)
    # A small matrix, and not every device decomposes one.
    variances, axes = torch.linalg.eigh((centred @ centred.T / wanted.shape[1]).cpu())
    drawn = torch.randn(len(axes), DIRECTIONS, generator=torch.Generator().manual_seed(0))
    drawn = functional.normalize(drawn, dim=0)
    seen_from = (axes / (variances.clamp(min=0) + LEAST).sqrt() @ drawn).T.to(patches)
    ours, theirs = ((seen_from @ one).sort(dim=1).values for one in (patches, wanted))
    return (ours - theirs).abs().mean()
