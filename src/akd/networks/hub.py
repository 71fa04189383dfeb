"""Models from the Hugging Face hub and from timm, through their own clients and cache; both are extras."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from akd.errors import ModelError, brief
from akd.networks.weights import FOLDER_NAMES
from akd.networks.zoo import timm_factory


def fetch(name: str) -> Path:
    """The cached folder of "owner/repo[@revision]", with config.json and one file of weights; downloads what is missing.

    What the cache has is used as it is, without a look at the network. Raises ModelError where the client is not
    installed, the repository has no such files, or it cannot be reached.
    """
    repository, at, revision = name.partition("@")
    if bool(at) != bool(revision) or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.A):
        raise ModelError(f"hf-hub:{name} is not of the form hf-hub:owner/repo or hf-hub:owner/repo@revision")
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError as error:
        raise ModelError(f"hf-hub:{name} needs the hub's client; pip install 'akd[hub]'") from error
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # each retry would be a line of its own
    failure: Exception | None = None
    for cached, weights in itertools.product((True, False), FOLDER_NAMES):
        try:
            config, _ = (
                hf_hub_download(repository, file, revision=revision or None, local_files_only=cached)
                for file in ("config.json", weights)
            )
            return Path(config).parent
        except LocalEntryNotFoundError as error:
            failure = error
            if not cached:  # the network is down; asking for the other file takes as long again
                break
        except EntryNotFoundError:
            failure = None
        except Exception as error:  # the network fails in as many ways as there are clients
            failure = error
            break
    if failure is None:
        raise ModelError(f"hf-hub:{name} lacks config.json or one of {', '.join(FOLDER_NAMES)}; give its weights as a file")
    command = f"hf download {repository}" + (f" --revision {revision}" if revision else "")
    raise ModelError(
        f"hf-hub:{name} is not in the cache and cannot be had now ({brief(failure, 80)}); where there is a network: {command}"
    ) from failure


def pretrained(name: str, arguments: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """timm's network `name` with its published weights, and its config (mean, std, input_size, num_classes …)."""
    make = timm_factory(name)
    try:
        net: Any = make(pretrained=True, **arguments)
    except Exception as error:  # no weights published, no network, arguments it does not take
        from timm.models import get_pretrained_cfg

        repository = getattr(get_pretrained_cfg(name), "hf_hub_id", None) or f"timm/{name}"
        raise ModelError(
            f"timm:{name} cannot be had with its weights ({brief(error, 80)}); "
            f"give --weights FILE, or where there is a network: hf download {repository}"
        ) from error
    return net, {key: value for key, value in net.pretrained_cfg.items() if key != "architecture"}
