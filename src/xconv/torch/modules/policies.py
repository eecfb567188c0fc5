"""RandAugment and AugMix: chains of random changes, the same for the whole batch but for the numbers drawn in them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xconv.torch.modules.blurs import RandomSharpness
from xconv.torch.modules.colours import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
)
from xconv.torch.modules.described import Interval, RandomPicture
from xconv.torch.modules.histograms import AutoContrast, Equalization, Solarization
from xconv.torch.modules.warps import RandomRotation, RandomShear, RandomTranslation

__all__ = ["AugMix", "RandAugment"]


def _shapes(factor: Interval, value_range: Interval, interpolation: str) -> list[nn.Module]:
    """What both policies choose from."""
    bits = (1, max(1, int(8 * factor[1])))
    return [
        RandomShear(factor, factor, interpolation),
        RandomTranslation(factor, factor, interpolation=interpolation),
        RandomRotation(factor, interpolation=interpolation),
        RandomPosterization(bits, value_range),
        Solarization(factor, factor, value_range),
        AutoContrast(value_range),
        Equalization(value_range),
    ]


def _colours(factor: Interval, value_range: Interval) -> list[nn.Module]:
    """What RandAugment, and AugMix with all operations, choose from too."""
    kinds = (RandomBrightness, RandomColorDegeneration, RandomContrast, RandomSharpness)
    return [kind(factor, value_range) for kind in kinds]


class RandAugment(RandomPicture):
    """`num_ops` of eleven changes, drawn for the batch; one that is drawn twice changes by the same numbers twice."""

    def __init__(
        self,
        value_range: Interval = (0, 255),
        num_ops: int = 2,
        factor: Interval = (0.0, 0.5),
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__(value_range=value_range, num_ops=num_ops, factor=factor, interpolation=interpolation)
        self.num_ops = num_ops
        changes = [*_shapes(factor, value_range, interpolation), *_colours(factor, value_range)]
        self.changes = nn.ModuleList(changes)

    def change(self, x: Tensor) -> Tensor:
        seeds = torch.randint(2**62, (len(self.changes),)).tolist()
        for place in torch.randint(len(self.changes), (self.num_ops,)).tolist():
            with torch.random.fork_rng():
                torch.manual_seed(seeds[place])
                x = self.changes[place].change(x)
        return x


class AugMix(RandomPicture):
    """The picture mixed with `num_chains` chains of up to `chain_depth` changes, drawn for the batch."""

    def __init__(
        self,
        value_range: Interval = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Interval = (0.0, 0.3),
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__(
            value_range=value_range,
            num_chains=num_chains,
            chain_depth=chain_depth,
            factor=factor,
            alpha=alpha,
            all_ops=all_ops,
            interpolation=interpolation,
        )
        self.value_range, self.num_chains, self.chain_depth, self.alpha = value_range, num_chains, chain_depth, alpha
        more = _colours(factor, value_range) if all_ops else []
        self.changes = nn.ModuleList([*_shapes(factor, value_range, interpolation), *more])

    def change(self, x: Tensor) -> Tensor:
        alpha = torch.tensor(float(self.alpha), dtype=x.dtype, device=x.device)
        shares = torch.distributions.Dirichlet(alpha.expand(self.num_chains)).sample()
        weight = torch.distributions.Beta(alpha, alpha).sample()
        mixed = torch.zeros_like(x)
        for share in shares:
            mixed = mixed + share * self._chain(x)
        return (weight * x + (1.0 - weight) * mixed).clamp(*self.value_range)

    def _chain(self, x: Tensor) -> Tensor:
        """One of the changes, or none, at every step."""
        for place in torch.randint(len(self.changes) + 1, (self.chain_depth,)).tolist():
            x = x if place == len(self.changes) else self.changes[place].change(x)
        return x
