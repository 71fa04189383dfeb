"""Models from the Hugging Face hub, through its own client and cache."""

from __future__ import annotations

import re
from pathlib import Path

from akd.errors import ModelError
from akd.networks.weights import FOLDER_NAMES
from akd.networks.zoo import brief


def fetch(name: str) -> Path:
    """The cached folder of "owner/repo[@revision]", with config.json and one file of weights; downloads what is missing.

    Raises ModelError where the client is not installed, the repository holds no such files, or it cannot be reached.
    """
    repository, _, revision = name.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.A):
        raise ModelError(f"hf-hub:{name} is not of the form hf-hub:owner/repo or hf-hub:owner/repo@revision")
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ImportError as error:
        raise ModelError(f"hf-hub:{name} needs the hub's client; pip install 'akd[hub]'") from error
    unreachable: Exception | None = None
    for weights in FOLDER_NAMES:
        try:
            config = hf_hub_download(repository, "config.json", revision=revision or None)
            hf_hub_download(repository, weights, revision=revision or None)
            return Path(config).parent
        except LocalEntryNotFoundError as error:
            unreachable = error
        except EntryNotFoundError:
            continue
        except Exception as error:  # the network fails in as many ways as there are clients
            unreachable = error
    if unreachable is None:
        raise ModelError(f"hf-hub:{name} lacks config.json or one of {', '.join(FOLDER_NAMES)}; give its weights as a file")
    at = f" --revision {revision}" if revision else ""
    raise ModelError(
        f"hf-hub:{name} is not in the cache and cannot be had now ({brief(unreachable, 80)}); "
        f"where there is a network: hf download {repository}{at}"
    ) from unreachable
