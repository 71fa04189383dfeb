"""A frozen network without its BatchNorm layers: the same function in fewer steps."""

from __future__ import annotations

import copy

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from akd.networks.classifier import Classifier


def folded(network: Classifier, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy with each BatchNorm folded into the convolution before it: images [B, C, H, W] -> logits [B, K].

    Its convolutions and linear layers are kept in `dtype`, that of the autocast it will be called under where it is, so that no
    call casts them anew. The network itself where it trains, where its code cannot be traced, or where the copy would answer
    otherwise.
    """
    if any(module.training for module in network.modules()):
        return network
    try:
        made = _fused(fx.symbolic_trace(copy.deepcopy(network)))
    except Exception:  # tracing runs a stranger's forward pass, which may raise whatever it likes
        return network
    shape = (2, *network.card.input_size)
    example = torch.linspace(0, 1, torch.Size(shape).numel(), device=network.mean.device).view(shape)
    # In TF32, which cuDNN takes unless told otherwise, the two would differ by more than folding does.
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        told, said = network(example), made(example)
    if not torch.allclose(told, said, rtol=1e-3, atol=1e-3 * float(told.abs().max())):
        return network
    for module in made.modules():
        if dtype and isinstance(module, (nn.Conv2d, nn.Linear)):
            module.to(dtype)
    return made.requires_grad_(False)


def _fused(traced: fx.GraphModule) -> fx.GraphModule:
    """Every convolution whose output only a BatchNorm reads, and that is called once, takes the BatchNorm in."""
    modules = dict(traced.named_modules())
    calls = [node for node in traced.graph.nodes if node.op == "call_module"]
    once = {str(node.target) for node in calls if sum(other.target == node.target for other in calls) == 1}
    for norm in calls:
        conv = norm.args[0]
        if not isinstance(conv, fx.Node) or conv.op != "call_module" or len(conv.users) > 1 or str(conv.target) not in once:
            continue
        one, two = modules[str(conv.target)], modules[str(norm.target)]
        if isinstance(one, nn.Conv2d) and isinstance(two, nn.BatchNorm2d) and two.running_mean is not None:
            traced.set_submodule(str(conv.target), fuse_conv_bn_eval(one, two))
            norm.replace_all_uses_with(conv)
            traced.graph.erase_node(norm)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced
