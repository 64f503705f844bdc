"""The search step of DARTS: the architecture gradient (first and second order) and the two updates.

Equations 6 to 8 of the paper, with the virtual step of the published code (momentum and weight decay).
The architecture gradient is written functionally: weights, momentum and BN buffers are left as found.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

Batch = tuple[Tensor, Tensor]

WEIGHT_LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, GRAD_CLIP = 0.025, 0.9, 3e-4, 5.0
ARCH_LEARNING_RATE, ARCH_BETAS, ARCH_WEIGHT_DECAY = 3e-4, (0.5, 0.999), 1e-3


class Search:
    """A supernet, its alphas, and their two optimizers with the published settings."""

    def __init__(self, net: nn.Module, alphas: list[Tensor]):
        self.net = net
        self.alphas = alphas
        self.noise = None  # what random passes draw from: has a position `at` that can be set back
        self.weights = dict(net.named_parameters())
        self.weight_optimizer = torch.optim.SGD(
            net.parameters(), WEIGHT_LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
        )
        self.arch_optimizer = torch.optim.Adam(
            alphas, ARCH_LEARNING_RATE, betas=ARCH_BETAS, weight_decay=ARCH_WEIGHT_DECAY
        )

    # `buffers` decides what the BN layers update: a copy (the default) or, as published, the live ones.

    def copy_of_buffers(self) -> dict[str, Tensor]:
        return {name: b.clone() for name, b in self.net.named_buffers()}

    def loss(self, weights: dict[str, Tensor], batch: Batch, buffers: dict[str, Tensor] | None = None) -> Tensor:
        state = {**weights, **(self.copy_of_buffers() if buffers is None else buffers)}
        return F.cross_entropy(functional_call(self.net, state, (batch[0], *self.alphas)), batch[1])

    def first_order(self, valid: Batch, buffers=None) -> tuple[list[Tensor], dict]:
        """dL_V(w, alpha) / dalpha."""
        loss = self.loss(self.weights, valid, buffers)
        return list(torch.autograd.grad(loss, self.alphas)), {"valid_loss": loss.detach()}

    def virtual_step(self, train: Batch, buffers=None, create_graph=False) -> dict[str, Tensor]:
        """w' = w - eta (mu * momentum buffer + dL_T/dw + wd * w)."""
        group = self.weight_optimizer.param_groups[0]
        eta, mu, wd = group["lr"], group["momentum"], group["weight_decay"]
        grads = torch.autograd.grad(
            self.loss(self.weights, train, buffers), list(self.weights.values()), create_graph=create_graph
        )
        virtual = {}
        for (name, w), g in zip(self.weights.items(), grads):
            buffer = self.weight_optimizer.state.get(w, {}).get("momentum_buffer")
            m = 0.0 if buffer is None else mu * buffer
            virtual[name] = w.detach() - eta * (m + g + wd * w.detach())
        return virtual

    def second_order(self, train: Batch, valid: Batch, buffers=None, radius=0.01) -> tuple[list[Tensor], dict]:
        """dL_V(w', alpha)/dalpha - eta * [dL_T(w + eps v)/dalpha - dL_T(w - eps v)/dalpha] / (2 eps)."""
        eta = self.weight_optimizer.param_groups[0]["lr"]
        first_draw = self.noise.at if self.noise else 0
        virtual = {name: w.requires_grad_() for name, w in self.virtual_step(train, buffers).items()}
        loss = self.loss(virtual, valid)  # always on a copy of the BN buffers
        grads = torch.autograd.grad(loss, self.alphas + list(virtual.values()))
        a, v = grads[: len(self.alphas)], grads[len(self.alphas) :]
        v_norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in v]))
        eps = radius / v_norm

        last_draw = self.noise.at if self.noise else 0

        def arch_grad_at(signed_eps: Tensor) -> tuple[Tensor, ...]:
            if self.noise:
                self.noise.at = first_draw
            moved = {name: w.detach() + signed_eps * g for (name, w), g in zip(self.weights.items(), v)}
            return torch.autograd.grad(self.loss(moved, train, buffers), self.alphas)

        h = [(p - n) / (2 * eps) for p, n in zip(arch_grad_at(eps), arch_grad_at(-eps))]
        if self.noise:
            self.noise.at = last_draw
        return [g - eta * hvp for g, hvp in zip(a, h)], {"valid_loss": loss.detach(), "v_norm": v_norm, "eps": eps}

    def second_order_exact(self, train: Batch, valid: Batch) -> list[Tensor]:
        """The same hyper-gradient by double backward through the virtual step."""
        virtual = self.virtual_step(train, create_graph=True)
        return list(torch.autograd.grad(self.loss(virtual, valid), self.alphas))

    def arch_step(self, grads: list[Tensor]) -> None:
        for alpha, g in zip(self.alphas, grads):
            alpha.grad = g
        self.arch_optimizer.step()
        self.arch_optimizer.zero_grad()

    def weight_step(self, train: Batch) -> dict:
        """SGD on the live model (this forward pass updates its BN buffers); gradients clipped to norm 5."""
        loss = F.cross_entropy(self.net(train[0], *self.alphas), train[1])
        grads = torch.autograd.grad(loss, list(self.weights.values()))
        return {"train_loss": loss.detach(), "grad_norm": self.apply_weight_grads(grads)}

    def joint_step(self, batch: Batch) -> tuple[list[Tensor], dict]:
        """One-level: one backward on one batch gives both gradients, then both optimizers step."""
        loss = F.cross_entropy(self.net(batch[0], *self.alphas), batch[1])
        grads = torch.autograd.grad(loss, self.alphas + list(self.weights.values()))
        arch_grads = list(grads[: len(self.alphas)])
        grad_norm = self.apply_weight_grads(grads[len(self.alphas) :])
        self.arch_step([g.clone() for g in arch_grads])
        return arch_grads, {"train_loss": loss.detach(), "grad_norm": grad_norm}

    def apply_weight_grads(self, grads) -> Tensor:
        for w, g in zip(self.weights.values(), grads):
            w.grad = g
        grad_norm = nn.utils.clip_grad_norm_(self.net.parameters(), GRAD_CLIP)
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad()
        return grad_norm
