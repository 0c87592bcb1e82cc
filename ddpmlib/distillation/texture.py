"""How alike the textures of two sets of mel-spectrograms are, wherever in them they are."""

import torch
from torch.nn import functional

SIDE, STRIDE = 8, 2  # of a patch: bands and frames; and from one to the next
ZONES = 4  # of bands, with patches of their own: fricatives are up there, harmonics down here
COLUMN = 4  # frames of the patches that have all bands
DIRECTIONS = 64
LEAST = 1e-2  # variance; that of mel-spectrograms is 0.17


def texture_distance(mels: torch.Tensor, wanted: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Sliced Wasserstein distance of their patches (Bonneel et al. 2015, "Sliced and Radon
    Wasserstein Barycenters of Measures"): the mean over directions of the distance of what is there
    in order of size.

    The patches of `wanted` are whitened, and the others like them: else the loudness of a patch
    would hide all the rest.

    Args:
        mels, wanted: (batch, 1, n_mels, n_frames).
        seed: of the directions; who learns by it must be looked at from many.
    """
    n_mels, pair, distances = mels.shape[2], (mels, wanted), []
    spare = max(0, n_mels - SIDE)
    for zone in range(ZONES):
        bands = slice(zone * spare // ZONES, (zone + 1) * spare // ZONES + SIDE)
        patches = (_patches(images[:, :, bands], (SIDE, SIDE), STRIDE) for images in pair)
        distances.append(_distance(*patches, seed))
    columns = (_patches(images, (n_mels, COLUMN), 1) for images in pair)
    distances.append(_distance(*columns, seed))
    return torch.stack(distances).mean()


def _patches(images: torch.Tensor, shape: tuple[int, int], stride: int) -> torch.Tensor:
    """(values of a patch, patches of all images)."""
    shape = tuple(map(min, shape, images.shape[2:]))
    return functional.unfold(images, shape, stride=stride).transpose(0, 1).flatten(1)


def _distance(patches: torch.Tensor, wanted: torch.Tensor, seed: int) -> torch.Tensor:
    centred = wanted - wanted.mean(dim=1, keepdim=True)
    # A small matrix, and not every device decomposes one.
    variances, axes = torch.linalg.eigh((centred @ centred.T / wanted.shape[1]).cpu())
    drawn = torch.randn(len(axes), DIRECTIONS, generator=torch.Generator().manual_seed(seed))
    drawn = functional.normalize(drawn, dim=0)
    seen_from = (axes / (variances.clamp(min=0) + LEAST).sqrt() @ drawn).T.to(patches)
    ours, theirs = ((seen_from @ one).sort(dim=1).values for one in (patches, wanted))
    return (ours - theirs).abs().mean()
