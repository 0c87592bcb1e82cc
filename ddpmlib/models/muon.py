"""Muon, an optimizer for matrices of weights, with Adam for all others."""

import torch

OPTIMIZERS = ("muon", "adam")
MOMENTUM = 0.95
# Of a polynomial that moves singular values towards 1, and how often it is applied (Jordan 2024).
COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5
RMS = 0.2  # of an update with learning rate 1, about that of Adam
ENDS = ("stem.", "head.")  # of the network: these see pixels, and stay with Adam


def optimizer_of(network: torch.nn.Module, name: str, learning_rate: float) -> torch.optim.Adam:
    """The optimizer of a name in OPTIMIZERS: "muon" (with Adam for the rest) or "adam" alone."""
    kernels, others = [], []
    for path, weight in network.named_parameters():
        inner = weight.ndim == 4 and not path.startswith(ENDS)
        (kernels if inner and name == "muon" else others).append(weight)
    if not kernels:
        return torch.optim.Adam(others, lr=learning_rate, fused=True)
    return Muon(kernels, others, learning_rate)


class Muon(torch.optim.Adam):
    """Muon for the kernels of convolutions, each as a matrix (out, in * height * width); Adam for
    the others (Jordan 2024, "Muon: An optimizer for hidden layers in neural networks").

    The update is the momentum with all its singular values moved to about 1, so that it changes
    what the gradient hardly shows as much as what dominates it. It is scaled to the size of Adam's
    (Liu et al. 2025, "Muon is Scalable for LLM Training", eq. 4): one learning rate serves both.
    """

    # Not torch.optim.Muon: it takes no convolutions, and computes in bfloat16, which is slow on
    # processors without instructions for it.

    def __init__(self, kernels: list, others: list, learning_rate: float):
        super().__init__([{"params": others}, {"params": kernels}], lr=learning_rate, fused=True)

    @torch.no_grad()
    def step(self, closure=None):
        group = self.param_groups[1]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            if not (state := self.state[weight]):  # "step" is for Adam, which asks for it
                state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(weight)}
            momentum = state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
            matrix = weight.grad.lerp(momentum, MOMENTUM).flatten(1)
            update = orthogonalised(matrix).view(weight.shape)
            weight.sub_(update, alpha=group["lr"] * RMS * max(matrix.shape) ** 0.5)
            weight.grad = None  # so that Adam leaves it alone
        return super().step(closure)


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix with the same singular vectors, and all singular values about 1 (0.7 to 1.2)."""
    wide = matrix.T if len(matrix) > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)
    # Polynomials of x x^T times x: all but two products are of the small square matrix.
    gram, product = x @ x.T, torch.eye(len(x), device=x.device)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        step = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        step.diagonal().add_(a)
        product, gram = step @ product, step @ gram @ step
    x = product @ x
    return x.T.contiguous() if wide is not matrix else x
